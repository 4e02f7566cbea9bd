//! The likely reason why a run is in queue, as a note in the answer.

use std::sync::Arc;

use runcomfy_core::{
    DeploymentId,
    request::{RequestState, RequestStatus},
};

use crate::{pipeline::context::ToolContext, result::ToolResult};

/// Adds the likely reason to an answer about a run that is in queue.
pub(crate) async fn with_reason(
    reply: ToolResult,
    call: &ToolContext,
    deployment_id: &DeploymentId,
    status: &RequestStatus,
) -> ToolResult {
    if status.state() != RequestState::InQueue {
        return reply;
    }
    let whose = (call.scope.permits.caller, deployment_id.clone());
    let look =
        Arc::clone(&call.deployments).explain(Arc::clone(&call.scope.api), whose, status.clone());
    let look = Box::pin(look); // most are not in queue
    let found = tokio::select! {
        found = look => found,
        () = call.scope.abandoned() => None,
    };
    with_note(reply, found)
}

pub(super) fn with_note(reply: ToolResult, note: Option<String>) -> ToolResult {
    match note {
        Some(note) => reply.with_note(&note),
        None => reply,
    }
}
