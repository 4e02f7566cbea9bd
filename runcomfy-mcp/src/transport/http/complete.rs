//! Replaces placeholders in a response by the parts that were left out of it.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};

use super::refusals::internal_error;
use crate::result::splices::{Splices, cut};

/// More than any response before the parts are inserted: its data is at most a mebibyte, and its text is short.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Inserts the parts. A response without any is passed on unread.
pub(super) async fn complete(insertions: &Splices, response: Response) -> Response {
    let all = insertions.take();
    if all.is_empty() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MAX_BYTES).await.unwrap_or_default();
    let Some(pieces) = cut(body, all) else { return internal_error() };
    let json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if json {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    Response::from_parts(parts, Body::from_stream(pieces))
}
