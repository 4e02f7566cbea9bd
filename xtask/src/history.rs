//! The long run of the history tests: many users, faults and restarts, and every answer held against what the
//! service did.

use crate::shell::{command, run as run_command, step};

const SEEDS: u64 = 20;
const CALLS: &str = "10000";

/// Under twenty seeds, or under this one.
pub(crate) fn run(seed: Option<u64>) -> anyhow::Result<()> {
    // As tests are built anyway: a release build would take longer than it saves.
    let line =
        "cargo test --locked --package runcomfy-mcp --test history -- --nocapture --test-threads 1";
    let seeds = if seed.is_some() { 1 } else { SEEDS };
    step("histories", || {
        run_command(
            command(line)?
                .env("RUNCOMFY_HISTORY_SEED", seed.unwrap_or(0).to_string())
                .env("RUNCOMFY_HISTORY_SEEDS", seeds.to_string())
                .env("RUNCOMFY_HISTORY_OPERATIONS", CALLS),
        )
    })
}
