//! `runcomfy-mcp doctor`

use runcomfy_core::{ListDeployments, Operation, RunComfyApi};

use super::{Options, backend::Backend, credentials, exit, terminal::say};
use crate::reply::hint;

pub(super) async fn run(options: &Options) -> anyhow::Result<u8> {
    say(&format!("runcomfy-mcp {}", env!("CARGO_PKG_VERSION")));
    let backend = match Backend::single(options, None).await {
        Ok(backend) => backend,
        Err(error) => {
            say(&format!("settings     not usable: {error:#}"));
            return Ok(exit::USAGE);
        }
    };
    match backend.emulator_url() {
        Some(url) => say(&format!("service      the built-in emulator at {url}")),
        None => {
            say(&format!("service      {} (queue paths {:?})", options.base_url, options.queue_api))
        }
    }
    match &backend.source {
        Some(source) => say(&format!("token        from {source} (not shown)")),
        None if options.emulator => say("token        none needed"),
        None => say(&format!("token        none: set {}", credentials::VARIABLES[0])),
    }
    let manager = if options.allow_manager_routes { "allowed" } else { "refused" };
    say(&format!("limits       ComfyUI-Manager's routes are {manager}"));
    match backend.api.list_deployments(&ListDeployments::all()).await {
        Ok(found) => {
            let paused =
                found.iter().filter(|deployment| deployment.is_enabled == Some(false)).count();
            let warm: u64 = found
                .iter()
                .filter(|d| d.is_enabled != Some(false))
                .filter_map(|d| d.min_instances)
                .sum();
            say(&format!("connection   works: {} deployment(s), {paused} paused", found.len()));
            if warm > 0 {
                say(&format!(
                    "cost         {warm} instance(s) are kept warm and billed with nothing to do"
                ));
            }
            say("All is well. Connect a client: see the README, or `runcomfy-mcp demo`.");
            Ok(0)
        }
        Err(error) => {
            say(&format!("connection   does not work: {error}"));
            let mut cause = std::error::Error::source(&error);
            while let Some(beneath) = cause {
                say(&format!("             because: {beneath}"));
                cause = beneath.source();
            }
            say(&format!(
                "             {}",
                hint(
                    error.kind(),
                    Operation::ListDeployments,
                    error.outcome(),
                    error.status_code()
                )
            ));
            Ok(exit::code(error.kind().as_str()))
        }
    }
}
