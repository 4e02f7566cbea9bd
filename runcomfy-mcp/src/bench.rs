//! What every call passes, a part at a time, for those who measure it. No part of the interface.

use http::HeaderMap;
use rmcp::model::JsonObject;

use crate::{
    protocol::message,
    result::{Format, ToolResult},
    sanitize, tools,
    transport::http::takes_fast_path,
    validation,
};

/// Whether the bytes are fit to be a message.
#[must_use]
pub fn message_is_fit(bytes: &[u8]) -> bool {
    message::check(bytes).is_ok()
}

/// Whether a message is a call of a tool that is answered without MCP's library.
#[must_use]
pub fn call_is_read(headers: &HeaderMap, bytes: &[u8]) -> bool {
    takes_fast_path(headers, bytes)
}

/// Whether the arguments are right, against the schema that is published of the tool.
#[must_use]
pub fn arguments_are_right(tool: &str, arguments: JsonObject) -> bool {
    tools::find(tool)
        .is_some_and(|entry| validation::check(&entry.in_short().input_schema, arguments).is_ok())
}

/// The length of what is shown of a workflow.
#[must_use]
pub fn workflow_is_shown(json: &str) -> usize {
    if sanitize::is_readable(json) { json.len() } else { 0 }
}

/// The length of a result of these fields, as it goes out.
#[must_use]
pub fn result_is_shaped(fields: JsonObject) -> usize {
    let reply = fields
        .into_iter()
        .fold(ToolResult::new("Request r1: in_progress."), |reply, (key, value)| {
            reply.with(&key, value)
        });
    let shaped = reply.render(Format {
        limit: 64 * 1024,
        links: true,
        puts_in: true,
        whole_workflows: true,
    });
    serde_json::to_string(&shaped.result).map_or(0, |json| json.len())
}
