//! `cancel_request`

use serde_json::{Value, json};

use crate::{pipeline::{context::ToolContext, tool::{Hints, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema, tools::RequestArgs, view::request::{next, NEXT}};

pub(super) struct Tool;

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Cancel request";
    const DESCRIPTION: &'static str = "Cancel a queued or running request; its work is lost. One that is nearly done may still complete: get_request_result tells.";
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: true, open_world: true };
    const SEARCH: Search = Search::Hint("stop image or video generation");
    type Args = RequestArgs;

    fn output() -> Value {
        json!({
            "cancel": schema::upstream("RunComfy's answer: request_id, status, outcome."),
            "accepted": schema::flag("Whether RunComfy took the cancellation on; left out where it does not say."),
            "next": schema::text("What to call next."),
        })
    }

    async fn run(args: RequestArgs, call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let next = next((&args.deployment_id, &args.request_id));
        let (deployment_id, request_id) = (args.deployment_id, args.request_id.clone());
        let cancel = call.write(|api| async move { api.cancel_request(&deployment_id, &request_id).await }).await?;
        let request_id = args.request_id;
        let sentence = match cancel.accepted() {
            Some(true) => format!("Cancel {request_id}: accepted; whether it ended as cancelled is still to be seen. {NEXT}"),
            Some(false) => format!("Cancel {request_id}: not_cancellable; it has already finished. {NEXT}"),
            None => format!("Cancel {request_id}: RunComfy does not say whether it will. {NEXT}"),
        };
        let mut reply = ToolResult::new(sentence).with_non_finite(cancel.non_finite.as_ref()).with("cancel", json!(cancel));
        if let Some(accepted) = cancel.accepted() {
            reply = reply.with("accepted", accepted);
        }
        Ok(reply.with("next", next))
    }
}
