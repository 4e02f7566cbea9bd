//! `/mcp`: what a request passes, in order, as one service. Each layer of a router's is copied for each request,
//! with all that it holds and all that is behind it.

use std::{convert::Infallible, sync::Arc};

use axum::{extract::Request, response::Response};
use bytes::Bytes;
use http::{header::ACCEPT, request::Parts};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpService, session::never::NeverSessionManager,
    },
};
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use super::{
    direct,
    door::Door,
    events, library,
    media::{self, Media},
    names::{self, Names},
};
use crate::RunComfyMcp;

/// What answers there.
pub(super) struct Endpoint<H> {
    pub(super) names: Arc<Names>,
    pub(super) cors: CorsLayer,
    pub(super) door: Door,
    pub(super) mcp: StreamableHttpService<H, NeverSessionManager>,
    /// Answers calls of tools without the library, where its handler is ours.
    pub(super) direct: Option<Arc<RunComfyMcp>>,
    /// Ends open answers when it fires.
    pub(super) streams: CancellationToken,
}

impl<H: ServerHandler> Endpoint<H> {
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Response {
        if let Some(refused) = names::refused(&self.names, &request) {
            return refused;
        }
        if !names::is_from_page(&request) {
            return self.enter(request).await;
        }
        let cors = self.cors.clone();
        let inside = service_fn(move |request| {
            let own = Arc::clone(&self);
            async move { Ok::<_, Infallible>(own.enter(request).await) }
        });
        let Ok(response) = cors.layer(inside).oneshot(request).await;
        response
    }

    async fn enter(&self, request: Request) -> Response {
        let mut response = match Media::accepted(request.headers()) {
            Some(media) => match self.door.admit(request).await {
                Ok((parts, message)) => self.serve(media, parts, message).await,
                Err(refused) => *refused,
            },
            None => media::not_acceptable(),
        };
        self.door.close(&mut response);
        response
    }

    async fn serve(&self, media: Media, mut parts: Parts, message: Bytes) -> Response {
        if let Some(server) = &self.direct
            && let Some(call) = direct::read(&parts.headers, &message, media)
        {
            drop(message); // nothing of it is needed while the call goes on
            let response = direct::answer(server, call, parts, &self.streams).await;
            return if media == Media::Events { events::as_event(response) } else { response };
        }
        parts.headers.insert(ACCEPT, media::BOTH);
        // Boxed: it is large, and calls that wait would keep the room for it.
        Box::pin(async {
            let response = library::answer(&self.mcp, parts, message).await;
            events::in_form(media, response).await
        })
        .await
    }
}
