//! The id of a task of MCP's tasks extension. It says all that there is to know, so that any server answers for
//! the task from RunComfy's queue, and none stores anything.

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};
use rmcp::model::{Task, TaskStatus};
use runcomfy_core::{DeploymentId, RequestId, request::RequestState};

use super::request;

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

    pub(crate) fn run(&self) -> (&DeploymentId, &RequestId) {
        (&self.deployment_id, &self.request_id)
    }

    pub(crate) fn is_young(&self) -> bool {
        Utc::now() - self.created <= NOT_KNOWN_YET
    }

    pub(crate) fn task(&self, status: TaskStatus, words: &str, state: RequestState) -> Task {
        let (created, now) = (written(self.created), written(Utc::now()));
        let task = Task::new(self.to_string(), status, created, now).with_status_message(words);
        match request::retry_after(state) {
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
