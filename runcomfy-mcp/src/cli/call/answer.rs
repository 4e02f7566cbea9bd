//! What a call came to, on its way to whoever made it: on stdout, and by whatever way is left where that fails.

use std::io::ErrorKind;

use serde_json::{Map, Value};

use crate::{
    cli::{
        exit::{self, End},
        last_resort,
        terminal::{complain, say_json, stdout_is_null, tell, visible},
    },
    pipeline::tool::ToolEntry,
};

/// Prints it. Gives how the program ends, where it would be `end` if all was written.
pub(super) fn give(entry: &ToolEntry, payload: &Map<String, Value>, end: End) -> End {
    let written = say_json(payload);
    let harmless = entry.only_reads() || had_no_effect(payload);
    if let Err(error) = &written
        // Whoever closes the pipe early has what they want.
        && !(harmless && error.kind() == ErrorKind::BrokenPipe)
    {
        complain(&format!("could not write the answer to stdout: {error}"));
    }
    let told_to_end = matches!(end, End::Signal(_));
    if !harmless && (written.is_err() || told_to_end || stdout_is_null()) {
        let told = say_ids(entry, payload).and_then(|()| match &written {
            Ok(()) => Ok(()),
            // There may be more to it than ids.
            Err(_) => tell(&visible(&Value::Object(payload.clone()).to_string())),
        });
        if told.is_err() && (written.is_err() || stdout_is_null()) {
            last_resort::leave(&Value::Object(payload.clone()).to_string());
        }
    }
    match (written, end) {
        (Err(_), End::Code(_)) => End::Code(exit::IO),
        (_, end) => end,
    }
}

/// Whether it is known that nothing was changed.
fn had_no_effect(payload: &Map<String, Value>) -> bool {
    let outcome = payload.get("outcome").and_then(Value::as_str);
    outcome.is_some_and(|outcome| matches!(outcome, "not_sent" | "rejected"))
}

fn say_ids(entry: &ToolEntry, payload: &Map<String, Value>) -> std::io::Result<()> {
    let ids = [
        ("request_id", payload.get("request_id")),
        ("deployment_id", payload.get("deployment_id")),
        ("deployment_id", payload.get("deployment").and_then(|deployment| deployment.get("id"))),
        ("outcome", payload.get("outcome")),
    ];
    let ids =
        ids.iter().filter_map(|(name, id)| Some(format!("{name} {}", id.as_ref()?.as_str()?)));
    let ids: Vec<_> = ids.collect();
    let ids = if ids.is_empty() { "done".to_owned() } else { ids.join(", ") };
    tell(&format!("runcomfy-mcp: {}: {}", entry.name(), visible(&ids)))
}
