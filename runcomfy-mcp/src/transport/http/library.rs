//! The way through MCP's library, with its refusals in words of ours.

use axum::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::{
    StatusCode,
    header::{CONTENT_LENGTH, ORIGIN},
    request::Parts,
};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::Value;

use super::{
    answer::{protocol_error, refusal},
    complete::complete,
};
use crate::{result::splices::Insertions, transport::brief::shorten};

/// What MCP answers to a message that has come through the door.
pub(super) async fn answer<H: ServerHandler>(
    mcp: &StreamableHttpService<H, NeverSessionManager>,
    mut parts: Parts,
    message: Bytes,
) -> Response {
    let insertions = Insertions::default();
    parts.extensions.insert(insertions.clone());
    // Checked before: the library does not know the origins of desktop apps.
    parts.headers.remove(ORIGIN);
    let request = Request::from_parts(parts, Body::from(message));
    let response = mcp.handle(request).await.map(Body::new);
    match response.status() {
        // The media types were right: it is the message that it could not read.
        StatusCode::UNSUPPORTED_MEDIA_TYPE => not_a_message(),
        StatusCode::BAD_REQUEST => brief(response).await,
        _ => complete(&insertions, response).await,
    }
}

/// A refusal, which repeats headers at any length: no more of them than tells which.
async fn brief(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_REFUSAL_BYTES).await else {
        return refusal(StatusCode::BAD_REQUEST, "the request is not right");
    };
    let Ok(mut message) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    if !message.get_mut("error").is_some_and(shorten) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(message.to_string()))
}

/// Larger than any: headers are bounded.
const MAX_REFUSAL_BYTES: usize = 256 * 1024;

/// A message that could not be read although it is JSON.
fn not_a_message() -> Response {
    /// JSON-RPC's own.
    const INVALID_REQUEST: i32 = -32600;
    let why = "the message is no JSON-RPC request or notification";
    protocol_error(StatusCode::BAD_REQUEST, INVALID_REQUEST, why)
}
