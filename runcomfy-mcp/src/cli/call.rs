//! `runcomfy-mcp call`

mod answer;

use std::{io::Read, pin::pin};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::{
    backend::{Backend, settings},
    exit::{self, End},
    last_resort,
    options::Options,
    signals::{Signal, Stop},
    terminal::{complain, note, tell},
};
use crate::{
    pipeline::{progress::Progress, tool::ToolEntry, writes::Write},
    result::{ToolError, ToolResult},
    server::RunComfyMcp,
    tools::{self, TOOLS},
};

/// Call one tool from the shell.
///
/// Prints the result as JSON on stdout, progress on stderr. Exit codes: 0 fine, 1 the run failed or was
/// cancelled, 64 wrong arguments or settings, 65 refused, 69 RunComfy unavailable, 70 a bug here, 74 the result
/// could not be written, 75 try later (also a wait that ran out), 77 not allowed.
///
/// Told to end (Ctrl-C, a closed terminal), it lets a call that changes something finish first, so that what may
/// be billed is known; told twice, it ends at once. Ids are on stderr, too, where the result could not be written or
/// it was told to end; where stderr takes nothing either, in a file undelivered-….json in
/// ~/.local/state/runcomfy-mcp.
#[derive(Args, Debug)]
pub(super) struct Call {
    /// The tool, such as list_deployments
    #[arg(value_name = "TOOL")]
    tool: String,

    /// Its arguments as a JSON object; `-` reads them from stdin
    #[arg(value_name = "JSON", default_value = "{}")]
    arguments: String,
}

impl Call {
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<End> {
        let Some(entry) = tools::find(&self.tool) else {
            let known: Vec<_> = TOOLS.iter().map(ToolEntry::name).collect();
            complain(&format!("there is no tool {:?}; there are {}", self.tool, known.join(", ")));
            return Ok(exit::USAGE.into());
        };
        let arguments = match arguments(self.arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                complain(&format!("{error:#}"));
                return Ok(exit::USAGE.into());
            }
        };
        let backend = Backend::single(options, None).await?;
        let server = RunComfyMcp::new(backend.one(), settings(options).for_terminal());
        let writes = server.writes().clone();
        let stop = Stop::listen(move |signal| {
            writes.under_way().iter().for_each(gave_up);
            signal.die()
        });
        let outcome = match called(&server, entry, arguments, &stop).await {
            Ok(outcome) => outcome,
            Err(signal) => return Ok(End::Signal(signal)),
        };
        let (payload, code) = match outcome {
            Ok(reply) => {
                let payload = reply.into_payload();
                let bad_end = matches!(
                    payload.get("state").and_then(Value::as_str),
                    Some("failed" | "cancelled")
                );
                // A status that says so is the answer that was asked for; a result that says so is not.
                let code = if bad_end && payload.contains_key("result") {
                    exit::FAILURE
                } else if payload.contains_key("timed_out") {
                    exit::LATER
                } else {
                    0
                };
                (payload, code)
            }
            Err(fault) => {
                let code = exit::code(fault.kind());
                (fault.into_payload(), code)
            }
        };
        let end = stop.signal().map_or(End::Code(code), End::Signal);
        Ok(answer::give(entry, &payload, end))
    }
}

/// Makes the call. Told to end, one that only reads is broken off; another is finished, without more waiting, for as
/// long as a server would let it.
///
/// # Errors
/// It was broken off, or given up.
async fn called(
    server: &RunComfyMcp,
    entry: &'static ToolEntry,
    arguments: Map<String, Value>,
    stop: &Stop,
) -> Result<Result<ToolResult, ToolError>, Signal> {
    let mut call = pin!(server.call_direct(entry, arguments, Progress::Lines(note)));
    let signal = tokio::select! {
        biased;
        outcome = &mut call => return Ok(outcome),
        signal = stop.asked() => signal,
    };
    if entry.only_reads() {
        return Err(signal);
    }
    complain(&format!(
        "{signal}: {} is finished first, as it may have taken effect; a second signal ends at once",
        entry.name()
    ));
    server.ending().cancel();
    timeout(server.settings().drain, call).await.map_err(|_| {
        server.writes().under_way().iter().for_each(gave_up);
        signal
    })
}

/// Nobody will learn what it did.
fn gave_up(write: &Write) {
    let line = format!("runcomfy-mcp: gave up on a call under way: {write}");
    if tell(&line).is_err() {
        last_resort::leave(&json!(write).to_string());
    }
}

fn arguments(text: String) -> anyhow::Result<Map<String, Value>> {
    let text = if text == "-" {
        let mut all = String::new();
        std::io::stdin()
            .read_to_string(&mut all)
            .context("could not read the arguments from stdin")?;
        all
    } else {
        text
    };
    // Windows PowerShell and Notepad write a byte order mark before it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match serde_json::from_str(text).context("the arguments are no JSON")? {
        Value::Object(arguments) => Ok(arguments),
        _ => bail!("the arguments must be a JSON object, such as '{{\"deployment_id\": \"…\"}}'"),
    }
}
