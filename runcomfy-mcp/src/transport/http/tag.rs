//! A name for each request, for whoever compares logs.

use axum::{extract::Request, response::Response};
use http::{HeaderName, HeaderValue};

use crate::entropy;

/// A request's name: the client's, where it is fit to be written into a log, and otherwise one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Tag(pub(crate) String);

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// Names the request: what to say in the answer.
pub(super) fn name(request: &mut Request) -> Option<HeaderValue> {
    let own = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    let tag = own.filter(|text| is_fit(text)).map_or_else(entropy::name, str::to_owned);
    let header = HeaderValue::try_from(tag.as_str());
    request.extensions_mut().insert(Tag(tag));
    header.ok()
}

/// Says the request's name in its answer.
pub(super) fn say(name: Option<HeaderValue>, response: &mut Response) {
    if let Some(name) = name {
        response.headers_mut().insert(HEADER, name);
    }
}

fn is_fit(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits)
}
