//! JSON that is put into an answer on its way out, as the bytes that it is: MCP's library can only write trees,
//! and a tree of ten megabytes takes ten times as much, and tens of times as long.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memchr::memmem;
use rmcp::{RoleServer, service::RequestContext};

use crate::result::Part;

/// Stands beside a request: whoever answers may leave parts out of the answer, and say so here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Splices(Arc<Mutex<Vec<Splice>>>);

#[derive(Debug)]
pub(crate) struct Splice {
    /// How the answer, as JSON, says that something belongs here.
    mark: Bytes,
    json: Bytes,
}

impl Splices {
    /// Those of a request whose transport puts in what is left out of its answer.
    pub(crate) fn of(context: &RequestContext<RoleServer>) -> Option<&Self> {
        let parts = || context.extensions.get::<http::request::Parts>();
        context.extensions.get().or_else(|| parts()?.extensions.get())
    }

    /// Puts this JSON in place of `mark`, which the response contains as it stands.
    pub(crate) fn replace(&self, mark: &'static [u8], json: Bytes) {
        self.add(Splice { mark: Bytes::from_static(mark), json });
    }

    /// This part of a result is left out. Parts must come in the order in which they stand in it.
    pub(crate) fn part(&self, part: Part) {
        let mark = Bytes::from(format!("\"{}\"", part.mark));
        self.add(Splice { mark, json: part.json });
    }

    fn add(&self, insertion: Splice) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(insertion);
    }

    pub(crate) fn take(&self) -> Vec<Splice> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The answer in pieces, with each insertion in its place. `None`, and a line in the log, where one has none.
pub(crate) fn cut(answer: Bytes, insertions: Vec<Splice>) -> Option<Vec<Bytes>> {
    let mut pieces = Vec::with_capacity(2 * insertions.len() + 1);
    let mut rest = answer;
    for Splice { mark, json } in insertions {
        let Some(place) = memmem::find(&rest, &mark) else {
            tracing::error!("an answer without a place for what belongs into it");
            return None;
        };
        pieces.extend([rest.slice(..place), json]);
        rest = rest.slice(place + mark.len()..);
    }
    pieces.push(rest);
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insertion(mark: &str, json: &str) -> Splice {
        Splice { mark: mark.to_owned().into(), json: json.to_owned().into() }
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
