//! `call_instance_proxy`

use runcomfy_core::{id::InstanceId, instance::{ProxyCall, ProxyPath, ProxyReply}, DeploymentId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{config::ProxyLevel, pipeline::{context::ToolContext, tool::{Hints, Search, ToolDefinition}}, policy::self, result::{ToolError, ToolResult}, validation::ArgumentFaults};

pub(super) struct Tool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// From list_deployments.
    #[schemars(with = "String")]
    deployment_id: DeploymentId,
    /// From get_request_status while in_progress.
    #[schemars(with = "String")]
    instance_id: InstanceId,
    /// ComfyUI route, such as api/free; no query.
    comfy_backend_path: String,
    /// JSON to POST.
    #[serde(default)]
    request_body: Option<Map<String, Value>>,
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Call instance";
    const DESCRIPTION: &'static str = "POST to the ComfyUI of a live instance: api/free with {\"unload_models\":true,\"free_memory\":true} frees GPU memory. Only while the instance runs. May disturb other runs.";
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: false, open_world: true };
    const SEARCH: Search = Search::Hint("free GPU memory, unload models");
    type Args = Args;

    fn output() -> Value {
        json!({ "response": {"description": "ComfyUI's answer: any JSON, text, null where empty; for binary data its content_type and number of bytes."} })
    }

    async fn run(args: Args, call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let path = ProxyPath::new(&args.comfy_backend_path).map_err(|error| ArgumentFaults::general(&error.to_string()))?;
        let level = call.scope.settings.proxy_level.unwrap_or(ProxyLevel::Safe);
        policy::check_route(&path, level, call.scope.settings.allow_manager_routes)?;
        let sentence = format!("Called {path} on the instance.");
        let request = ProxyCall::new(args.deployment_id, args.instance_id, path).body(args.request_body.unwrap_or_default());
        let mut nulls = None;
        let response = match call.write(|api| async move { api.call_instance_proxy(&request).await }).await? {
            ProxyReply::Binary { content_type, bytes } => json!({"content_type": content_type, "bytes": bytes.len()}),
            ProxyReply::Json(value) => value,
            ProxyReply::JsonWithNulls { value, non_finite } => {
                nulls = Some(non_finite);
                value
            }
            ProxyReply::Text(text) => Value::from(text),
            _ => Value::Null,
        };
        Ok(ToolResult::new(sentence).with_non_finite(nulls.as_ref()).with("response", response))
    }
}
