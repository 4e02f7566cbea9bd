//! MCP over standard input and output: what a client's configuration starts.

mod lines;
mod open;
mod opening;
mod output;

use std::{io, time::Duration};

use anyhow::Context as _;
use rmcp::{ServiceExt, service::ServerInitializeError, transport::io::stdio_pipes};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::lines::{LineBounds, Lines};
use crate::server::RunComfyMcp;

/// Serves until the client closes the pipe or `shutdown` fires. Either way waits answer at once, and calls
/// and writes under way may finish.
///
/// # Errors
/// Where the pipes fail, otherwise than by being closed.
pub async fn serve(server: RunComfyMcp, shutdown: CancellationToken) -> anyhow::Result<()> {
    let gone = CancellationToken::new();
    serve_until(server, shutdown, gone).await.map(drop)
}

/// The same; `gone` fires when the client is known to have gone, whoever holds its end of the pipe.
pub(crate) async fn serve_until(
    server: RunComfyMcp,
    shutdown: CancellationToken,
    gone: CancellationToken,
) -> anyhow::Result<Served> {
    let (stdin, stdout) = stdio_pipes();
    serve_pipes(server, Box::new(stdin), Box::new(stdout), [shutdown, gone]).await
}

/// What a session was like.
#[derive(Debug)]
pub(crate) struct Served {
    /// The client said something.
    pub(crate) heard: bool,
}

/// The same over any two pipes. Boxed, so that there is all of this once in the program.
pub(crate) async fn serve_pipes(
    server: RunComfyMcp,
    input: Box<dyn AsyncRead + Send + Unpin>,
    output: Box<dyn AsyncWrite + Send + Unpin>,
    [shutdown, gone]: [CancellationToken; 2],
) -> anyhow::Result<Served> {
    // A wait must not use up the time that calls are given once the client has gone.
    let (left, ending) = (server.left().clone(), server.ending().clone());
    let settings = server.settings();
    let bounds = LineBounds { line: settings.max_line_bytes, drain: settings.drain };
    let lines = Lines::new(input, output, bounds, left.clone(), gone);
    let state = lines.state().clone();
    tokio::spawn(async move {
        left.cancelled().await;
        ending.cancel();
    });
    let service = CancellationToken::new();
    let (stopping, stop, answers) = (server.clone(), service.clone(), state.clone());
    tokio::spawn(async move {
        shutdown.cancelled().await;
        stopping.drain().await;
        // Where the client takes none, it is no use to wait.
        let _ = timeout(TO_WRITE_ANSWERS, answers.all_answered()).await;
        stop.cancel();
    });
    let served = match server.clone().serve_with_ct(lines, service).await {
        Ok(running) => running.waiting().await.map(drop).context("the server's task failed"),
        // Closing the pipe before saying a word is a way to go, not a fault; so is not to read the answer.
        Err(
            ServerInitializeError::ConnectionClosed(_)
            | ServerInitializeError::Cancelled
            | ServerInitializeError::TransportError { .. },
        ) => Ok(()),
        Err(error) => Err(error).context("the client did not speak MCP"),
    };
    server.drain().await;
    served?;
    match state.failure() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("an answer could not be written: {error}"))
        }
        _ => Ok(Served { heard: state.heard() }),
    }
}

/// How long answers may take to be written, from the last call's end on.
const TO_WRITE_ANSWERS: Duration = Duration::from_secs(1);
