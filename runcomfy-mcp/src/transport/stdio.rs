//! MCP over standard input and output: what a client's configuration starts.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use anyhow::Context as _;
use rmcp::{ServiceExt, service::ServerInitializeError, transport::io::stdio_pipes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::RunComfyMcp;

/// Serves until the client closes the pipe or `shutdown` fires, then lets writes under way finish.
///
/// # Errors
/// Where the pipes fail, or what came through them is no MCP.
pub async fn serve(server: RunComfyMcp, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (stdin, stdout) = stdio_pipes();
    // A wait must not hold the process for rmcp's five seconds after the client has gone.
    let stdin = EndsCalls { inner: stdin, ended: shutdown.clone() };
    match server.clone().serve_with_ct((stdin, stdout), shutdown.clone()).await {
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

/// Fires a token at the end of input.
struct EndsCalls<R> {
    inner: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndsCalls<R> {
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
            self.ended.cancel();
        }
        polled
    }
}
