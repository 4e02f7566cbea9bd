//! What is answered to those who are not let in.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

/// A refusal that is no part of MCP.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    with_body(status, json!({"ok": false, "error": message}))
}

/// A refusal of a message, as JSON-RPC has it. Whose message it was is not known, or not to be trusted.
pub(super) fn protocol_error(status: StatusCode, code: i32, message: &str) -> Response {
    let error = json!({"code": code, "message": message});
    with_body(status, json!({"jsonrpc": "2.0", "id": null, "error": error}))
}

/// Said where what went wrong is in the log, and nobody else's matter.
pub(super) fn internal_error() -> Response {
    /// JSON-RPC's own.
    const INTERNAL: i32 = -32603;
    protocol_error(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, "internal error")
}

/// A refusal that passes.
pub(super) fn later(status: StatusCode, message: &str, wait: Duration) -> Response {
    let mut response = refusal(status, message);
    // Whole seconds, and never none: a client would come back at once.
    let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Said where clients look for a way to sign in, which are often bridges that show nothing but this to their
/// user. In the form of RFC 6749 and RFC 7591.
pub(super) fn no_sign_in() -> Response {
    let description = "this server has no OAuth: send your RunComfy API token with each request as `Authorization: Bearer …` \
                       (mcp-remote: --header \"Authorization: Bearer …\")";
    let body = json!({"error": "invalid_request", "error_description": description});
    with_body(StatusCode::NOT_FOUND, body)
}

fn with_body(status: StatusCode, body: Value) -> Response {
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer realm=\"runcomfy\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}
