//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    answer,
    outgoing::{End, Outgoing},
    progress::Progress,
    site::Site,
    socket::Socket,
};
use crate::{ConnectionSettings, pipeline::idempotency::Delivery};

/// Headers larger than this, or more than a hundred of them, get a 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Once the server ends: how long a peer has that is not being answered.
const TO_GO: Duration = Duration::from_millis(500);

/// How a connection is asked to end.
#[derive(Clone)]
pub(super) struct Ends {
    /// After the answer under way.
    pub(super) softly: CancellationToken,
    /// At once.
    pub(super) hard: CancellationToken,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves it until the peer has gone, has used up its time, or the server ends.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    app: Site,
    times: ConnectionSettings,
    ends: Ends,
) {
    let progress = Progress::new();
    let socket = Socket::new(stream, Arc::clone(&progress), times.write);
    let service = Watched { app, progress: progress.clone(), peer };
    let mut connection = pin!(
        http1::Builder::new()
            // Ours tell an idle peer from a slow one.
            .header_read_timeout(None)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            .serve_connection(TokioIo::new(socket), service)
    );
    let mut age = pin!(sleep(times.age));
    let mut overdue = pin!(progress.overdue(&times));
    let mut ending = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // The peer's doing, which it may repeat as often as it likes.
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            why = &mut overdue => return tracing::debug!("closed a connection: {why}"),
            () = ends.hard.cancelled() => return,
            () = &mut age, if !ending => {}
            () = ends.softly.cancelled(), if !ending => {}
            // A request whose head is not all there has had no effect.
            () = sleep(TO_GO), if ending && !progress.is_busy() => {
                if !progress.is_busy() {
                    return;
                }
            }
        }
        if !ending {
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// What answers, told of each request's beginning and end.
struct Watched {
    app: Site,
    progress: Arc<Progress>,
    peer: Peer,
}

impl Service<Request<Incoming>> for Watched {
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Outgoing>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let sound = self.progress.begin();
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
        // The library takes "chunked" and forgets a length beside it; whoever is in front may not.
        let ambiguous = request.headers().contains_key(TRANSFER_ENCODING);
        let end = End::new(Arc::clone(&self.progress), length);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        let delivery = Delivery::default();
        request.extensions_mut().insert(delivery.receipt());
        let answer = sound.then(|| self.app.answer(request));
        Box::pin(async move {
            let mut response = match answer {
                Some(answer) => answer.await,
                None => answer::refusal(
                    StatusCode::BAD_REQUEST,
                    "end each line with CR LF, and send a request after the last one's answer",
                ),
            };
            // What is still to come of the message could be taken for the next request.
            let whole = end.has_received_all();
            if !sound || ambiguous || !whole {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(Outgoing::of(response, delivery, end))
        })
    }
}
