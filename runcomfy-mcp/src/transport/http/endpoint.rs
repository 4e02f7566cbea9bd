//! `/mcp`: what a request passes, in order, as one service. Each layer of a router's is copied for each request,
//! with all that it holds and all that is behind it.

use std::{convert::Infallible, sync::Arc};

use axum::{body::Body, extract::Request, response::Response};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpService, session::never::NeverSessionManager,
    },
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use super::{
    door::{self, Door},
    names::{self, Names},
};

/// What answers there.
pub(super) struct Endpoint<H> {
    pub(super) names: Arc<Names>,
    pub(super) cors: CorsLayer,
    pub(super) door: Door,
    pub(super) mcp: StreamableHttpService<H, NeverSessionManager>,
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
        let mcp = |request| async { self.mcp.handle(request).await.map(Body::new) };
        door::pass(&self.door, request, mcp).await
    }
}
