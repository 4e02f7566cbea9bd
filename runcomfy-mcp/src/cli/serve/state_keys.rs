//! The keys that servers behind one name share, to know each other's questions.

use anyhow::Context;

use crate::server::RunComfyMcp;

/// Not an option: what stands on the command line can be read by anyone on the machine.
const KEYS: &str = "RUNCOMFY_MCP_SEALING_KEYS";

pub(super) const HELP: &str = "\
RUNCOMFY_MCP_SEALING_KEYS: what servers behind one name sign their questions to users with, so that the answer may \
reach any of them: 32 random characters or more, the same for all; to change it without a gap, NEW,OLD (first OLD,NEW \
everywhere). Without it, a key of this process's own.";

/// Whether servers share keys, and so the questions that they ask.
pub(super) fn is_shared() -> bool {
    std::env::var(KEYS).is_ok_and(|keys| !keys.trim().is_empty())
}

/// Gives the server the keys of the environment, if there are any.
pub(super) fn apply(server: RunComfyMcp) -> anyhow::Result<RunComfyMcp> {
    let keys = std::env::var(KEYS).unwrap_or_default();
    let keys: Vec<&str> = keys.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        return Ok(server);
    }
    server.with_sealing_keys(&keys).context(KEYS)
}
