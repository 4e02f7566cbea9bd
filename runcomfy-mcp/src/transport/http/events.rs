//! Converts responses between JSON and event streams (SSE), as the client accepts them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::{Body as _, Frame, SizeHint};
use runcomfy_http_edge::content_length;
use serde::{Deserialize, de::IgnoredAny};

use super::{media::Media, refusals::internal_error};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Tells nginx and similar proxies not to buffer events.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const BEFORE: &[u8] = b"data: ";
const AFTER: &[u8] = b"\n\n";

/// Converts a response to the media type that the client accepts.
pub(super) async fn convert(media: Media, response: Response) -> Response {
    match (media, is_stream(response.headers())) {
        (Media::Either | Media::Events, true) => end_with_result(response),
        (Media::Json, true) => as_json(response).await,
        (Media::Events, false) => as_event(response),
        (Media::Either | Media::Json, false) => response,
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE) == Some(&EVENT_STREAM)
}

/// Ends a stream with its JSON-RPC response. rmcp ends it a moment later, and a client that disconnects as soon as it
/// has the response would count as one that did not receive it.
fn end_with_result(response: Response) -> Response {
    response.map(|body| Body::new(UntilResult { body, ended: false }))
}

struct UntilResult {
    body: Body,
    ended: bool,
}

impl http_body::Body for UntilResult {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(event) = frame.data_ref()
        {
            self.ended = result(event).is_some();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The JSON-RPC response of a stream, without the progress before it.
async fn as_json(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut events = body.into_data_stream();
    while let Some(Ok(event)) = events.next().await {
        if let Some(json) = result(&event) {
            parts.headers.insert(CONTENT_TYPE, JSON);
            parts.headers.remove(BUFFERING);
            return Response::from_parts(parts, Body::from(json));
        }
    }
    tracing::error!("an event stream without a response");
    internal_error()
}

/// A JSON response as a stream of one event. Refusals stay as they are, because their status says enough.
pub(super) fn as_event(response: Response) -> Response {
    if response.status() != StatusCode::OK || response.headers().get(CONTENT_TYPE) != Some(&JSON) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    let declared = content_length(&parts.headers);
    parts.headers.remove(CONTENT_LENGTH);
    if let Some(length) = length.or(declared) {
        let length = length + (BEFORE.len() + AFTER.len()) as u64;
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    parts.headers.insert(CONTENT_TYPE, EVENT_STREAM);
    parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    parts.headers.insert(BUFFERING, HeaderValue::from_static("no"));
    let ends = |bytes| stream::iter([Ok(Bytes::from_static(bytes))]);
    let lines = body.into_data_stream().map(|piece| piece.map(in_one_line));
    let event = ends(BEFORE).chain(lines).chain(ends(AFTER));
    Response::from_parts(parts, Body::from_stream(event))
}

/// JSON on one line, because an event ends with its line. JSON strings contain no raw line ends, and elsewhere a line
/// end means the same as a space.
fn in_one_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

/// The JSON-RPC response in an event, if it has one. Progress is a notification.
fn result(event: &Bytes) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Outcome {
        result: Option<IgnoredAny>,
        error: Option<IgnoredAny>,
    }
    // There is one line of data, because rmcp writes JSON without line ends.
    let mut lines = event.split(|byte| *byte == b'\n');
    let json = lines.find_map(|line| line.strip_prefix(b"data:"))?.trim_ascii();
    let message: Outcome = serde_json::from_slice(json).ok()?;
    let is_response = message.result.is_some() || message.error.is_some();
    is_response.then(|| event.slice_ref(json))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::to_bytes;

    use super::*;

    const PROGRESS: &str =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"result":1}}"#;

    /// A stream of one event for each of these messages, which does not end.
    fn endless(messages: &[&str]) -> Response {
        let events: Vec<_> =
            messages.iter().map(|json| Ok::<_, Infallible>(format!("data: {json}\n\n"))).collect();
        let mut response =
            Response::new(Body::from_stream(stream::iter(events).chain(stream::pending())));
        response.headers_mut().insert(CONTENT_TYPE, EVENT_STREAM);
        response
    }

    async fn text(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_stream_ends_with_its_result() {
        for answer in [r#"{"id":1,"result":{}}"#, r#"{"id":1,"error":{"code":1,"message":"m"}}"#] {
            let response = convert(Media::Either, endless(&[PROGRESS, answer, PROGRESS])).await;
            let mut body = response.into_body();
            let mut frames = Vec::new();
            while !body.is_end_stream() {
                let frame =
                    std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
                frames.push(frame.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!(frames, [PROGRESS, answer].map(|json| format!("data: {json}\n\n")));
        }
    }

    #[tokio::test]
    async fn a_client_that_accepts_only_json_gets_the_result_of_a_stream() {
        let answer = r#"{"id":1,"result":{}}"#;
        let response = convert(Media::Json, endless(&[PROGRESS, answer])).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(text(response).await, answer);
    }

    #[tokio::test]
    async fn json_of_many_lines_becomes_one_event_of_one_line() {
        let pieces = ["{\"a\":\n", "  \"b\\nc\"\r\n}"];
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let pieces = stream::iter(pieces.map(Ok::<_, Infallible>));
        let mut response = Response::new(Body::from_stream(pieces));
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        let response = as_event(response);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let length = response.headers()[CONTENT_LENGTH].to_str().unwrap().to_owned();
        let event = text(response).await;
        assert_eq!(event, "data: {\"a\":   \"b\\nc\"  }\n\n");
        assert_eq!(event.len().to_string(), length);
    }

    #[test]
    fn a_refusal_does_not_become_an_event() {
        let refusal = crate::transport::http::refusals::refusal(StatusCode::BAD_REQUEST, "no");
        assert_eq!(as_event(refusal).headers()[CONTENT_TYPE], "application/json");
    }
}
