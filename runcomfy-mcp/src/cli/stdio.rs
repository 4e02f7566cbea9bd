//! `runcomfy-mcp`, `runcomfy-mcp stdio`

use std::io::IsTerminal;

use super::{
    Options,
    backend::{Backend, settings},
    serve::stop_signal,
    terminal::note,
};
use crate::{RunComfyMcp, transport};

pub(super) async fn run(options: &Options) -> anyhow::Result<u8> {
    if std::io::stdin().is_terminal() {
        note("This is an MCP server: it waits for a client to speak on stdin. Ctrl-D ends it.");
        note(
            "To see what it does: runcomfy-mcp demo. To connect a client: runcomfy-mcp --help, or the README.",
        );
    }
    let backend = Backend::single(options, None).await?;
    match (backend.emulator_url(), &backend.source) {
        (Some(url), _) => tracing::info!("serving on the built-in emulator at {url}"),
        (None, Some(source)) => tracing::info!("serving with the token from {source}"),
        (None, None) => {
            tracing::warn!("no token: tools can be listed, calls will say how to set one")
        }
    }
    let mut settings = settings(options);
    // A client that starts the program waits for its end.
    settings.drain = std::time::Duration::from_secs(10);
    let server = RunComfyMcp::new(backend.one(), settings);
    transport::stdio::serve(server, stop_signal()).await?;
    Ok(0)
}
