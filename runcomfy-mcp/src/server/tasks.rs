//! MCP's tasks extension: a run as a task that its client asks for by itself. The task's id says all there
//! is to know, so that any server answers for it from RunComfy's queue, and none keeps anything.

use std::time::Duration;

use rmcp::model::{DetailedTask, JsonObject, TaskPayload, TaskStatus};
use runcomfy_core::{
    Error, ErrorKind,
    request::{RequestState, RequestStatus},
};

use crate::{
    pipeline::auth::Api,
    result::{ToolError, ToolResult},
    view::{request, task_id::TaskId},
};

/// The task as RunComfy's queue has it now. What it made is in the words of a waiting submit_request, brought
/// into an MCP result by `shape`.
///
/// # Errors
/// RunComfy refuses the question, as one about a run that it does not know. That it can't be asked at the
/// moment is none: the run goes on.
pub(crate) async fn look(
    id: &TaskId,
    api: &Api,
    shape: impl FnOnce(Result<ToolResult, ToolError>) -> JsonObject,
) -> Result<DetailedTask, ToolError> {
    let status = match status(id, api).await {
        Ok(status) => status,
        Err(error) if error.is_retryable() => {
            return Ok(passing(id, &error.into(), RequestState::Unknown));
        }
        Err(error) => return Err(error.into()),
    };
    let state = status.state();
    let words = request::in_words(&status);
    if !state.is_finished() {
        let task = id.task(TaskStatus::Working, &words, state);
        return Ok(DetailedTask::new(task, TaskPayload::Working));
    }
    if state == RequestState::Cancelled {
        let task = id.task(TaskStatus::Cancelled, &words, state);
        return Ok(DetailedTask::new(task, TaskPayload::Cancelled));
    }
    let answer = match api.get_request_result(&id.deployment_id, &id.request_id).await {
        Ok(result) if result.state() == RequestState::Cancelled => {
            let task = id.task(TaskStatus::Cancelled, "cancelled", RequestState::Cancelled);
            return Ok(DetailedTask::new(task, TaskPayload::Cancelled));
        }
        // Said to be over a moment before its result is there. A task that has ended is not asked for again.
        Ok(result) if !result.is_final() => {
            let task = id.task(
                TaskStatus::Working,
                "finished; its result is on the way",
                RequestState::InProgress,
            );
            return Ok(DetailedTask::new(task, TaskPayload::Working));
        }
        Ok(result) => {
            let described = request::describe_result(&result);
            let sentence = format!("Request {} finished: {described}", id.request_id);
            let reply = request::with_state(ToolResult::new(sentence), result.state(), id.run());
            Ok(named(request::with_result(reply, &result, id.run()), id, &status))
        }
        Err(error) if error.is_retryable() => return Ok(passing(id, &error.into(), state)),
        Err(error) => Err(ToolError::from(error)
            .after_effect("the request has finished, but")
            .with("deployment_id", id.deployment_id.as_str())
            .with("request_id", id.request_id.as_str())),
    };
    let task = id.task(TaskStatus::Completed, &words, state);
    Ok(DetailedTask::new(task, TaskPayload::Completed { result: shape(answer) }))
}

/// Where the run is. Just after a submit RunComfy may not know of it yet: a little patience, as a client takes
/// an error for the task's end.
async fn status(id: &TaskId, api: &Api) -> Result<RequestStatus, Error> {
    const LOOKS: usize = 3;
    const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
    for _ in 1..LOOKS {
        let looked = api.get_request_status(&id.deployment_id, &id.request_id).await;
        let unknown = matches!(&looked, Err(error) if error.kind() == ErrorKind::NotFound);
        if !(unknown && id.is_young()) {
            return looked;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    api.get_request_status(&id.deployment_id, &id.request_id).await
}

fn named(reply: ToolResult, id: &TaskId, status: &RequestStatus) -> ToolResult {
    reply
        .with("deployment_id", id.deployment_id.as_str())
        .with("request_id", id.request_id.as_str())
        .with("status", request::status_json(status))
}

/// As after a look that failed and may succeed the next time: nothing is known to have changed.
pub(crate) fn passing(id: &TaskId, fault: &ToolError, state: RequestState) -> DetailedTask {
    let words = format!("{}; the run goes on, ask again", fault.kind().replace('_', " "));
    let mut task = id.task(TaskStatus::Working, &words, state);
    task.poll_interval_ms = Some(fault.retry_after_seconds().unwrap_or(5).max(1) * 1000);
    DetailedTask::new(task, TaskPayload::Working)
}
