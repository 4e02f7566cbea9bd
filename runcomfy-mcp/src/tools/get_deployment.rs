//! `get_deployment`

use runcomfy_core::{deployment::Include, DeploymentId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{pipeline::{context::ToolContext, tool::{Hints, READS, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema, view::{deployment, uri}};

pub(super) struct Tool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// From list_deployments.
    #[schemars(with = "String")]
    deployment_id: DeploymentId,
    /// Add a table of nodes and inputs, and the graph. Default false.
    #[serde(default)]
    include_payload: bool,
    /// Add the readme. Default false.
    #[serde(default)]
    include_readme: bool,
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Get deployment";
    const DESCRIPTION: &'static str = "Second step: see what can be set on a deployment. With include_payload, each node's id, class, title and settable inputs (prompt, seed, size, …): what `overrides` in submit_request refer to. Free.";
    const HINTS: Hints = READS;
    const SEARCH: Search = Search::AlwaysLoaded;
    type Args = Args;

    fn output() -> Value {
        json!({
            "deployment": schema::upstream("The deployment as RunComfy describes it."),
            "payload_summary": schema::upstream("With include_payload: payload_keys, has_object_info_url, default_override_node_ids and workflow_node_summary (node_id, title, class_type, input_names, settable_inputs), and of a large graph nodes_left_out."),
        })
    }

    async fn run(args: Args, call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let include = Include::none().payload(args.include_payload).readme(args.include_readme);
        let found = call.scope.api.get_deployment(&args.deployment_id, include).await?;
        let paused = if found.is_enabled == Some(false) { " It is paused." } else { "" };
        let mut reply = ToolResult::new(format!("Loaded deployment {}.{paused}", found.id)).with_non_finite(found.non_finite.as_ref());
        // The summary first: it is what the model needs, and some clients cut long answers.
        if args.include_payload {
            let summary = found.payload.as_ref().map_or_else(|| json!({ "payload_keys": [] }), deployment::payload_summary);
            reply = reply.with("payload_summary", summary);
        } else {
            reply = reply.with_resource(uri::workflow_link(&found.id));
        }
        let whole = deployment::whole(found, &mut reply);
        Ok(reply.with("deployment", whole))
    }
}
