//! `/mcp`: the stages of a request in order, as one service. Layers of a router would be copied for each request,
//! with everything behind them.

use std::{convert::Infallible, sync::Arc};

use axum::{extract::Request, response::Response};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpService, session::never::NeverSessionManager,
    },
};
use runcomfy_http_edge::HostPolicy;
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{
    admission::Admission,
    events, fast_path,
    media::{self, Media},
    refusals::refusal,
    rmcp_path,
};
use crate::server::RunComfyMcp;

pub(super) struct Endpoint<H> {
    pub(super) host_policy: Arc<HostPolicy>,
    pub(super) cors: CorsLayer,
    pub(super) admission: Admission,
    /// Answers tool calls without rmcp, if the handler is the server itself.
    pub(super) fast_path: Option<Arc<RunComfyMcp>>,
    pub(super) rmcp: StreamableHttpService<H, NeverSessionManager>,
    /// Ends streamed responses when it is cancelled.
    pub(super) streams: CancellationToken,
}

impl<H: ServerHandler> Endpoint<H> {
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Response {
        if let Some(refusal) = self.check(&request) {
            return refusal;
        }
        if !is_cross_origin(&request) {
            return self.admit(request).await;
        }
        let cors = self.cors.clone();
        let inside = service_fn(move |request| {
            let own = Arc::clone(&self);
            async move { Ok::<_, Infallible>(own.admit(request).await) }
        });
        let Ok(response) = cors.layer(inside).oneshot(request).await;
        response
    }

    /// Refuses other methods than POST and violations of the host policy, before anything else is read.
    fn check(&self, request: &Request) -> Option<Response> {
        if ![Method::POST, Method::OPTIONS].contains(request.method()) {
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "POST messages here");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Some(response);
        }
        let violation = self.host_policy.violation(request);
        violation.map(|(status, message)| refusal(status, message))
    }

    async fn admit(&self, request: Request) -> Response {
        let mut response = match Media::accepted(request.headers()) {
            Some(media) => match self.admission.admit(request).await {
                Ok((parts, message)) => self.serve(media, parts, message).await,
                Err(refusal) => *refusal,
            },
            None => media::not_acceptable(),
        };
        self.admission.close_on_shutdown(&mut response);
        response
    }

    async fn serve(&self, media: Media, mut parts: Parts, message: Bytes) -> Response {
        if let Some(server) = &self.fast_path
            && let Some(call) = fast_path::read(&parts.headers, &message, media)
        {
            drop(message); // the call has its own copy of what it needs
            let response = fast_path::answer(server, call, parts, &self.streams).await;
            return if media == Media::Events { events::as_event(response) } else { response };
        }
        parts.headers.insert(ACCEPT, media::BOTH);
        // Boxed, because it is large and calls that wait on the fast path would reserve its size.
        Box::pin(async {
            let response = rmcp_path::answer(&self.rmcp, parts, message).await;
            events::convert(media, response).await
        })
        .await
    }
}

/// Whether a browser sends the request for a web page: only then CORS headers are needed.
fn is_cross_origin(request: &Request) -> bool {
    request.method() == Method::OPTIONS || request.headers().contains_key(ORIGIN)
}

/// Allows web pages of the allowed origins to call from a browser.
pub(super) fn cors(host_policy: Arc<HostPolicy>) -> CorsLayer {
    let mcp = |name: &'static str| HeaderName::from_static(name);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| host_policy.allows_origin(origin)))
        .allow_methods([Method::POST])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            mcp("mcp-protocol-version"),
            mcp("mcp-method"),
            mcp("mcp-name"),
            mcp("mcp-session-id"),
            mcp("last-event-id"),
        ])
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
}
