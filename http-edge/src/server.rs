//! Accepts connections up to a limit, and ends them gracefully.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::task::TaskTracker;

use crate::{
    connection::{ShutdownSignals, serve_connection},
    request::PeerAddr,
    service::Service,
    settings::ConnectionSettings,
};

/// The first and the longest pause after an accept that failed, for example because the process is out of file
/// descriptors. Without a pause the server would try in a busy loop.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The idle time after which the system sends TCP keep-alive probes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server that has not started yet.
pub struct Server {
    listener: TcpListener,
    service: Service,
    settings: ConnectionSettings,
    shutdown: Shutdown,
    drain_timeout: Duration,
    slots: Arc<Semaphore>,
}

/// Settings of a [`Server`].
#[derive(Debug)]
pub struct ServerBuilder(Server);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .field("settings", &self.settings)
            .field("drain_timeout", &self.drain_timeout)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// The limits of connections, in place of the defaults.
    #[must_use]
    pub fn settings(mut self, settings: ConnectionSettings) -> Self {
        self.0.settings = settings;
        self
    }

    /// Starts a graceful shutdown when it completes. By default the server never ends.
    #[must_use]
    pub fn shutdown(mut self, shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        self.0.shutdown = Box::pin(shutdown);
        self
    }

    /// How long a graceful shutdown waits for responses in progress: 30 s by default.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.0.drain_timeout = timeout;
        self
    }

    /// The server with these settings.
    #[must_use]
    pub fn build(self) -> Server {
        let mut server = self.0;
        server.slots = Arc::new(Semaphore::new(limit(&server.settings)));
        server
    }
}

impl Server {
    /// A server of this service on this listener.
    pub fn builder(listener: TcpListener, service: impl Into<Service>) -> ServerBuilder {
        ServerBuilder(Self {
            listener,
            service: service.into(),
            settings: ConnectionSettings::default(),
            shutdown: Box::pin(std::future::pending()),
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            slots: Arc::new(Semaphore::new(0)),
        })
    }

    /// A handle that counts the open connections while the server runs.
    #[must_use]
    pub fn open_connections(&self) -> OpenConnections {
        OpenConnections { slots: Arc::clone(&self.slots), limit: limit(&self.settings) }
    }

    /// Accepts connections until the shutdown starts, then waits for responses in progress, and closes what is
    /// left after the drain timeout.
    pub async fn run(self) {
        let Self { listener, service, settings, shutdown, drain_timeout, slots } = self;
        let (tasks, signals) = (TaskTracker::new(), ShutdownSignals::default());
        let acceptor = Acceptor { service, settings, slots, tasks, signals };
        acceptor.accept(listener, shutdown).await;
        acceptor.drain(drain_timeout).await;
    }
}

fn limit(settings: &ConnectionSettings) -> usize {
    settings.most.min(Semaphore::MAX_PERMITS)
}

/// Counts the open connections of a [`Server`].
#[derive(Clone, Debug)]
pub struct OpenConnections {
    slots: Arc<Semaphore>,
    limit: usize,
}

impl OpenConnections {
    /// The number of open connections.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.limit.saturating_sub(self.slots.available_permits()) as u64
    }
}

/// A running server.
struct Acceptor {
    service: Service,
    settings: ConnectionSettings,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    signals: ShutdownSignals,
}

impl Acceptor {
    async fn accept(&self, listener: TcpListener, mut shutdown: Shutdown) {
        let mut pause = FIRST_PAUSE;
        let mut full = false;
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    pause = FIRST_PAUSE;
                    let served = self.spawn(stream, PeerAddr(address));
                    if !served && !full {
                        tracing::warn!(
                            "{} connections are open: more are closed",
                            self.settings.most
                        );
                    }
                    full = !served;
                }
                Err(error) if is_from_peer(&error) => {}
                Err(error) => {
                    if pause == FIRST_PAUSE {
                        tracing::warn!(%error, "could not accept a connection; trying again");
                    }
                    tokio::select! {
                        () = &mut shutdown => return,
                        () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    }
                }
            }
        }
    }

    /// Serves the connection in a task of its own. `false` if too many are open: it is closed.
    fn spawn(&self, stream: TcpStream, peer: PeerAddr) -> bool {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return false };
        if let Err(error) = set_options(&stream) {
            tracing::debug!(%error, "could not set a connection's options");
        }
        let serving = serve_connection(
            stream,
            peer,
            self.service.clone(),
            self.settings.clone(),
            self.signals.clone(),
        );
        self.tasks.spawn(async move {
            serving.await;
            drop(slot);
        });
        true
    }

    async fn drain(&self, timeout: Duration) {
        self.signals.graceful.cancel();
        self.tasks.close();
        if tokio::time::timeout(timeout, self.tasks.wait()).await.is_err() {
            let left = self.tasks.len();
            tracing::warn!("closed {left} connection(s) that were still busy after {timeout:?}");
            self.signals.immediate.cancel();
        }
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Nagle's algorithm would delay each piece of a streamed response by up to 40 ms.
    stream.set_nodelay(true)?;
    // Finds a peer that disappeared without closing, for example because its cable was pulled.
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_AFTER / 3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Whether an accept failed because the peer disconnected meanwhile.
fn is_from_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
        time::timeout,
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(30);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_is_closed_and_open_ones_are_counted() {
        let (listener, mut settings) = (listener().await, ConnectionSettings::default());
        settings.most = 1;
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(async || "served");
        let server = Server::builder(listener, router).settings(settings).build();
        let open = server.open_connections();
        assert_eq!(open.count(), 0);
        let running = tokio::spawn(server.run());
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(REQUEST).await.unwrap();
        assert_eq!(first.read_u8().await.unwrap(), b'H');
        let mut second = TcpStream::connect(address).await.unwrap();
        let mut received = Vec::new();
        let closed = timeout(SOON, second.read_to_end(&mut received)).await;
        drop(closed.expect("the second connection is closed"));
        assert_eq!((received.len(), open.count()), (0, 1));
        running.abort();
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_the_response_in_progress() {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let (begun, draining) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (request_begun, seen) = (Arc::clone(&begun), Arc::clone(&draining));
        let router = Router::new().fallback(move || {
            request_begun.notify_one();
            let seen = Arc::clone(&seen);
            async move {
                seen.notified().await;
                // Long enough for a connection that is closed at once to end first.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let shutdown = async move {
            begun.notified().await;
            draining.notify_one();
        };
        let server = Server::builder(listener, router).shutdown(shutdown).build();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let mut response = String::new();
        let both = async { tokio::join!(server.run(), client.read_to_string(&mut response)) };
        let ((), read) = timeout(SOON, both).await.expect("the server ends");
        read.unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}
