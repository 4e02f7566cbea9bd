//! `get_request_status`

use serde_json::{Value, json};

use crate::{pipeline::{context::ToolContext, tool::{Hints, READS, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema, view::request, wait::{self, LookArgs}};

pub(super) struct Tool;

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Get request status";
    const DESCRIPTION: &'static str = "See where a run is: in_queue, in_progress (with instance_id), completed or cancelled. To wait for its end use get_request_result. With wait_seconds it answers when the state changes.";
    const HINTS: Hints = READS;
    const SEARCH: Search = Search::Hint("image or video progress, queue position");
    type Args = LookArgs;

    fn output() -> Value {
        json!({
            "status": schema::upstream("RunComfy's answer: request_id, status, queue_position, instance_id, …"),
            "state": request::state_schema(),
            "finished": schema::flag("Whether the run is over."),
            "timed_out": schema::flag("With wait_seconds: the time was up before the state changed."),
            "interrupted": schema::flag("With wait_seconds: cut short by the server's end or the client's."),
            "waited_seconds": {"type": "number", "description": "With wait_seconds: how long it took."},
            "next": schema::text("What to call next."),
            "note": schema::text("In queue: the likely reason."),
            "retry_after_seconds": schema::retry_after_seconds(),
        })
    }

    async fn run(args: LookArgs, mut call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        if args.wait_seconds > 0 {
            return Box::pin(wait::until_changed(&args, &mut call)).await;
        }
        let status = call.scope.api.get_request_status(&args.deployment_id, &args.request_id).await?;
        let sentence = format!("Request {}: {}.", args.request_id, request::describe(&status));
        let reply = request::with_state(ToolResult::new(sentence), status.state(), args.run());
        let reply = reply.with_non_finite(status.non_finite.as_ref());
        let reply = wait::with_reason(reply, &call, &args.deployment_id, &status).await;
        Ok(reply.with("status", request::status_json(&status)))
    }
}
