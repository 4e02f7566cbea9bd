//! A peer's socket, which tells what passes through it and gives up on a peer that takes nothing.

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

use super::progress::Progress;

/// How long the last bytes of an answer may take to be read before the connection is closed: closing with
/// bytes of the peer's unread would take the answer back.
const FAREWELL: Duration = Duration::from_secs(1);
/// And how much of what the peer still sends is thrown away meanwhile: the largest message there may be.
const FAREWELL_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct Socket<S = TcpStream> {
    stream: S,
    progress: Arc<Progress>,
    patience: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    farewell: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Socket<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>, patience: Duration) -> Self {
        Self { stream, progress, patience, stalled: None, farewell: None }
    }

    /// Passes on what became of a write, unless nothing has been taken for too long.
    fn wrote(
        &mut self,
        wrote: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.stalled = None;
            self.progress.wrote();
            return wrote;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        tracing::debug!("closed a connection: it took nothing for {} s", patience.as_secs());
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
            self.progress.read(bytes);
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
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(wrote, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.wrote(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        // The HTTP library flushes when it has nothing more to write, and not before.
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        if this.progress.is_clean() {
            return Poll::Ready(Ok(()));
        }
        let (over, left) =
            this.farewell.get_or_insert_with(|| (Box::pin(sleep(FAREWELL)), FAREWELL_BYTES));
        let mut rest = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut rest);
            if over.as_mut().poll(context).is_ready() {
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

    /// A socket of the server's, and the peer's end.
    async fn pair(patience: Duration) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (Socket::new(stream, Progress::new(), patience), peer)
    }

    #[tokio::test]
    async fn p09_an_answer_that_nobody_takes_is_given_up() {
        let (mut socket, _peer) = pair(Duration::from_millis(50)).await;
        let larger_than_any_buffer = vec![0; 64 << 20];
        let error = socket.write_all(&larger_than_any_buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_bit_by_bit_is_not_given_up() {
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
    async fn a_refusal_outlives_what_the_peer_still_sends() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30)).await;
        let refuse = async {
            socket.write_all(b"413").await.unwrap();
            socket.shutdown().await.unwrap();
            drop(socket);
        };
        let read = async {
            // Most clients send all they have before they read.
            for _ in 0..4 {
                peer.write_all(&[0; 100_000]).await.unwrap();
            }
            let mut told = String::new();
            peer.read_to_string(&mut told).await.unwrap();
            drop(peer);
            told
        };
        assert_eq!(tokio::join!(refuse, read).1, "413");
    }
}
