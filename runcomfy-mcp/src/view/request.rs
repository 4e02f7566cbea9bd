//! A run as a model sees it: its state in words, its result, and the next call.

use runcomfy_core::{
    DeploymentId, RequestId,
    request::{RequestResult, RequestState, RequestStatus},
};
use serde_json::{Value, json};

use crate::{
    result::{ToolResult, failure_hint},
    view::uri,
};

/// RunComfy's answer without the three addresses, which no model can use; `submission` has them.
pub(crate) fn status_json(status: &RequestStatus) -> Value {
    let mut json = json!(status);
    if let Some(fields) = json.as_object_mut() {
        for address in ["status_url", "result_url", "cancel_url"] {
            fields.shift_remove(address);
        }
    }
    json
}

/// Adds what a run made, or how to do better where it failed.
pub(crate) fn with_result(
    reply: ToolResult,
    result: &RequestResult,
    (deployment_id, request_id): (&DeploymentId, &RequestId),
) -> ToolResult {
    let all_at = uri::request(deployment_id, request_id);
    let reply = reply.all_at(all_at).with_files(result.output_files());
    let reply = match (result.state(), result.failure()) {
        (RequestState::Failed, failure) => {
            reply.with("hint", failure_hint(&failure.unwrap_or_default()))
        }
        _ => reply,
    };
    reply.with_non_finite(result.non_finite.as_ref()).with("result", json!(result))
}

/// A status in a few words of ours.
pub(crate) fn describe(status: &RequestStatus) -> String {
    match (status.state(), status.queue_position) {
        (RequestState::InQueue, Some(position)) => format!("in_queue, position {position}"),
        (state, _) => state.as_str().to_owned(),
    }
}

/// A result in a sentence of ours: what there is, or why there is nothing.
pub(crate) fn describe_result(result: &RequestResult) -> String {
    match result.state() {
        RequestState::Succeeded => match (result.output_files().len(), result.output_texts().len()) {
            (0, 0) => "succeeded, without outputs; ComfyUI skips what it has already made, so change an input such as the seed.".to_owned(),
            (files, 0) => format!("succeeded with {files} file(s)."),
            (0, texts) => format!("succeeded with {texts} text(s)."),
            (files, texts) => format!("succeeded with {files} file(s) and {texts} text(s)."),
        },
        RequestState::Failed => {
            let failure = result.failure().unwrap_or_default();
            let node = failure.node_id.map(|id| format!(" at node {id:?}")).unwrap_or_default();
            let kind = failure.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
            let message = failure.message.map(|message| format!(": {:?}", clip(&message))).unwrap_or_default();
            format!("failed{node}{kind}{message}.")
        }
        RequestState::Cancelled => "cancelled.".to_owned(),
        RequestState::InQueue | RequestState::InProgress => {
            format!("not finished yet, {}.", result.state().as_str())
        }
        state => format!("{}.", state.as_str()),
    }
}

/// The next step, in a sentence that has named the run.
pub(crate) const NEXT: &str = "Next: get_request_result with these ids and wait_seconds=45.";

/// The next step, as the call to make.
pub(crate) fn next((deployment_id, request_id): (&DeploymentId, &RequestId)) -> String {
    // No JSON: its quotes would be escaped twice on the way.
    let (deployment_id, request_id) = (deployment_id.as_str(), request_id.as_str());
    [
        "get_request_result with deployment_id=",
        deployment_id,
        ", request_id=",
        request_id,
        ", wait_seconds=45",
    ]
    .concat()
}

/// Adds where the run is and, unless its result is there, what to call next.
pub(crate) fn with_state(
    reply: ToolResult,
    state: RequestState,
    run: (&DeploymentId, &RequestId),
) -> ToolResult {
    let reply = reply.with("state", state.as_str()).with("finished", state.is_finished());
    match (state, retry_after(state)) {
        (RequestState::Completed, _) => reply.with("next", next(run)),
        (_, Some(seconds)) => reply.with("next", next(run)).with("retry_after_seconds", seconds),
        (_, None) => reply,
    }
}

/// When it is worth looking again, in seconds; `None` once there is nothing more to come.
pub(crate) fn retry_after(state: RequestState) -> Option<u64> {
    match state {
        RequestState::InQueue => Some(10),
        RequestState::InProgress | RequestState::Unknown => Some(5),
        _ => None,
    }
}

/// What `state` may say.
pub(crate) fn state_schema() -> Value {
    let all = [
        RequestState::InQueue,
        RequestState::InProgress,
        RequestState::Completed,
        RequestState::Succeeded,
        RequestState::Failed,
        RequestState::Cancelled,
        RequestState::Unknown,
    ];
    json!({
        "type": "string",
        "enum": all.map(RequestState::as_str),
        "description": "Where the run is. completed = finished, see the result for success.",
    })
}

/// A cause in RunComfy's words, short enough for a sentence.
fn clip(text: &str) -> String {
    text.chars().take(300).collect()
}

/// A status as a person wants to read it who waits.
pub(crate) fn in_words(status: &RequestStatus) -> String {
    match status.state() {
        RequestState::InQueue => {
            let place = match status.queue_position {
                Some(0) => "first in queue".to_owned(),
                Some(position) => format!("in queue, position {position}"),
                None => "in queue".to_owned(),
            };
            format!("{place}; a machine that has to start takes 3 to 5 minutes")
        }
        RequestState::InProgress => "in progress".to_owned(),
        _ => describe(status),
    }
}
