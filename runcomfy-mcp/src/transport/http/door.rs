//! What a request passes on its way to MCP, cheapest first: header syntax, token, rate, length, body, JSON.

use std::{net::IpAddr, sync::Arc};

use axum::{extract::Request, response::Response};
use bytes::{Buf as _, Bytes};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    request::Parts,
};

use super::{
    answer::{later, protocol_error, refusal},
    connection::Peer,
    inbound::{self, Budget, Load, Unread},
    names::the_only,
};
use crate::{
    RunComfyMcp,
    pipeline::{auth::BearerError, limits::Principal},
    protocol::message,
};

/// What the door needs to know.
pub(super) struct Door {
    server: RunComfyMcp,
    budget: Budget,
}

/// What is known of a request besides its message, for the call that it becomes.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// Where it came from.
    pub(crate) source: Option<IpAddr>,
    /// Who holds its token, where one is needed.
    pub(crate) holder: Option<Principal>,
    /// What its message holds of the memory for messages.
    pub(crate) load: Arc<Load>,
    /// The message's length.
    pub(crate) bytes: usize,
}

/// What is answered in place of MCP. Boxed: it is far larger than what it stands in for.
type Refused = Box<Response>;

/// MCP's: a header contradicts the message, or another header.
const HEADER_MISMATCH: i32 = -32020;

impl Door {
    pub(super) fn new(server: RunComfyMcp, budget: Budget) -> Self {
        Self { server, budget }
    }

    pub(super) fn server(&self) -> &RunComfyMcp {
        &self.server
    }

    /// Lets the request in as it is, its message read, or says why not.
    pub(super) async fn admit(&self, request: Request) -> Result<(Parts, Bytes), Refused> {
        let source = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
        check_headers(request.headers())?;
        let holder = self.check_token(request.headers(), source)?;
        let settings = self.server.settings();
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let (mut parts, body) = request.into_parts();
        let (most, times) = (settings.max_body_bytes, &settings.connections);
        let (bytes, load) = inbound::read(body, length, most, times, &self.budget)
            .await
            .map_err(|unread| Box::new(not_read(unread, most)))?;
        let bytes = without_mark(bytes);
        parts.extensions.insert(Visit { source, holder, load: Arc::new(load), bytes: bytes.len() });
        message::check(&bytes).map_err(|unfit| {
            protocol_error(StatusCode::BAD_REQUEST, unfit.code(), unfit.message())
        })?;
        Ok((parts, bytes))
    }

    /// What is said in the end: a server that ends soon takes no more over this connection.
    pub(super) fn close(&self, response: &mut Response) {
        if self.server.ending().is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Exactly one well-formed token, where one is needed, of somebody who does not come too often. What
    /// the token may do is RunComfy's to say.
    fn check_token(
        &self,
        headers: &HeaderMap,
        source: Option<IpAddr>,
    ) -> Result<Option<Principal>, Refused> {
        let (gate, callers) = (self.server.gate(), self.server.callers());
        let need_token = callers.need_token();
        let failed = |status, message: &str| match source.map(|source| gate.failed(source)) {
            Some(Err(wait)) => {
                later(StatusCode::TOO_MANY_REQUESTS, "too many requests without a good token", wait)
            }
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
        let principal = gate.principal(token.as_ref());
        gate.knock(principal, source)
            .map_err(|wait| later(StatusCode::TOO_MANY_REQUESTS, "too many requests", wait))?;
        Ok(need_token.then_some(principal))
    }
}

/// Headers that two readers could read in two ways, and bodies in a form that is not taken.
fn check_headers(headers: &HeaderMap) -> Result<(), Refused> {
    for name in ["mcp-method", "mcp-name", "mcp-protocol-version"] {
        let name = HeaderName::from_static(name);
        if headers.contains_key(&name) && the_only(headers, name.clone()).is_none() {
            let message = format!("more than one {name} header");
            return Err(protocol_error(StatusCode::BAD_REQUEST, HEADER_MISMATCH, &message).into());
        }
    }
    let kind = the_only(headers, CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    // A page of anywhere can make a browser post a form or plain text, but not this.
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "send Content-Type: application/json";
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into());
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let message = "send the message as it is, without Content-Encoding";
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into());
    }
    Ok(())
}

/// The message behind a byte order mark, which some programs write before all that is UTF-8.
fn without_mark(mut bytes: Bytes) -> Bytes {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.advance(3);
    }
    bytes
}

fn not_read(unread: Unread, most: usize) -> Response {
    match unread {
        Unread::TooLarge => {
            let message = format!("a message may have {most} bytes");
            refusal(StatusCode::PAYLOAD_TOO_LARGE, &message)
        }
        Unread::TooSlow => refusal(StatusCode::REQUEST_TIMEOUT, "the message came too slowly"),
        Unread::NoRoom => {
            let mut response = refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many messages at once; nothing was done",
            );
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Unread::Broken => refusal(StatusCode::BAD_REQUEST, "the message did not come whole"),
    }
}
