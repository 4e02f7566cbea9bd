//! `get_request_status`

use serde_json::{Value, json};

use crate::{
    call::Call,
    reply::{Fault, Reply},
    schema,
    tools::{Hints, READS, RequestArgs, ToolDefinition},
    waiting,
};

pub(super) struct Tool;

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Get request status";
    const DESCRIPTION: &'static str = "See where a request is: in_queue, in_progress, completed or cancelled. completed means finished, not success: then call get_request_result. Cold starts take minutes; wait between calls as told.";
    const HINTS: Hints = READS;
    type Args = RequestArgs;

    fn output() -> Value {
        json!({
            "status": schema::upstream("RunComfy's answer: request_id, status, queue_position, instance_id, …"),
            "state": waiting::state_schema(),
            "finished": schema::flag("Whether the run is over."),
            "next": schema::text("What to call next."),
            "retry_after_seconds": schema::retry_after_seconds(),
        })
    }

    async fn run(args: RequestArgs, call: Call) -> Result<Reply, Fault> {
        let status = call.api.get_request_status(&args.deployment_id, &args.request_id).await?;
        let sentence = format!("Request {}: {}.", args.request_id, waiting::describe(&status));
        Ok(waiting::with_state(Reply::new(sentence), status.state()).with("status", json!(status)))
    }
}
