//! `runcomfy-mcp`, `runcomfy-mcp stdio`

use std::io::IsTerminal;

use super::{
    backend::{Backend, settings},
    exit, farewell,
    options::Options,
    parent,
    terminal::{complain, note},
};
use crate::{server::RunComfyMcp, transport};

pub(super) async fn run(options: &Options) -> anyhow::Result<u8> {
    if std::io::stdin().is_terminal() {
        note("This is an MCP server: it waits for a client to speak on stdin. Ctrl-D ends it.");
        note(
            "To see what it does: runcomfy-mcp demo. To connect a client: runcomfy-mcp --help, or the README.",
        );
    }
    let gone = parent::gone();
    let backend = Backend::single(options, None).await?;
    match (backend.emulator_url(), &backend.source) {
        (Some(url), _) => tracing::info!("serving on the built-in emulator at {url}"),
        (None, Some(source)) if backend.not_filled_in => tracing::warn!(
            "the token from {source} looks like a placeholder that the client did not fill in: tools can be listed, \
             calls will say so"
        ),
        (None, Some(source)) => tracing::info!("serving with the token from {source}"),
        (None, None) => {
            tracing::warn!("no token: tools can be listed, calls will say how to set one")
        }
    }
    let mut settings = settings(options);
    // A client that starts the program waits for its end.
    settings.drain = std::time::Duration::from_secs(10);
    let server = RunComfyMcp::new(backend.one(), settings);
    // There is one client, and when it has gone nobody can be told but by the log.
    server.writes().keep_lost();
    let stop = farewell::stop(&server);
    let served = transport::stdio::serve_until(server.clone(), stop.token().clone(), gone.clone());
    let code = match served.await {
        Ok(served) => {
            if !served.heard && stop.signal().is_none() && !gone.is_cancelled() {
                say_what_was_missing();
            }
            0
        }
        Err(error) => {
            complain(&format!("{error:#}"));
            exit::IO
        }
    };
    Ok(code.max(farewell::code(&server)))
}

/// The end comes before a word: whoever started it by hand, or a client by a wrong setting, should know why.
fn say_what_was_missing() {
    complain("stdin was closed before a client said anything, so it ends.");
    note(
        "This is an MCP server: a client starts it, with pipes for its stdin and stdout. To see what it does: \
         runcomfy-mcp demo. To connect a client: runcomfy-mcp --help, or the README.",
    );
}
