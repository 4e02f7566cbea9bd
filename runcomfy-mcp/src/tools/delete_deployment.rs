//! `delete_deployment`

use runcomfy_core::DeploymentId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{pipeline::{confirmation::{self, Question}, context::ToolContext, tool::{Hints, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema};

pub(super) struct Tool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// From list_deployments.
    #[schemars(with = "String")]
    deployment_id: DeploymentId,
    /// true: the user said yes.
    #[serde(default)]
    confirm: Option<bool>,
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Delete deployment";
    const DESCRIPTION: &'static str = "Delete a deployment for good. To stop costs, pause it instead: update_deployment with is_enabled=false.";
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: true, open_world: false };
    const SEARCH: Search = Search::Hint("remove a ComfyUI workflow");
    type Args = Args;

    fn output() -> Value {
        json!({
            "response": {"description": "What RunComfy said to it; null where it said nothing."},
            "already_deleted": schema::flag("The answer was lost; the deployment was found gone."),
        })
    }

    fn question(args: &Args) -> Option<Question> {
        let id = args.deployment_id.clone();
        Some(Question {
            about: Some(id.clone()),
            confirmed: args.confirm == Some(true),
            words: Box::new(move |found| {
                Some(format!("Delete {} for good? It can't be undone.", confirmation::named(&id, found)))
            }),
        })
    }

    async fn run(args: Args, call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let id = args.deployment_id.clone();
        let deleted = call.write(|api| async move { api.delete_deployment(&id).await }).await;
        call.forget_deployment(&args.deployment_id);
        let deleted = deleted?;
        let found = if deleted.already_deleted { " RunComfy's answer was lost; it was found gone." } else { "" };
        let mut reply = ToolResult::new(format!("Deleted deployment {}.{found}", args.deployment_id));
        reply = reply.with_non_finite(deleted.non_finite.as_ref()).with("response", deleted.response);
        if deleted.already_deleted {
            reply = reply.with("already_deleted", true);
        }
        Ok(reply)
    }
}
