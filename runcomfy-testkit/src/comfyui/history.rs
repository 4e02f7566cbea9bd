//! What a job's entry in the history says about its end.

use serde_json::{Map, Value};

use super::failure;

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Failed(Value),
    Interrupted,
    Succeeded,
}

/// Reads an entry. That a job was interrupted shows in its messages only: its status is "error".
pub(super) fn verdict(entry: &Value) -> Verdict {
    let messages = entry.pointer("/status/messages").and_then(Value::as_array);
    for message in messages.into_iter().flatten() {
        match message.get(0).and_then(Value::as_str) {
            Some("execution_error") => {
                let data = message.get(1).unwrap_or(&Value::Null);
                return Verdict::Failed(failure::of_execution(data));
            }
            Some("execution_interrupted") => return Verdict::Interrupted,
            _ => {}
        }
    }
    match entry.pointer("/status/status_str").and_then(Value::as_str) {
        Some("error") => Verdict::Failed(failure::without_a_cause()),
        _ => Verdict::Succeeded,
    }
}

/// Its outputs, in the order in which the nodes made them.
pub(super) fn outputs(entry: &mut Value) -> Map<String, Value> {
    match entry.get_mut("outputs").map(Value::take) {
        Some(Value::Object(outputs)) => outputs,
        _ => Map::new(),
    }
}
