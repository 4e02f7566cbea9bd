//! MCP over standard input and output: what a client's configuration starts.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use rmcp::{ServiceExt, service::ServerInitializeError, transport::io::stdio_pipes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::RunComfyMcp;

/// Serves until the client closes the pipe or `shutdown` fires. Either way waits answer at once, and calls
/// and writes under way may finish.
///
/// # Errors
/// Where the pipes fail, or what came through them is no MCP.
pub async fn serve(server: RunComfyMcp, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (stdin, stdout) = stdio_pipes();
    // rmcp lets calls finish for five seconds after the client has gone: a wait must not use them up.
    let stdin = EndsWaits { inner: stdin, ending: server.ending().clone() };
    let service = CancellationToken::new();
    let (stopping, stop) = (server.clone(), service.clone());
    tokio::spawn(async move {
        shutdown.cancelled().await;
        stopping.drain().await;
        tokio::time::sleep(TO_WRITE_ANSWERS).await;
        stop.cancel();
    });
    match server.clone().serve_with_ct((stdin, stdout), service).await {
        Ok(running) => {
            running.waiting().await.context("the server's task failed")?;
        }
        // Closing the pipe before saying a word is a way to go, not a fault.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {}
        Err(error) => return Err(error).context("the client did not speak MCP"),
    }
    server.drain().await;
    Ok(())
}

/// From the last call's end to closing the pipe: rmcp has no way to ask whether all is written.
const TO_WRITE_ANSWERS: Duration = Duration::from_millis(100);

/// Fires a token at the end of input.
struct EndsWaits<R> {
    inner: R,
    ending: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndsWaits<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let at_end =
            matches!(&polled, Poll::Ready(Ok(())) if buf.filled().len() == before && room > 0);
        if at_end || matches!(&polled, Poll::Ready(Err(_))) {
            self.ending.cancel();
        }
        polled
    }
}
