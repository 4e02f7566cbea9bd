//! Responses to requests that do not reach MCP.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

/// A refusal that is not part of MCP.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    with_challenge(runcomfy_http_edge::refusal(status, message))
}

/// The same for a refusal that is temporary, with `Retry-After`.
pub(super) fn retry_later(status: StatusCode, message: &str, delay: Duration) -> Response {
    with_challenge(runcomfy_http_edge::retry_later(status, message, delay))
}

/// A JSON-RPC error. Its id is null, because the message's id is unknown or cannot be trusted.
pub(super) fn protocol_error(status: StatusCode, code: i32, message: &str) -> Response {
    let error = json!({"code": code, "message": message});
    with_body(status, json!({"jsonrpc": "2.0", "id": null, "error": error}))
}

/// An error whose cause is in the log only, because it could contain data of others.
pub(super) fn internal_error() -> Response {
    /// Defined by JSON-RPC.
    const INTERNAL_ERROR: i32 = -32603;
    protocol_error(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR, "internal error")
}

/// The response where clients look for OAuth, in the form of RFC 6749 and RFC 7591. Many of them are bridges that
/// show only this text to their user.
pub(super) fn no_oauth() -> Response {
    let description = "this server has no OAuth: send your RunComfy API token with each request as `Authorization: Bearer …` \
                       (mcp-remote: --header \"Authorization: Bearer …\")";
    let body = json!({"error": "invalid_request", "error_description": description});
    with_body(StatusCode::NOT_FOUND, body)
}

fn with_body(status: StatusCode, body: Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// HTTP requires the challenge in each 401.
fn with_challenge(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer realm=\"runcomfy\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}
