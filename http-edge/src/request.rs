//! What a handler reads from a request: the peer's address, the request id, and headers that must be unique.

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
};

use axum::{extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_LENGTH};

/// The address of the connection that a request came over. The server puts it into the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// A request's id, by which the logs of clients, proxies and this server can be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequestId(String);

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_ID_BYTES: usize = 64;

impl HttpRequestId {
    /// Takes the id from `X-Request-Id` if it is safe to log, otherwise makes one, and puts it into the
    /// request's extensions. Returns the header value for [`set_on`](Self::set_on).
    pub fn assign(request: &mut Request) -> Option<HeaderValue> {
        let sent = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        let id = sent.filter(|text| is_safe_to_log(text)).map_or_else(random, str::to_owned);
        let header = HeaderValue::try_from(id.as_str());
        request.extensions_mut().insert(Self(id));
        header.ok()
    }

    /// Puts the id into the response's `X-Request-Id` header.
    pub fn set_on(response: &mut Response, id: Option<HeaderValue>) {
        if let Some(id) = id {
            response.headers_mut().insert(HEADER, id);
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_safe_to_log(text: &str) -> bool {
    let is_safe = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(is_safe)
}

/// An id that is unlikely to repeat. It is not secret.
fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(0))
}

/// The value of a header that occurs exactly once.
#[must_use]
pub fn single_header(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// The value of `Content-Length`, if it is a number.
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::header::HOST;

    use super::*;

    fn assigned(sent: &str) -> String {
        let mut request = Request::get("/").header(HEADER, sent).body(Body::empty()).unwrap();
        let header = HttpRequestId::assign(&mut request).unwrap();
        let id = request.extensions().get::<HttpRequestId>().unwrap();
        assert_eq!(header, id.as_str());
        id.as_str().to_owned()
    }

    #[test]
    fn a_clients_own_request_id_is_taken_if_it_is_safe_to_log() {
        let longest = "a".repeat(MAX_ID_BYTES);
        for id in ["a", "Trace-1.b_c", &longest] {
            assert_eq!(assigned(id), id);
        }
        for id in ["", "two words", "a;b", "\"", &"a".repeat(MAX_ID_BYTES + 1)] {
            let made = assigned(id);
            assert!(made.len() == 16 && made != id, "{id}: {made}");
        }
    }

    #[test]
    fn a_header_that_occurs_twice_is_not_single() {
        let mut headers = HeaderMap::new();
        assert_eq!(single_header(&headers, HOST), None);
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(single_header(&headers, HOST).unwrap(), "a");
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(single_header(&headers, HOST), None);
    }
}
