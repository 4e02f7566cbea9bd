//! A list of deployments that is too long to show as JSON in text, in lines.

use std::fmt::Write;

use rmcp::model::JsonObject;
use serde_json::Value;

/// How much of a name is shown, in characters.
const CLIP: usize = 80;

/// Describes a result of `bytes` bytes of JSON in at most `most` bytes.
pub(super) fn summary(payload: &JsonObject, bytes: usize, most: usize) -> String {
    let kilobytes = bytes.div_ceil(1024);
    let mut out =
        format!("The whole answer is {kilobytes} KB of JSON, in structuredContent. In short:\n");
    let rows = payload.get(super::ROWS).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (at, row) in rows.iter().enumerate() {
        let line = line(row);
        let rest = format!("… and {} more: pass `ids` to see one\n", rows.len() - at);
        if out.len() + line.len() + rest.len() > most {
            out.push_str(&rest);
            break;
        }
        out.push_str(&line);
    }
    out
}

fn line(deployment: &Value) -> String {
    let text = |key: &str| deployment.get(key).and_then(Value::as_str).unwrap_or("?");
    let paused =
        if deployment.get("is_enabled") == Some(&Value::Bool(false)) { ", paused" } else { "" };
    let mut line = String::new();
    let name: String = text("name").chars().take(CLIP).collect();
    // Writing to a text does not fail.
    let _ = writeln!(line, "- {} {name:?}: {}{paused}", text("id"), text("status"));
    line
}
