//! `runcomfy-mcp errors`

use std::process::ExitCode;

use clap::Args;
use runcomfy_core::{Error, ErrorKind, error::Operation};
use serde_json::json;

use super::{exit, terminal::Answer};
use crate::result::{OWN_KINDS, hint};

/// List the kinds of error: what each means, what is known of its effect, what to do.
#[derive(Args, Debug)]
pub(super) struct Errors {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

impl Errors {
    pub(super) fn run(&self) -> ExitCode {
        let mut answer = Answer::default();
        let mut rows: Vec<_> = ErrorKind::ALL
            .iter()
            .map(|kind| {
                // The outcome and advice as they are for the call where they matter most.
                let error = Error::new(Operation::SubmitRequest, *kind);
                let advice = hint(*kind, Operation::SubmitRequest, error.outcome(), None);
                (kind.as_str(), kind.to_string(), error.outcome().as_str(), advice)
            })
            .collect();
        rows.extend(
            OWN_KINDS.map(|own| (own.word, own.meaning.to_owned(), own.outcome.as_str(), own.hint)),
        );
        rows.sort_unstable();
        if self.json {
            let rows: Vec<_> = rows
                .iter()
                .map(|(kind, meaning, outcome, advice)| {
                    json!({"kind": kind, "meaning": meaning, "outcome": outcome, "hint": advice, "exit_code": exit::code(kind)})
                })
                .collect();
            answer.say(&serde_json::to_string_pretty(&rows).unwrap_or_default());
        } else {
            for (kind, meaning, outcome, advice) in rows {
                answer.say(&format!(
                    "{kind} (exit code {})\n  {meaning}; {outcome}\n  {advice}\n",
                    exit::code(kind)
                ));
            }
        }
        answer.end(0).into()
    }
}
