//! MCP's tasks extension: a run as a task that its client asks for by itself. The task's id says all there
//! is to know, so that any server answers for it from RunComfy's queue, and none keeps anything.

use std::time::Duration;

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};
use rmcp::model::{DetailedTask, JsonObject, Task, TaskPayload, TaskStatus};
use runcomfy_core::{DeploymentId, Error, ErrorKind, RequestId, RequestState, RequestStatus};

use crate::{
    reply::{Fault, Reply},
    tools::Api,
    waiting,
};

/// A task: a run, and when its task was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskId {
    pub(crate) deployment_id: DeploymentId,
    pub(crate) request_id: RequestId,
    created: DateTime<Utc>,
}

/// What no id of RunComfy's has.
const BETWEEN: char = '.';
/// Beyond it times are written in another way.
const LAST_YEAR: i32 = 9999;
/// So long after a submit RunComfy may not know the run yet.
const NOT_KNOWN_YET: TimeDelta = TimeDelta::seconds(10);

impl TaskId {
    /// Of a run that was submitted just now.
    pub(crate) fn new(deployment_id: DeploymentId, request_id: RequestId) -> Self {
        Self { deployment_id, request_id, created: Utc::now() }
    }

    /// `None` where it is none of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(BETWEEN);
        let (deployment_id, request_id, created) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let seconds = created.bytes().all(|byte| byte.is_ascii_digit()).then_some(created)?;
        Some(Self {
            deployment_id: DeploymentId::new(deployment_id).ok()?,
            request_id: RequestId::new(request_id).ok()?,
            created: DateTime::from_timestamp(seconds.parse().ok()?, 0)
                .filter(|created| created.year() <= LAST_YEAR)?,
        })
    }

    /// The task as it is just after the submit.
    pub(crate) fn submitted(&self, note: &str) -> Task {
        let words = format!("submitted request {}", self.request_id);
        let words = if note.is_empty() { words } else { format!("{words}. {note}") };
        self.task(TaskStatus::Working, &words, RequestState::InQueue)
    }

    fn run(&self) -> (&DeploymentId, &RequestId) {
        (&self.deployment_id, &self.request_id)
    }

    fn is_young(&self) -> bool {
        Utc::now() - self.created <= NOT_KNOWN_YET
    }

    fn task(&self, status: TaskStatus, words: &str, state: RequestState) -> Task {
        let (created, now) = (written(self.created), written(Utc::now()));
        let task = Task::new(self.to_string(), status, created, now).with_status_message(words);
        match waiting::retry_after(state) {
            Some(seconds) => task.with_poll_interval_ms(self.poll_interval_ms(seconds)),
            None => task,
        }
    }

    /// A short run's end is known soon, and a long one is not asked for more often than it is worth.
    fn poll_interval_ms(&self, most_seconds: u64) -> u64 {
        const LEAST: u64 = 2000;
        let age = (Utc::now() - self.created).num_milliseconds();
        (u64::try_from(age).unwrap_or(0) / 4).clamp(LEAST, most_seconds * 1000)
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (deployment_id, request_id) = (&self.deployment_id, &self.request_id);
        write!(f, "{deployment_id}{BETWEEN}{request_id}{BETWEEN}{}", self.created.timestamp())
    }
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The task as RunComfy's queue has it now. What it made is in the words of a waiting submit_request, brought
/// into an MCP result by `shape`.
///
/// # Errors
/// RunComfy refuses the question, as one about a run that it does not know. That it can't be asked at the
/// moment is none: the run goes on.
pub(crate) async fn look(
    id: &TaskId,
    api: &Api,
    shape: impl FnOnce(Result<Reply, Fault>) -> JsonObject,
) -> Result<DetailedTask, Fault> {
    let status = match status(id, api).await {
        Ok(status) => status,
        Err(error) if error.is_retryable() => {
            return Ok(passing(id, &error.into(), RequestState::Unknown));
        }
        Err(error) => return Err(error.into()),
    };
    let state = status.state();
    let words = waiting::in_words(&status);
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
            let described = waiting::describe_result(&result);
            let sentence = format!("Request {} finished: {described}", id.request_id);
            let reply = waiting::with_state(Reply::new(sentence), result.state(), id.run());
            Ok(named(waiting::with_result(reply, &result, id.run()), id, &status))
        }
        Err(error) if error.is_retryable() => return Ok(passing(id, &error.into(), state)),
        Err(error) => Err(Fault::from(error)
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

fn named(reply: Reply, id: &TaskId, status: &RequestStatus) -> Reply {
    reply
        .with("deployment_id", id.deployment_id.as_str())
        .with("request_id", id.request_id.as_str())
        .with("status", waiting::status_json(status))
}

/// As after a look that failed and may succeed the next time: nothing is known to have changed.
pub(crate) fn passing(id: &TaskId, fault: &Fault, state: RequestState) -> DetailedTask {
    let words = format!("{}; the run goes on, ask again", fault.kind().replace('_', " "));
    let mut task = id.task(TaskStatus::Working, &words, state);
    task.poll_interval_ms = Some(fault.retry_after_seconds().unwrap_or(5).max(1) * 1000);
    DetailedTask::new(task, TaskPayload::Working)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_all_and_only_ours_is_taken() {
        let id = TaskId::new(DeploymentId::new("d-1").unwrap(), RequestId::new("r_2").unwrap());
        let text = id.to_string();
        let read = TaskId::parse(&text).unwrap();
        assert_eq!((&read.deployment_id, &read.request_id), (&id.deployment_id, &id.request_id));
        assert_eq!(read.to_string(), text);
        let long = format!("{}.r.5", "d".repeat(1_000_000));
        for wrong in
            ["", "d", "d.r", "d.r.", "d.r.x", "d.r.-5", "d.r.5.6", "../x.r.5", "d.r/.5", &long]
        {
            assert_eq!(TaskId::parse(wrong), None);
        }
        assert_eq!(TaskId::parse("d.r.99999999999999999999"), None);
        assert_eq!(TaskId::parse("d.r.9223372036854775807"), None);
    }
}
