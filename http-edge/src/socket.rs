//! A socket that reports what passes through it, times out stalled writes, and lingers on close.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::connection_state::ConnectionState;

/// How long a close waits for the peer to stop sending. A socket that is closed with unread bytes sends a reset,
/// and the peer then loses the response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How many bytes are read and thrown away meanwhile, at most.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

pub(crate) struct Socket<S = TcpStream> {
    stream: S,
    state: Arc<ConnectionState>,
    write_timeout: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// The timeout and the bytes that are left, once the socket is being closed.
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Socket<S> {
    pub(crate) fn new(stream: S, state: Arc<ConnectionState>, write_timeout: Duration) -> Self {
        Self { stream, state, write_timeout, stalled: None, linger: None }
    }

    /// Returns the result of a write, or an error if the peer has taken nothing for too long.
    fn check_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            self.state.on_write();
            return written;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        tracing::debug!("closed a connection: it took nothing for {} s", timeout.as_secs());
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(bytes @ [_, ..]) = buffer.filled().get(before..) {
            self.state.on_read(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check_write(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.check_write(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        // Hyper flushes once it has nothing more to write.
        self.state.on_flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        if this.state.is_fully_read() {
            return Poll::Ready(Ok(()));
        }
        let (timeout, left) =
            this.linger.get_or_insert_with(|| (Box::pin(sleep(LINGER_TIMEOUT)), LINGER_BYTES));
        let mut rest = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            if timeout.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer))?;
            *left = left.saturating_sub(buffer.filled().len());
            if buffer.filled().is_empty() || *left == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A server's socket and the client's end of it.
    async fn pair(write_timeout: Duration) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (Socket::new(stream, ConnectionState::new(), write_timeout), peer)
    }

    #[tokio::test]
    async fn a_response_that_the_peer_does_not_take_times_out() {
        let (mut socket, _peer) = pair(Duration::from_millis(50)).await;
        let larger_than_any_buffer = vec![0; 64 << 20];
        let error = socket.write_all(&larger_than_any_buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_response_that_the_peer_takes_slowly_does_not_time_out() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30)).await;
        let take = async {
            let mut taken = Vec::new();
            peer.read_to_end(&mut taken).await.unwrap();
            taken.len()
        };
        let give = async {
            socket.write_all(&vec![0; 8 << 20]).await.unwrap();
            drop(socket);
        };
        assert_eq!(tokio::join!(take, give).0, 8 << 20);
    }

    #[tokio::test]
    async fn a_refusal_reaches_a_peer_that_is_still_sending() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30)).await;
        let refuse = async {
            socket.write_all(b"413").await.unwrap();
            socket.shutdown().await.unwrap();
            drop(socket);
        };
        let read = async {
            // Most clients send the whole request before they read.
            for _ in 0..4 {
                peer.write_all(&[0; 100_000]).await.unwrap();
            }
            let mut response = String::new();
            peer.read_to_string(&mut response).await.unwrap();
            drop(peer);
            response
        };
        assert_eq!(tokio::join!(refuse, read).1, "413");
    }
}
