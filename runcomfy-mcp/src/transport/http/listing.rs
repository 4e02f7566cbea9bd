//! The list of tools, written once: 50 kB that are the same for everyone would otherwise be put together and
//! written anew for each who asks, which is the most that a client of the newest revision asks.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicBool, Ordering},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};

use crate::RunComfyMcp;

/// Stands beside a request that may ask for the list: whoever answers may leave the tools out, and say so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing(Arc<AtomicBool>);

impl Listing {
    /// For a message that may be the question: it says so somewhere, and is short.
    pub(super) fn may_be(message: &[u8]) -> Option<Self> {
        const SHORT: usize = 2048;
        const METHOD: &str = "tools/list";
        let short = message.get(..message.len().min(SHORT))?;
        std::str::from_utf8(short).ok()?.contains(METHOD).then(Self::default)
    }

    /// The tools are left out, to be put in on the way.
    pub(crate) fn leave_out(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Puts the tools in where they were left out.
    pub(super) async fn complete(&self, response: Response) -> Response {
        if !self.0.load(Ordering::Relaxed) {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        // Without the tools it is an id and a few words.
        let Ok(bytes) = axum::body::to_bytes(body, MOST).await else {
            return Response::from_parts(parts, Body::empty());
        };
        // In a text within the JSON, as an id may be one, the quotes would have backslashes before them.
        let place = std::str::from_utf8(&bytes).ok().and_then(|text| text.find(NONE));
        let Some(place) = place else { return Response::from_parts(parts, Body::from(bytes)) };
        let rest = bytes.slice(place + NONE.len()..);
        let whole = [bytes.slice(..place), TOOLS.clone(), rest];
        let json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if json {
            let length: usize = whole.iter().map(Bytes::len).sum();
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let pieces = stream::iter(whole.map(Ok::<_, std::convert::Infallible>));
        Response::from_parts(parts, Body::from_stream(pieces))
    }
}

/// Longer than any answer without its tools: ids are at most 256 bytes.
const MOST: usize = 64 * 1024;

/// How an answer says that there are no tools.
const NONE: &str = "\"tools\":[]";

/// How one says that there are these.
static TOOLS: LazyLock<Bytes> = LazyLock::new(|| {
    let tools = serde_json::to_string(&RunComfyMcp::tools()).unwrap_or_else(|_| "[]".to_owned());
    Bytes::from(format!("\"tools\":{tools}"))
});
