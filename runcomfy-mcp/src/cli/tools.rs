//! `runcomfy-mcp tools`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::terminal::Answer;
use crate::server::RunComfyMcp;

/// List the tools and their parameters. Needs no key.
#[derive(Args, Debug)]
pub(super) struct Tools {
    /// Print them as MCP's tools/list does
    #[arg(long)]
    json: bool,
}

impl Tools {
    pub(super) fn run(&self) -> ExitCode {
        let mut answer = Answer::default();
        let tools = RunComfyMcp::tools();
        if self.json {
            let json = serde_json::json!({ "tools": tools });
            answer.say(&serde_json::to_string_pretty(&json).unwrap_or_default());
            return answer.end(0).into();
        }
        for tool in tools {
            answer.say(&format!(
                "{}\n  {}",
                tool.name,
                tool.description.as_deref().unwrap_or_default()
            ));
            let required = tool.input_schema.get("required").and_then(Value::as_array);
            let properties = tool.input_schema.get("properties").and_then(Value::as_object);
            for (name, schema) in properties.into_iter().flatten() {
                let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
                let must = required.is_some_and(|all| all.iter().any(|one| one == name));
                let kind = if must {
                    format!("{}, required", text("type"))
                } else {
                    text("type").to_owned()
                };
                answer.say(&format!("    {name} ({kind}): {}", text("description")));
            }
            answer.say("");
        }
        answer.end(0).into()
    }
}
