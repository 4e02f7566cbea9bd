//! Serves one connection from its first byte to its last.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, TRANSFER_ENCODING},
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    connection_state::ConnectionState,
    delivery::Delivery,
    refusal::refusal,
    request::{PeerAddr, content_length},
    response_body::{RequestGuard, ResponseBody},
    service::Service,
    settings::ConnectionSettings,
    socket::Socket,
};

/// A larger header section, or more than a hundred headers, is answered with 431.
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// During a graceful shutdown: how long a connection without a request stays open.
const IDLE_AT_SHUTDOWN: Duration = Duration::from_millis(500);

/// The two ways to end connections. Cloned into each of them.
#[derive(Clone, Debug, Default)]
pub struct ShutdownSignals {
    /// Closes a connection after the response in progress.
    pub graceful: CancellationToken,
    /// Closes a connection at once.
    pub immediate: CancellationToken,
}

/// Serves one connection over any byte stream until the peer disconnects, a timeout expires, or a signal is sent.
pub async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: PeerAddr,
    service: Service,
    settings: ConnectionSettings,
    signals: ShutdownSignals,
) {
    let state = ConnectionState::new();
    let socket = Socket::new(stream, Arc::clone(&state), settings.write);
    let service = ConnectionService { service, state: state.clone(), peer };
    let mut connection = pin!(
        http1::Builder::new()
            // `timed_out` has separate timeouts for idle connections and for slow headers.
            .header_read_timeout(None)
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            .serve_connection(TokioIo::new(socket), service)
    );
    let mut age = pin!(sleep(settings.age));
    let mut timed_out = pin!(state.timed_out(&settings));
    let mut ending = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // At level debug, because any peer can cause it as often as it likes.
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            reason = &mut timed_out => return tracing::debug!("closed a connection: {reason}"),
            () = signals.immediate.cancelled() => return,
            () = &mut age, if !ending => {}
            () = signals.graceful.cancelled(), if !ending => {}
            // A request whose headers are incomplete has had no effect.
            () = sleep(IDLE_AT_SHUTDOWN), if ending && !state.is_busy() => {
                if !state.is_busy() {
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

/// The service with the state of its connection, which is told where each request starts and ends.
struct ConnectionService {
    service: Service,
    state: Arc<ConnectionState>,
    peer: PeerAddr,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let valid = self.state.begin_request();
        let length = content_length(request.headers()).unwrap_or(0);
        // Hyper ignores a Content-Length beside Transfer-Encoding. A proxy in front may not.
        let ambiguous = request.headers().contains_key(TRANSFER_ENCODING);
        let guard = RequestGuard::new(Arc::clone(&self.state), length);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        let delivery = Delivery::default();
        request.extensions_mut().insert(delivery.receipt());
        let response = valid.then(|| self.service.call(request));
        Box::pin(async move {
            let mut response = match response {
                Some(response) => response.await,
                None => refusal(
                    StatusCode::BAD_REQUEST,
                    "end each header line with CR LF, and send the next request after the response to this one",
                ),
            };
            // Without a close, the rest of the body could be parsed as the next request.
            if !valid || ambiguous || !guard.is_body_received() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(ResponseBody::wrap(response, delivery, guard))
        })
    }
}
