//! An answer's body on its way out, and whether all of it was handed to the socket.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};

use super::progress::Progress;
use crate::pipeline::idempotency::Delivery;

/// Says that a request has ended, however it did.
pub(super) struct End {
    progress: Arc<Progress>,
    /// The length of its body.
    body: u64,
}

impl End {
    pub(super) fn new(progress: Arc<Progress>, body: u64) -> Self {
        Self { progress, body }
    }

    /// Whether all of the request's body has come.
    pub(super) fn has_received_all(&self) -> bool {
        self.progress.received() >= self.body
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.progress.end(self.body);
    }
}

/// An answer's body. Dropped after its end, its answer is delivered as soon as the socket has taken what the HTTP
/// library still holds of it; dropped before, the answer is lost.
pub(super) struct Outgoing {
    body: Body,
    /// How many bytes are still to come, where the answer has said how many there are: with the last of them the
    /// HTTP library asks for no more, whether or not the body knows that it has ended.
    left: Option<u64>,
    ended: bool,
    delivery: Option<Delivery>,
    end: End,
}

impl Outgoing {
    pub(super) fn of(response: Response, delivery: Delivery, end: End) -> Response<Self> {
        let length = response.headers().get(CONTENT_LENGTH);
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        response.map(|body| Self { body, left, ended: false, delivery: Some(delivery), end })
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let ended =
            self.ended || self.left == Some(0) || http_body::Body::is_end_stream(&self.body);
        if let Some(delivery) = self.delivery.take().filter(|_| ended) {
            self.end.progress.leaves(delivery);
        }
    }
}

impl http_body::Body for Outgoing {
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
