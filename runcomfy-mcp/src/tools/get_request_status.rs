//! `get_request_status`

use runcomfy_core::{DeploymentId, RequestId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    call::Call,
    reply::{Fault, Reply},
    schema,
    tools::{Hints, READS, ToolDefinition},
    waiting,
};

pub(super) struct Tool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// The deployment it runs on.
    #[schemars(with = "String")]
    deployment_id: DeploymentId,
    /// From submit_request.
    #[schemars(with = "String")]
    request_id: RequestId,
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Get request status";
    const DESCRIPTION: &'static str = "See where a request is: in_queue, in_progress, completed or cancelled. completed means finished, not success: then call get_request_result. Cold starts take minutes; wait between calls as told.";
    const HINTS: Hints = READS;
    type Args = Args;

    fn output() -> Value {
        json!({
            "status": schema::upstream("RunComfy's answer: request_id, status, queue_position, instance_id, …"),
            "state": waiting::state_schema(),
            "finished": schema::flag("Whether the run is over."),
            "next": schema::text("What to call next."),
        })
    }

    async fn run(args: Args, call: Call) -> Result<Reply, Fault> {
        let status = call.api.get_request_status(&args.deployment_id, &args.request_id).await?;
        let sentence = format!("Request {}: {}.", args.request_id, waiting::describe(&status));
        Ok(waiting::with_state(Reply::new(sentence), status.state()).with("status", json!(status)))
    }
}
