//! How a server ends: nothing that may have been billed is forgotten.

use serde_json::json;

use super::{
    exit, last_resort, logging,
    signals::{Signal, Stop},
};
use crate::{pipeline::writes::Write, server::RunComfyMcp};

/// Listens for requests to end. At the second one the log is told of what is under way, and the program ends.
pub(super) fn stop(server: &RunComfyMcp) -> Stop {
    let writes = server.writes().clone();
    let stop = Stop::listen(move |signal: Signal| {
        writes.give_up();
        leave_if_unlogged(&writes.under_way());
        std::process::exit(signal.exit_code().into())
    });
    let told = stop.clone();
    tokio::spawn(async move {
        let signal = told.asked().await;
        tracing::info!("{signal}: finishing what is under way");
    });
    stop
}

/// The exit code by what became of calls that change something. Where the log takes nothing either, what is known of
/// them is left in a file.
pub(super) fn code(server: &RunComfyMcp) -> u8 {
    let lost = server.writes().undelivered();
    leave_if_unlogged(&lost);
    if lost.is_empty() { 0 } else { exit::IO }
}

fn leave_if_unlogged(writes: &[Write]) {
    if !logging::flush() && !writes.is_empty() {
        last_resort::leave(&json!(writes).to_string());
    }
}
