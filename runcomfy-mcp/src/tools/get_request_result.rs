//! `get_request_result`

use serde_json::{Value, json};

use crate::{pipeline::{context::ToolContext, tool::{Hints, READS, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema, view::request, wait::{self, LookArgs}};

pub(super) struct Tool;

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Get request result";
    const DESCRIPTION: &'static str = "Fourth step: get what a run made, as links to images, video or audio; show the user every link in output_urls (open 7 days, no login). Repeat with wait_seconds=45 until finished is true. Free. If state is failed, see hint.";
    const HINTS: Hints = READS;
    const SEARCH: Search = Search::AlwaysLoaded;
    type Args = LookArgs;

    fn output() -> Value {
        json!({
            "result": schema::upstream("RunComfy's answer: request_id, status, outputs by node and channel, error, created_at, finished_at."),
            "output_urls": schema::output_urls(),
            "state": request::state_schema(),
            "finished": schema::flag("Whether the run is over."),
            "status": schema::upstream("With wait_seconds, and not finished: the last status seen."),
            "timed_out": schema::flag("With wait_seconds: the time was up first; the run goes on."),
            "interrupted": schema::flag("With wait_seconds: cut short by the server's end or the client's."),
            "waited_seconds": {"type": "number", "description": "With wait_seconds: how long it took."},
            "next": schema::text("What to call next."),
            "hint": schema::text("On failure, and where the run failed: what to do next."),
            "note": schema::text("With wait_seconds, in queue: the likely reason."),
            "retry_after_seconds": schema::retry_after_seconds(),
        })
    }

    async fn run(args: LookArgs, mut call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        if args.wait_seconds > 0 {
            return Box::pin(wait::until_result(&args, &mut call)).await;
        }
        let result = call.scope.api.get_request_result(&args.deployment_id, &args.request_id).await?;
        let sentence = format!("Result for {}: {}", args.request_id, request::describe_result(&result));
        let reply = request::with_state(ToolResult::new(sentence), result.state(), args.run());
        Ok(request::with_result(reply, &result, args.run()))
    }
}
