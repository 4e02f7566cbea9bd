//! `runcomfy-mcp call`

use std::io::Read;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value};

use super::{
    Options,
    backend::{Backend, settings},
    exit,
    terminal::{complain, note, say_json},
};
use crate::{
    RunComfyMcp,
    call::Progress,
    tools::{self, TOOLS},
};

/// Call one tool from the shell.
///
/// Prints the result as JSON on stdout, progress on stderr. Exit codes: 0 fine, 1 the run failed or was
/// cancelled, 64 wrong arguments or settings, 65 refused, 69 RunComfy unavailable, 70 a bug here, 75 try later
/// (also a wait that ran out), 77 not allowed.
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
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<u8> {
        let Some(entry) = tools::find(&self.tool) else {
            let known: Vec<_> = TOOLS.iter().map(tools::Entry::name).collect();
            complain(&format!("there is no tool {:?}; there are {}", self.tool, known.join(", ")));
            return Ok(exit::USAGE);
        };
        let arguments = match arguments(self.arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                complain(&format!("{error:#}"));
                return Ok(exit::USAGE);
            }
        };
        let backend = Backend::single(options, None).await?;
        let server = RunComfyMcp::new(backend.one(), settings(options).for_terminal());
        let outcome = server.call_direct(entry, arguments, Progress::Lines(note)).await;
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
        say_json(&payload);
        Ok(code)
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
    match serde_json::from_str(&text).context("the arguments are no JSON")? {
        Value::Object(arguments) => Ok(arguments),
        _ => bail!("the arguments must be a JSON object, such as '{{\"deployment_id\": \"…\"}}'"),
    }
}
