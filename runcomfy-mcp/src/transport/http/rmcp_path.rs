//! rmcp's path: requests that the fast path leaves to rmcp, with its refusals shortened.

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
    complete::complete,
    refusals::{protocol_error, refusal},
};
use crate::{result::splices::Splices, transport::brief::shorten};

/// rmcp's response to a message that was admitted.
pub(super) async fn answer<H: ServerHandler>(
    rmcp: &StreamableHttpService<H, NeverSessionManager>,
    mut parts: Parts,
    message: Bytes,
) -> Response {
    let insertions = Splices::default();
    parts.extensions.insert(insertions.clone());
    // The host policy has checked it, and rmcp rejects the origins of desktop apps.
    parts.headers.remove(ORIGIN);
    let request = Request::from_parts(parts, Body::from(message));
    let response = rmcp.handle(request).await.map(Body::new);
    match response.status() {
        // The media types were checked before, so rmcp means that it could not read the message.
        StatusCode::UNSUPPORTED_MEDIA_TYPE => not_a_message(),
        StatusCode::BAD_REQUEST => shortened(response).await,
        _ => complete(&insertions, response).await,
    }
}

/// Shortens a refusal, because rmcp repeats headers in it at full length.
async fn shortened(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_REFUSAL_BYTES).await else {
        return refusal(StatusCode::BAD_REQUEST, "the request is malformed");
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

/// More than any refusal, because headers are limited.
const MAX_REFUSAL_BYTES: usize = 256 * 1024;

/// The message is JSON, but rmcp could not read it.
fn not_a_message() -> Response {
    /// Defined by JSON-RPC.
    const INVALID_REQUEST: i32 = -32600;
    let message = "the message is not a JSON-RPC request or notification";
    protocol_error(StatusCode::BAD_REQUEST, INVALID_REQUEST, message)
}
