//! MCP over Streamable HTTP at `/mcp`: stateless, each call with its caller's own token.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    RunComfyMcp,
    caller::{BearerError, bearer},
};

/// Who may reach the server by which name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Names that a `Host` header may carry; a name without a port allows every port.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may call, as `scheme://host:port`; `*` as port allows every port.
    pub allowed_origins: Vec<String>,
}

impl Default for HttpOptions {
    /// This machine only.
    fn default() -> Self {
        let own = |list: [&str; 3]| list.map(str::to_owned).to_vec();
        Self {
            allowed_hosts: own(["localhost", "127.0.0.1", "[::1]"]),
            allowed_origins: own(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]),
        }
    }
}

/// Serves on `listener` until `shutdown` fires, then lets calls and writes under way finish.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    server: RunComfyMcp,
    options: HttpOptions,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let streams = CancellationToken::new();
    let app = router(server.clone(), &options, &streams);
    // Without it every streamed answer waits 40 ms for an acknowledgement.
    let listener = listener.tap_io(|io| {
        if let Err(error) = io.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
    });
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let drain = server.settings().drain;
    let ending = server.ending().clone();
    let stopping = shutdown.clone();
    let closing = async move {
        stopping.cancelled().await;
        ending.cancel();
    };
    let serving = axum::serve(listener, service).with_graceful_shutdown(closing).into_future();
    tokio::select! {
        served = serving => served.context("the listener failed")?,
        // A peer that never finishes its request, or an open stream, must not hold the process.
        () = async { shutdown.cancelled().await; tokio::time::sleep(drain).await } => {
            tracing::warn!("closed connections that were still open after {} s", drain.as_secs());
        }
    }
    streams.cancel();
    server.drain().await;
    Ok(())
}

/// Everything behind the socket. `streams` ends open answers when it fires.
pub fn router(server: RunComfyMcp, options: &HttpOptions, streams: &CancellationToken) -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false) // any replica answers any request
        .with_json_response(true)
        .with_max_request_body_bytes(server.settings().max_body_bytes)
        .with_cancellation_token(streams.child_token())
        .with_allowed_hosts(options.allowed_hosts.clone())
        .with_allowed_origins(options.allowed_origins.clone())
        .enforce_origin_validation(); // rmcp serves any web page otherwise
    let need_token = server.callers().need_token();
    let draining = server.ending().clone();
    let mcp = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new()
        .route_service("/mcp", mcp)
        .route_layer(middleware::from_fn_with_state(need_token, authorize))
        .route_layer(cors(&options.allowed_origins))
        .route("/healthz", get(|| async { no_store(StatusCode::OK, "ok") }))
        .route(
            "/readyz",
            get(move || async move {
                if draining.is_cancelled() {
                    no_store(StatusCode::SERVICE_UNAVAILABLE, "draining")
                } else {
                    no_store(StatusCode::OK, "ready")
                }
            }),
        )
}

fn no_store(status: StatusCode, state: &str) -> Response {
    let ok = status == StatusCode::OK;
    (status, [(CACHE_CONTROL, "no-store")], Json(json!({"ok": ok, "state": state}))).into_response()
}

/// Lets a call through only with exactly one well-formed token, where one is needed. What the token may
/// do is RunComfy's to say.
async fn authorize(State(need_token): State<bool>, request: Request, next: Next) -> Response {
    match bearer(request.headers()) {
        Ok(None) if need_token => refusal(
            StatusCode::UNAUTHORIZED,
            "send your RunComfy API token as `Authorization: Bearer …`",
        ),
        Ok(_) => next.run(request).await,
        Err(error @ BearerError::OtherScheme) if need_token => {
            refusal(StatusCode::UNAUTHORIZED, &error.to_string())
        }
        Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let body = Json(json!({"ok": false, "error": message}));
    let mut response = (status, [(CACHE_CONTROL, "no-store")], body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"runcomfy\""));
    }
    response
}

/// Lets web pages of the allowed origins call from a browser.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed: Vec<_> = origins
        .iter()
        .map(|origin| {
            origin.strip_suffix(":*").map_or((origin.clone(), false), |any| (any.to_owned(), true))
        })
        .collect();
    let matches = move |origin: &HeaderValue, _: &http::request::Parts| {
        let Ok(origin) = origin.to_str() else { return false };
        allowed.iter().any(|(name, any_port)| {
            origin == name
                || *any_port
                    && origin
                        .strip_prefix(name.as_str())
                        .and_then(|rest| rest.strip_prefix(':'))
                        .is_some_and(|port| {
                            !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
                        })
        })
    };
    let mcp = |name: &'static str| HeaderName::from_static(name);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(matches))
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
