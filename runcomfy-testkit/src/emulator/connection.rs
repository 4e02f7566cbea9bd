//! Accepts connections that a fault can take over from the HTTP server.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    faults::{Fault, FaultKind, raw},
    shared::SharedState,
};
use crate::sync::lock;

/// The listener. Cancelling `cut` aborts all connections.
pub(super) struct Connections {
    pub(super) listener: TcpListener,
    pub(super) shared: Arc<SharedState>,
    /// Ends what faults do with connections.
    pub(super) stop: CancellationToken,
    pub(super) cut: CancellationToken,
}

pub(super) struct Connection {
    connection: ConnectionHandle,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Access to a connection for the calls that arrive over it.
#[derive(Clone)]
pub(super) struct ConnectionHandle {
    /// `None` once a fault has taken the connection.
    stream: Arc<Mutex<Option<TcpStream>>>,
    stop: CancellationToken,
}

impl ConnectionHandle {
    /// Takes the connection from the HTTP server, which then neither reads nor writes.
    pub(super) fn take(&self) -> Option<TcpStream> {
        self.stream().take()
    }

    /// Resolves when the emulator stops.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    fn stream(&self) -> MutexGuard<'_, Option<TcpStream>> {
        lock(&self.stream)
    }
}

impl Connected<IncomingStream<'_, Connections>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().connection.clone()
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let Some(stream) = self.without_fault(stream) else { continue };
            // Responses are small and written at once, so Nagle's algorithm would only delay them.
            drop(stream.set_nodelay(true));
            let connection = ConnectionHandle {
                stream: Arc::new(Mutex::new(Some(stream))),
                stop: self.stop.clone(),
            };
            let cut = Box::pin(self.cut.clone().cancelled_owned());
            return (Connection { connection, cut }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connections {
    /// Applies the faults of new connections. Returns the connection if there is none.
    fn without_fault(&self, stream: TcpStream) -> Option<TcpStream> {
        let fault = self.shared.faults.at_accept();
        self.shared.call_log.connection_accepted(fault.as_ref().map(Fault::kind));
        match fault.as_ref().map(Fault::kind) {
            None => return Some(stream),
            Some(FaultKind::ResetAtAccept) => raw::reset(stream),
            Some(_) => {
                let stop = self.stop.clone();
                tokio::spawn(async move { stop.run_until_cancelled(raw::close(stream)).await });
            }
        }
        None
    }
}

impl Connection {
    /// Polls the stream. Returns an error once the connection was aborted and wakes the task for that too.
    /// `None` if a fault has taken the stream.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        what: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Option<Poll<io::Result<T>>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Some(Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        self.connection.stream().as_mut().map(|stream| what(Pin::new(stream), context))
    }
}

/// The error that makes the HTTP server abandon a taken connection.
fn taken<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Pending, because an error would also end the call that took the connection.
        self.poll(context, |stream, context| stream.poll_read(context, buffer))
            .unwrap_or(Poll::Pending)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, |stream, context| stream.poll_write(context, bytes))
            .unwrap_or_else(taken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Ready, because there is nothing to flush and an error would end the call that took the connection.
        self.poll(context, |stream, context| stream.poll_flush(context))
            .unwrap_or(Poll::Ready(Ok(())))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |stream, context| stream.poll_shutdown(context))
            .unwrap_or(Poll::Ready(Ok(())))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, |stream, context| stream.poll_write_vectored(context, parts))
            .unwrap_or_else(taken)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
