//! A result too long to show as text, in lines: what is there, and where the rest is.

use std::fmt::Write;

use serde_json::Value;

/// How many nodes, deployments or files a summary lists.
const MOST: usize = 200;
/// How much of a single text it shows, in characters.
const CLIP: usize = 160;

/// Describes `payload`, whose JSON has `bytes` bytes.
pub(super) fn summary(payload: &Value, bytes: usize) -> String {
    let mut out = format!(
        "The whole answer ({} KB of JSON) is in structuredContent. In short:\n",
        bytes.div_ceil(1024)
    );
    if let Some(nodes) =
        payload.pointer("/payload_summary/workflow_node_summary").and_then(Value::as_array)
    {
        table_of_nodes(&mut out, nodes);
        out.push_str("To run it, pass `overrides` to submit_request: {\"<node_id>\": {\"inputs\": {\"<input>\": value}}}.\n");
    }
    if let Some(deployments) = payload.get("deployments").and_then(Value::as_array) {
        for deployment in deployments.iter().take(MOST) {
            let text = |key: &str| deployment.get(key).and_then(Value::as_str).unwrap_or("?");
            let enabled = if deployment.get("is_enabled") == Some(&Value::Bool(false)) {
                ", paused"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "- {} {:?}: {}{enabled}",
                text("id"),
                clip(text("name")),
                text("status")
            );
        }
        more(&mut out, deployments.len());
        out.push_str(
            "Ask for less: list_deployments without include_payload, or get_deployment for one.\n",
        );
    }
    if let Some(files) = payload.get("output_urls").and_then(Value::as_array) {
        for file in files.iter().take(MOST) {
            let text = |key: &str| file.get(key).and_then(Value::as_str).unwrap_or("?");
            let _ =
                writeln!(out, "- node {} {}: {}", text("node_id"), text("channel"), text("url"));
        }
        more(&mut out, files.len());
    }
    for (key, value) in payload.as_object().into_iter().flatten() {
        let _ = writeln!(out, "{key}: {}", shape(value));
    }
    out
}

fn table_of_nodes(out: &mut String, nodes: &[Value]) {
    out.push_str("node_id | class_type | title | inputs that can be set\n");
    for node in nodes.iter().take(MOST) {
        let text = |key: &str| clip(node.get(key).and_then(Value::as_str).unwrap_or("-"));
        let inputs: Vec<_> = node
            .get("settable_inputs")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}={}", clip(&value.to_string())))
            .collect();
        let _ = writeln!(
            out,
            "{} | {} | {} | {}",
            text("node_id"),
            text("class_type"),
            text("title"),
            inputs.join(", ")
        );
    }
    more(out, nodes.len());
}

fn more(out: &mut String, count: usize) {
    if count > MOST {
        let _ = writeln!(out, "… and {} more", count - MOST);
    }
}

/// A value in a few words.
fn shape(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(map) => {
            let keys: Vec<_> = map.keys().take(20).map(|key| clip(key)).collect();
            format!("an object with {} keys: {}", map.len(), keys.join(", "))
        }
        Value::String(text) => format!("{:?}", clip(text)),
        other => other.to_string(),
    }
}

fn clip(text: &str) -> String {
    let mut clipped: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CLIP).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}
