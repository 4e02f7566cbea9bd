//! Where idempotency keys are kept.

use anyhow::bail;
use clap::Args;

use crate::server::RunComfyMcp;

#[derive(Args, Debug)]
#[command(next_help_heading = "Idempotency keys")]
pub(super) struct IdempotencyArgs {
    /// Keep them in the Redis at this address, redis://… or redis+unix://…, which all servers behind one
    /// name must share; each with the same RUNCOMFY_MCP_REPLAY_SECRET of 32 characters or more [default:
    /// this process's memory]
    #[arg(long, value_name = "URL", env = "RUNCOMFY_MCP_REPLAY_STORE", hide_env_values = true)]
    replay_store: Option<String>,
}

/// Not an option: what stands on the command line can be read by anyone on the machine.
const SECRET: &str = "RUNCOMFY_MCP_REPLAY_SECRET";

impl IdempotencyArgs {
    /// Whether servers share what they have done.
    pub(super) fn is_shared(&self) -> bool {
        self.replay_store.is_some()
    }

    /// Gives the server its store.
    pub(super) async fn apply(
        self,
        server: RunComfyMcp,
        many: bool,
    ) -> anyhow::Result<RunComfyMcp> {
        let Some(url) = self.replay_store else { return Ok(server) };
        if !many {
            bail!("--replay-store is for a server whose callers come with tokens of their own");
        }
        let secret = std::env::var(SECRET).unwrap_or_default();
        if secret.len() < 32 {
            bail!(
                "--replay-store needs {SECRET}, of 32 characters or more, the same for all servers"
            );
        }
        connect(&url, server, secret.as_bytes()).await
    }
}

#[cfg(feature = "redis")]
async fn connect(url: &str, server: RunComfyMcp, secret: &[u8]) -> anyhow::Result<RunComfyMcp> {
    use anyhow::Context;
    let store =
        crate::pipeline::idempotency::RedisStore::connect(url).await.context("--replay-store")?;
    Ok(server.with_replay_store(std::sync::Arc::new(store), secret))
}

#[cfg(not(feature = "redis"))]
async fn connect(_: &str, _: RunComfyMcp, _: &[u8]) -> anyhow::Result<RunComfyMcp> {
    bail!("--replay-store: this build can't; build it with `--features redis`")
}
