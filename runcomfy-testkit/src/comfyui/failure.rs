//! The `error` of a failed run's result.
//!
//! Each is an object with `type` and `message`, as the service documents it, and details from ComfyUI.

use runcomfy_core::Workflow;
use serde_json::{Map, Value, json};

use super::{error::ComfyError, job::FileKind};
use crate::text::clip;

/// The longest text from ComfyUI that is kept, in bytes. Messages repeat input values, which may be files.
const LONGEST: usize = 8 * 1024;

/// A node raised an exception. `data` is the data of `execution_error`.
pub(super) fn of_execution(data: &Value) -> Value {
    let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let exception = text("exception_type");
    // The message ends with a line break.
    let message = text("exception_message").trim_end();
    json!({
        "type": clip(exception, LONGEST),
        "message": clip(message, LONGEST),
        "node_id": data.get("node_id"),
        "node_type": data.get("node_type"),
        "exception_type": clip(exception, LONGEST),
        "exception_message": clip(message, LONGEST),
    })
}

/// The history says only that the run failed.
pub(super) fn without_a_cause() -> Value {
    json!({"type": "execution_error", "message": "ComfyUI did not say why the run failed"})
}

/// ComfyUI refused the graph. `body` is its response.
pub(super) fn of_validation(body: &Value) -> Value {
    let error = body.get("error").unwrap_or(&Value::Null);
    // In some versions the error is a string.
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, message) = match error {
        Value::String(message) => ("invalid_prompt", message.as_str()),
        _ => (text("type"), text("message")),
    };
    let extra = error.get("extra_info").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut failure = json!({
        "type": clip(if kind.is_empty() { "invalid_prompt" } else { kind }, LONGEST),
        "message": clip(message, LONGEST),
        "details": clip(text("details"), LONGEST),
    });
    if let Some(node_id) = extra.get("node_id").cloned().or_else(|| node_in(text("details"))) {
        failure["node_id"] = node_id;
        failure["node_type"] = extra.get("class_type").cloned().unwrap_or_default();
    }
    if let Some(node_errors) = body.get("node_errors").and_then(Value::as_object) {
        add_nodes(&mut failure, node_errors);
    }
    failure
}

/// The node in `Node ID '#1'`. Older servers name it only there.
fn node_in(details: &str) -> Option<Value> {
    Some(json!(details.strip_prefix("Node ID '#")?.strip_suffix('\'')?))
}

/// ComfyUI accepted only a part of the graph. `run` is the failure of that part, if it failed.
pub(super) fn of_dropped_outputs(node_errors: &Map<String, Value>, run: Option<Value>) -> Value {
    let mut failure = run.unwrap_or_else(|| {
        json!({
            "type": "prompt_outputs_failed_validation",
            "message": "some outputs failed validation and were not run",
        })
    });
    add_nodes(&mut failure, node_errors);
    failure
}

/// Adds the validation errors of all nodes. Names the first node if none is named yet.
fn add_nodes(failure: &mut Value, node_errors: &Map<String, Value>) {
    let Some((node_id, first)) = node_errors.iter().next() else { return };
    if failure.get("node_id").is_none() {
        failure["node_id"] = json!(node_id);
        failure["node_type"] = first.get("class_type").cloned().unwrap_or_default();
        let said = |key| first.pointer("/errors/0").and_then(|error| error.get(key)?.as_str());
        if let (Some(message), Some(details)) = (said("message"), said("details")) {
            failure["details"] = json!(clip(&format!("{message}: {details}"), LONGEST));
        }
    }
    failure["node_errors"] = Value::Object(node_errors.clone());
}

/// Adds the node's class from the graph if ComfyUI does not name it.
pub(super) fn with_class(mut failure: Value, graph: &Workflow) -> Value {
    let named = failure.get("node_id").and_then(Value::as_str);
    let class = named.and_then(|node| Some(graph.node(node)?.class_type().to_owned()));
    if failure.get("node_type").is_none_or(Value::is_null)
        && let Some(class) = class
    {
        failure["node_type"] = Value::String(class);
    }
    failure
}

/// The run could not be submitted.
pub(super) fn of_submit(request: &str, error: &ComfyError) -> Value {
    let kind = if error.is_absence() { "comfyui_unreachable" } else { "comfyui_error" };
    json!({"type": kind, "message": format!("request {request} was not run: {error}")})
}

/// The server went down during the run.
pub(super) fn of_loss(request: &str, error: &ComfyError) -> Value {
    json!({"type": "comfyui_lost", "message": format!("request {request} was lost: {error}")})
}

/// The server no longer knows the run.
pub(super) fn of_forgotten_run(request: &str, server: &str) -> Value {
    let message = format!(
        "request {request} was lost: ComfyUI at {server} was restarted, or removed it from its queue"
    );
    json!({"type": "comfyui_lost", "message": message})
}

pub(super) fn of_length(request: &str, server: &str, seconds: u64) -> Value {
    let message = format!("request {request} ran on ComfyUI at {server} for more than {seconds} s");
    json!({"type": "run_too_long", "message": message})
}

/// An input could not be uploaded.
pub(super) fn of_input(node_id: &str, node_type: &str, input: &str, why: &str) -> Value {
    json!({
        "type": "input_file_error",
        "message": format!("input {input} of node {node_id} ({node_type}): {}", clip(why, 500)),
        "node_id": node_id,
        "node_type": node_type,
        "input_name": input,
    })
}

/// An output file could not be copied.
pub(super) fn of_output(node_id: &str, kind: FileKind, filename: &str, why: &str) -> Value {
    let kind = kind.as_str();
    json!({
        "type": "output_file_error",
        "message": format!("{kind} file {:?} of node {node_id}: {why}", clip(filename, 200)),
        "node_id": node_id,
    })
}

/// The emulator's disk failed.
pub(super) fn of_disk(why: &std::io::Error) -> Value {
    json!({"type": "output_file_error", "message": format!("the run's files could not be stored: {why}")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_length_is_kept_short() {
        let long = "x".repeat(1 << 20);
        let failure = of_execution(&json!({"exception_message": long, "exception_type": "E"}));
        assert!(failure.to_string().len() < 3 * LONGEST, "{}", failure.to_string().len());
    }
}
