//! Puts into a response what was left out of it.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};

use super::answer::internal_error;
use crate::result::splices::{Insertions, cut};

/// Longer than any answer without its insertions: its data is at most a mebibyte, and its text is short.
const MOST: usize = 4 * 1024 * 1024;

/// The response with all of it. One of which nothing was left out stays as it is, unread.
pub(super) async fn complete(insertions: &Insertions, response: Response) -> Response {
    let all = insertions.take();
    if all.is_empty() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MOST).await.unwrap_or_default();
    let Some(pieces) = cut(body, all) else { return internal_error() };
    let json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if json {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    Response::from_parts(parts, Body::from_stream(pieces))
}
