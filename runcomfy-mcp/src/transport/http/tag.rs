//! A name for each request, for whoever compares logs.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue};

use crate::random;

/// A request's name: the client's, where it is fit to be written into a log, and otherwise one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Tag(pub(crate) String);

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// Names the request, and says the name in the answer.
pub(super) async fn name(mut request: Request, next: Next) -> Response {
    let own = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    let tag = own.filter(|text| is_fit(text)).map_or_else(random::name, str::to_owned);
    let header = HeaderValue::try_from(tag.as_str());
    request.extensions_mut().insert(Tag(tag));
    let mut response = next.run(request).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

fn is_fit(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits)
}
