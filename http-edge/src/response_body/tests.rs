//! Which responses count as delivered, for a peer that disconnects after each possible number of bytes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
};

use axum::{Router, extract::Request};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header::CONTENT_LENGTH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    connection::{ShutdownSignals, serve_connection},
    delivery::{DeliveryOutcome, DeliveryReceipt},
    request::PeerAddr,
    service::Service,
    settings::ConnectionSettings,
};

const TEXT: &str = "a response in several pieces";

/// How a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// After one piece, and it knows that it has ended.
    Whole,
    /// After several pieces, and it must be polled to know that it has ended.
    Pieces,
    /// The same with a `Content-Length`.
    PiecesOfKnownLength,
    Empty,
    /// With an error.
    Broken,
}

impl Form {
    fn response(self) -> Response {
        let pieces = || TEXT.split_inclusive(' ').map(Ok::<_, std::io::Error>);
        let body = match self {
            Self::Whole => Body::from(TEXT),
            Self::Pieces | Self::PiecesOfKnownLength => Body::from_stream(stream::iter(pieces())),
            Self::Empty => Body::empty(),
            Self::Broken => {
                let error = Err(std::io::ErrorKind::Other.into());
                Body::from_stream(stream::iter(pieces().chain([error])))
            }
        };
        let mut response = Response::new(body);
        if self == Self::PiecesOfKnownLength {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(TEXT.len()));
        }
        if self == Self::Empty {
            *response.status_mut() = StatusCode::ACCEPTED;
        }
        response
    }
}

/// Whether the response counts as delivered for a peer that reads `most` bytes (all of them for `None`) and
/// disconnects, and how many bytes it read.
async fn delivered(form: Form, most: Option<usize>) -> (bool, usize) {
    let seen = Arc::new(Mutex::new(None));
    let receipt = Arc::clone(&seen);
    let app = Router::new().fallback(move |request: Request| {
        *receipt.lock().unwrap() = request.extensions().get::<DeliveryReceipt>().cloned();
        std::future::ready(form.response())
    });
    // So small that the server is at most one byte ahead of its peer.
    let (mut near, far) = tokio::io::duplex(1);
    let peer = PeerAddr(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let (settings, signals) = (ConnectionSettings::default(), ShutdownSignals::default());
    let serving = serve_connection(far, peer, Service::from(app), settings, signals);
    let client = async move {
        near.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut response = Vec::new();
        match most {
            Some(most) => {
                response.resize(most, 0);
                near.read_exact(&mut response).await.unwrap();
            }
            None => drop(near.read_to_end(&mut response).await),
        }
        response.len()
    };
    let ((), read) = tokio::join!(serving, client);
    // A peer that disconnects at once gets no response at all.
    let Some(receipt) = seen.lock().unwrap().take() else { return (false, read) };
    let (sender, received) = std::sync::mpsc::channel();
    receipt.on_settled(move |outcome| sender.send(outcome).unwrap());
    let outcome = received.try_recv().expect("the outcome is known once the connection has ended");
    (outcome == DeliveryOutcome::Delivered, read)
}

#[tokio::test]
async fn a_response_is_delivered_once_the_socket_has_its_last_byte() {
    for form in [Form::Whole, Form::Pieces, Form::PiecesOfKnownLength, Form::Empty] {
        let (all, length) = delivered(form, None).await;
        assert!(all, "{form:?}");
        for read in (0..length - 1).chain([length]) {
            assert_eq!(
                delivered(form, Some(read)).await.0,
                read == length,
                "{form:?}: {read} of {length}"
            );
        }
    }
}

#[tokio::test]
async fn a_response_that_ends_with_an_error_is_not_delivered() {
    assert!(!delivered(Form::Broken, None).await.0);
}
