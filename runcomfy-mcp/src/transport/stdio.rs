//! MCP over standard input and output: what a client's configuration starts.

mod lines;
mod opening;

use std::time::Duration;

use anyhow::Context as _;
use rmcp::{ServiceExt, service::ServerInitializeError, transport::io::stdio_pipes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use self::lines::Lines;
use crate::RunComfyMcp;

/// Serves until the client closes the pipe or `shutdown` fires. Either way waits answer at once, and calls
/// and writes under way may finish.
///
/// # Errors
/// Where the pipes fail, or what came through them is no MCP.
pub async fn serve(server: RunComfyMcp, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (stdin, stdout) = stdio_pipes();
    serve_pipes(server, Box::new(stdin), Box::new(stdout), shutdown).await
}

/// The same over any two pipes. Boxed, so that there is all of this once in the program.
pub(crate) async fn serve_pipes(
    server: RunComfyMcp,
    input: Box<dyn AsyncRead + Send + Unpin>,
    output: Box<dyn AsyncWrite + Send + Unpin>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // rmcp lets calls finish for five seconds after the client has gone: a wait must not use them up.
    let (left, ending) = (server.left().clone(), server.ending().clone());
    let lines = Lines::new(input, output, server.settings().max_line_bytes, left.clone());
    tokio::spawn(async move {
        left.cancelled().await;
        ending.cancel();
    });
    let service = CancellationToken::new();
    let (stopping, stop) = (server.clone(), service.clone());
    tokio::spawn(async move {
        shutdown.cancelled().await;
        stopping.drain().await;
        tokio::time::sleep(TO_WRITE_ANSWERS).await;
        stop.cancel();
    });
    match server.clone().serve_with_ct(lines, service).await {
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
