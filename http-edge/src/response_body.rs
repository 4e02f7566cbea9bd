//! A response body that records whether all of it was handed to the socket.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::{connection_state::ConnectionState, delivery::Delivery, request::content_length};

/// Reports the end of a request when it is dropped.
pub(crate) struct RequestGuard {
    state: Arc<ConnectionState>,
    body_length: u64,
}

impl RequestGuard {
    pub(crate) fn new(state: Arc<ConnectionState>, body_length: u64) -> Self {
        Self { state, body_length }
    }

    /// Whether all of the request's body was received.
    pub(crate) fn is_body_received(&self) -> bool {
        self.state.body_bytes() >= self.body_length
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.state.end_request(self.body_length);
    }
}

/// A response's body. If it is dropped after its end, the response is delivered once the socket has taken what
/// hyper still buffers; if it is dropped earlier, the response is lost.
pub(crate) struct ResponseBody {
    body: Body,
    /// Bytes that are left of the `Content-Length`, if there is one. Hyper does not poll the body after the last of
    /// them, so the body may not report its end.
    left: Option<u64>,
    ended: bool,
    delivery: Option<Delivery>,
    guard: RequestGuard,
}

impl ResponseBody {
    pub(crate) fn wrap(
        response: Response,
        delivery: Delivery,
        guard: RequestGuard,
    ) -> Response<Self> {
        let left = content_length(response.headers());
        response.map(|body| Self { body, left, ended: false, delivery: Some(delivery), guard })
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let ended =
            self.ended || self.left == Some(0) || http_body::Body::is_end_stream(&self.body);
        if let Some(delivery) = self.delivery.take().filter(|_| ended) {
            self.guard.state.on_body_end(delivery);
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
                    *left = left.saturating_sub(data.len() as u64);
                }
            }
            Poll::Ready(None) => self.ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
