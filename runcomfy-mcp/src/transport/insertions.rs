//! JSON that is put into an answer on its way out, as the bytes that it is: MCP's library can only write trees,
//! and a tree of ten megabytes takes ten times as much, and tens of times as long.

use std::{
    convert::Infallible,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use memchr::memmem;

use super::answer::protocol_error;
use crate::{RunComfyMcp, reply::Part};

/// Stands beside a request: whoever answers may leave parts out of the answer, and say so here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Insertions(Arc<Mutex<Vec<Insertion>>>);

#[derive(Debug)]
struct Insertion {
    /// How the answer, as JSON, says that something belongs here.
    mark: Bytes,
    json: Bytes,
}

impl Insertions {
    /// The tools are left out. They are the same for everyone: 50 kB that are written once.
    pub(crate) fn tools(&self) {
        // In a text within the JSON, as an id may be one, the quotes would have backslashes before them.
        self.add(Insertion { mark: Bytes::from_static(b"\"tools\":[]"), json: TOOLS.clone() });
    }

    /// This part of a result is left out. Parts must come in the order in which they stand in it.
    pub(crate) fn part(&self, part: Part) {
        let mark = Bytes::from(format!("\"{}\"", part.mark));
        self.add(Insertion { mark, json: part.json });
    }

    fn add(&self, insertion: Insertion) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(insertion);
    }

    /// Puts in what was left out. A response without such parts stays as it is, unread.
    pub(super) async fn complete(&self, response: Response) -> Response {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if all.is_empty() {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, MOST).await.unwrap_or_default();
        let Some(pieces) = cut(body, all) else {
            tracing::error!("an answer without a place for what belongs into it");
            return protocol_error(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, "internal error");
        };
        let json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
        if json {
            let length: usize = pieces.iter().map(Bytes::len).sum();
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
        Response::from_parts(parts, Body::from_stream(pieces))
    }
}

/// The answer in pieces, with each insertion in its place. `None` where one has none.
fn cut(answer: Bytes, insertions: Vec<Insertion>) -> Option<Vec<Bytes>> {
    let mut pieces = Vec::with_capacity(2 * insertions.len() + 1);
    let mut rest = answer;
    for Insertion { mark, json } in insertions {
        let place = memmem::find(&rest, &mark)?;
        pieces.extend([rest.slice(..place), json]);
        rest = rest.slice(place + mark.len()..);
    }
    pieces.push(rest);
    Some(pieces)
}

/// Longer than any answer without its insertions: its data is at most a mebibyte, and its text is short.
const MOST: usize = 4 * 1024 * 1024;
/// JSON-RPC's own.
const INTERNAL: i32 = -32603;

/// How an answer says that there are these tools.
static TOOLS: LazyLock<Bytes> = LazyLock::new(|| {
    let tools = serde_json::to_string(&RunComfyMcp::tools()).unwrap_or_else(|_| "[]".to_owned());
    Bytes::from(format!("\"tools\":{tools}"))
});

#[cfg(test)]
mod tests {
    use super::*;

    fn insertion(mark: &str, json: &str) -> Insertion {
        Insertion { mark: mark.to_owned().into(), json: json.to_owned().into() }
    }

    #[test]
    fn parts_go_in_where_they_were_left_out() {
        let answer = Bytes::from_static(br#"{"id":"n.0","text":"\"n.0\"","a":"n.0","b":"n.1"}"#);
        let all = vec![
            insertion("\"n.0\"", "{}"),
            insertion("\"n.0\"", "[1]"),
            insertion("\"n.1\"", "null"),
        ];
        let whole = cut(answer, all).unwrap().concat();
        assert_eq!(
            std::str::from_utf8(&whole).unwrap(),
            r#"{"id":{},"text":"\"n.0\"","a":[1],"b":null}"#
        );
    }

    #[test]
    fn an_answer_without_a_place_is_none() {
        assert_eq!(cut(Bytes::from_static(b"{}"), vec![insertion("\"n.0\"", "1")]), None);
    }
}
