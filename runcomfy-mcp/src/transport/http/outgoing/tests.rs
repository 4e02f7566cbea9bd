//! Which answers count as delivered: peers hang up after each number of bytes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
};

use axum::{Router, extract::Request};
use futures_util::stream;
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    ConnectionSettings,
    pipeline::idempotency::{Arrival, Receipt},
    transport::http::{
        connection::{Ends, Peer, serve},
        site::Site,
    },
};

const TEXT: &str = "an answer in several pieces";

/// How an answer's body comes to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// In one piece, after which it is known to have ended.
    Whole,
    /// In pieces, after which it has to be asked whether there are more.
    Pieces,
    /// The same, with its length in the answer's head.
    PiecesOfKnownLength,
    Empty,
    /// By an error.
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

/// Whether the answer is delivered to a peer that reads so many bytes, all of them where that is not said, and
/// hangs up; and how many it read.
async fn delivered(form: Form, most: Option<usize>) -> (bool, usize) {
    let seen = Arc::new(Mutex::new(None));
    let receipt = Arc::clone(&seen);
    let app = Router::new().fallback(move |request: Request| {
        *receipt.lock().unwrap() = request.extensions().get::<Receipt>().cloned();
        std::future::ready(form.response())
    });
    // The server is never ahead of its peer by more than a byte.
    let (mut near, far) = tokio::io::duplex(1);
    let ends = Ends { softly: CancellationToken::new(), hard: CancellationToken::new() };
    let peer = Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let serving = serve(far, peer, Site::from(app), ConnectionSettings::default(), ends);
    let asking = async move {
        near.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        match most {
            Some(most) => {
                answer.resize(most, 0);
                near.read_exact(&mut answer).await.unwrap();
            }
            None => drop(near.read_to_end(&mut answer).await),
        }
        answer.len()
    };
    let ((), read) = tokio::join!(serving, asking);
    // A peer that goes at once is not answered at all.
    let Some(receipt) = seen.lock().unwrap().take() else { return (false, read) };
    let (tell, told) = std::sync::mpsc::channel();
    receipt.then(move |arrival| tell.send(arrival == Arrival::Delivered).unwrap());
    (told.try_recv().expect("once the connection has ended, it is known"), read)
}

#[tokio::test]
async fn an_answer_is_delivered_once_the_socket_has_its_last_byte() {
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
async fn an_answer_that_breaks_off_is_not_delivered_to_who_reads_all_there_is() {
    assert!(!delivered(Form::Broken, None).await.0);
}
