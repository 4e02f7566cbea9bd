//! Admission: the checks before MCP, cheapest first: header syntax, token, request rate, length, body, JSON.

use std::net::IpAddr;

use axum::{extract::Request, response::Response};
use bytes::{Buf as _, Bytes};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
    request::Parts,
};

use runcomfy_http_edge::{
    MemoryBudget, PeerAddr, ReadBodyError, content_length, read_body, single_header,
};

use super::refusals::{protocol_error, refusal, retry_later};
use crate::{
    pipeline::{auth::BearerError, limits::CallerId, request::InboundRequest},
    protocol::message,
    server::RunComfyMcp,
};

pub(super) struct Admission {
    server: RunComfyMcp,
    budget: MemoryBudget,
}

/// A response in place of MCP's. Boxed, because it is far larger than the other variant of its results.
type Refusal = Box<Response>;

/// Defined by MCP: a header contradicts the message or another header.
const HEADER_MISMATCH: i32 = -32020;

impl Admission {
    pub(super) fn new(server: RunComfyMcp, budget: MemoryBudget) -> Self {
        Self { server, budget }
    }

    /// Reads an admissible request's message, or returns the refusal.
    pub(super) async fn admit(&self, request: Request) -> Result<(Parts, Bytes), Refusal> {
        let source = request.extensions().get::<PeerAddr>().map(|peer| peer.0.ip());
        check_headers(request.headers())?;
        let holder = self.check_token(request.headers(), source)?;
        let settings = self.server.settings();
        let length = content_length(request.headers());
        let (mut parts, body) = request.into_parts();
        let (max_bytes, connections) = (settings.max_body_bytes, &settings.connections);
        let (bytes, memory) = read_body(body, length, max_bytes, connections, &self.budget)
            .await
            .map_err(|error| Box::new(unread(error, max_bytes)))?;
        let bytes = without_byte_order_mark(bytes);
        let (memory, length) = (memory.into(), bytes.len());
        parts.extensions.insert(InboundRequest { source, holder, memory, bytes: length });
        message::check(&bytes).map_err(|unfit| {
            protocol_error(StatusCode::BAD_REQUEST, unfit.code(), unfit.message())
        })?;
        Ok((parts, bytes))
    }

    /// During shutdown, tells the client to open its next connection to another replica.
    pub(super) fn close_on_shutdown(&self, response: &mut Response) {
        if self.server.ending().is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Requires exactly one well-formed token if callers need one, and checks the caller's request rate. Whether
    /// the token is valid is known by RunComfy only.
    fn check_token(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Result<Option<CallerId>, Refusal> {
        let (gate, callers) = (self.server.limits(), self.server.callers());
        let need_token = callers.need_token();
        let failed = |status, message: &str| match source.map(|source| gate.failed(source)) {
            Some(Err(wait)) => retry_later(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests without a valid token",
                wait,
            ),
            _ => refusal(status, message),
        };
        let token = match callers.bearer(headers) {
            Ok(None) if need_token => {
                let message = "send your RunComfy API token as `Authorization: Bearer …`";
                return Err(failed(StatusCode::UNAUTHORIZED, message).into());
            }
            Ok(token) => token,
            Err(error @ (BearerError::OtherScheme | BearerError::Placeholder)) if need_token => {
                return Err(failed(StatusCode::UNAUTHORIZED, &error.to_string()).into());
            }
            Err(error) => return Err(failed(StatusCode::BAD_REQUEST, &error.to_string()).into()),
        };
        let principal = gate.caller_id(token.as_ref());
        gate.check_request_rate(principal, source).map_err(|wait| {
            retry_later(StatusCode::TOO_MANY_REQUESTS, "too many requests", wait)
        })?;
        Ok(need_token.then_some(principal))
    }
}

/// Refuses headers that a proxy and this server could read differently, and bodies in another format than JSON.
fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    for name in ["mcp-method", "mcp-name", "mcp-protocol-version"] {
        let name = HeaderName::from_static(name);
        if headers.contains_key(&name) && single_header(headers, name.clone()).is_none() {
            let message = format!("more than one {name} header");
            return Err(protocol_error(StatusCode::BAD_REQUEST, HEADER_MISMATCH, &message).into());
        }
    }
    let kind = single_header(headers, CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    // A browser posts forms and plain text for any web page, but JSON only after a CORS preflight.
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "send Content-Type: application/json";
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into());
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let message = "send the message without Content-Encoding";
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into());
    }
    Ok(())
}

/// Skips a byte order mark, which some programs write before UTF-8.
fn without_byte_order_mark(mut bytes: Bytes) -> Bytes {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.advance(3);
    }
    bytes
}

fn unread(error: ReadBodyError, max_bytes: usize) -> Response {
    match error {
        ReadBodyError::TooLarge => {
            let message = format!("a message may have at most {max_bytes} bytes");
            refusal(StatusCode::PAYLOAD_TOO_LARGE, &message)
        }
        ReadBodyError::TooSlow => {
            refusal(StatusCode::REQUEST_TIMEOUT, "the message arrived too slowly")
        }
        ReadBodyError::NoMemory => {
            let mut response = refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many messages at once; nothing was done",
            );
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        ReadBodyError::Incomplete => refusal(StatusCode::BAD_REQUEST, "the message is incomplete"),
    }
}
