//! Polling a run: what a response means for the wait, and when to poll again.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{builder::Wait, policy::WaitPolicy};
use crate::{
    api::RunComfyApi,
    error::{Error, ErrorKind, Operation},
    request::{RequestResult, RequestState, RequestStatus},
};

/// The polls of one run.
pub(super) struct Polls<A> {
    wait: Wait<A>,
    /// How many there were.
    pub(super) polls: u32,
    failures_in_a_row: u32,
    not_found_since: Option<Instant>,
}

/// The result of a poll.
pub(super) enum PollOutcome {
    /// The run goes on.
    Running(RequestStatus),
    /// The run is over.
    Ended(RequestStatus),
    /// The poll failed. Holds the delay before the next one.
    Failed(Error, Duration),
    /// Further polls are pointless.
    Final(Error),
}

impl<A: RunComfyApi> Polls<A> {
    pub(super) fn new(wait: Wait<A>) -> Self {
        Self { wait, polls: 0, failures_in_a_row: 0, not_found_since: None }
    }

    pub(super) fn policy(&self) -> &WaitPolicy {
        &self.wait.policy
    }

    /// How long after the wait began the first of them is made, varied by `random`, a number from 0 to 1.
    pub(super) fn first(&self, random: f64) -> Duration {
        let policy = self.policy();
        if !self.wait.just_submitted {
            return Duration::ZERO;
        }
        let usual = policy.interval(Duration::ZERO, RequestState::InProgress);
        let latest = policy.timeout.map(|timeout| timeout.saturating_sub(reserve(Duration::ZERO)));
        match latest {
            // A wait that waits no longer than that polls once.
            Some(latest) if latest <= usual => latest,
            _ => policy.spread(usual, random).min(latest.unwrap_or(Duration::MAX)),
        }
    }

    /// Whether the run was submitted just before the wait began.
    pub(super) fn just_submitted(&self) -> bool {
        self.wait.just_submitted
    }

    /// Polls the status. Dropping the future has no effect on the run.
    pub(super) async fn ask(&mut self) -> Result<RequestStatus, Error> {
        self.polls += 1;
        self.wait.api.get_request_status(&self.wait.deployment_id, &self.wait.request_id).await
    }

    /// What the response to the poll at `at` means.
    pub(super) fn interpret(
        &mut self,
        answer: Result<RequestStatus, Error>,
        at: Instant,
    ) -> PollOutcome {
        let error = match answer {
            Ok(status) => {
                (self.failures_in_a_row, self.not_found_since) = (0, None);
                return if status.state().is_finished() {
                    PollOutcome::Ended(status)
                } else {
                    PollOutcome::Running(status)
                };
            }
            Err(error) => error,
        };
        if self.is_final(&error, at) {
            return PollOutcome::Final(self.with_ids(error));
        }
        let pause = backoff(self.failures_in_a_row, &error);
        self.failures_in_a_row += 1;
        PollOutcome::Failed(self.with_ids(error), pause)
    }

    /// Gets the result, asking up to `attempts` times: some services say "completed" a moment before it is
    /// there.
    pub(super) async fn result(
        &self,
        deadline: Option<Instant>,
        tries: u32,
    ) -> Result<RequestResult, Error> {
        let wait = &self.wait;
        let mut result = None;
        for attempt in 1..=tries {
            let fetch = wait.api.get_request_result(&wait.deployment_id, &wait.request_id);
            let Some(fetched) = within(deadline, fetch).await else { break };
            let ready = fetched.as_ref().map_or(true, RequestResult::is_final);
            result = Some(fetched);
            if ready || attempt == tries {
                break;
            }
            if within(deadline, tokio::time::sleep(wait.policy.briefly())).await.is_none() {
                break;
            }
        }
        result.unwrap_or_else(|| Err(timed_out_error())).map_err(|error| self.with_ids(error))
    }

    fn is_final(&mut self, error: &Error, now: Instant) -> bool {
        match error.kind() {
            ErrorKind::InvalidArgument
            | ErrorKind::PermissionDenied
            | ErrorKind::Unauthenticated => true,
            ErrorKind::NotFound => {
                let since = *self.not_found_since.get_or_insert(now);
                now - since >= self.wait.policy.not_found_grace
            }
            _ => {
                self.not_found_since = None;
                false
            }
        }
    }

    /// The error with the run's ids.
    pub(super) fn with_ids(&self, error: Error) -> Error {
        error
            .with_deployment_id(self.wait.deployment_id.clone())
            .with_request_id(self.wait.request_id.clone())
    }
}

/// How often a result is asked for that is not there yet.
pub(super) const RESULT_TRIES: u32 = 5;

/// The time was up before the result had come.
pub(super) fn timed_out_error() -> Error {
    Error::new(Operation::GetRequestResult, ErrorKind::TimedOut)
}

/// How long before its deadline a wait polls for the last time, where a poll takes `took`: it has to be
/// back in time.
pub(super) fn reserve(took: Duration) -> Duration {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(2);
    (took * 2).clamp(LEAST, MOST)
}

/// Whether state, queue position or instance differ.
pub(super) fn status_changed(last: Option<&RequestStatus>, now: &RequestStatus) -> bool {
    last.is_none_or(|last| {
        (&last.status, last.queue_position, &last.instance_id)
            != (&now.status, now.queue_position, &now.instance_id)
    })
}

/// The future's output, or `None` where the deadline came first.
pub(super) async fn within<T>(
    deadline: Option<Instant>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// From 1 s doubling to 30 s, at random below that but never at once; never before the service asked.
fn backoff(failures_in_a_row: u32, error: &Error) -> Duration {
    const LONGEST: Duration = Duration::from_secs(30);
    const SHORTEST: Duration = Duration::from_millis(250);
    let ceiling = Duration::from_secs(1 << failures_in_a_row.min(5)).min(LONGEST);
    let asked = error.retry_after().unwrap_or_default().min(LONGEST);
    ceiling.mul_f64(fastrand::f64()).max(SHORTEST).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_between_failed_looks_grow_to_thirty_seconds() {
        let error = Error::new(Operation::GetRequestStatus, ErrorKind::UpstreamUnavailable);
        for failures in 0..40 {
            let wait = backoff(failures, &error);
            assert!(
                (Duration::from_millis(250)..=Duration::from_secs(30)).contains(&wait),
                "{wait:?}"
            );
        }
        let asked = error.with_retry_after(Duration::from_secs(7));
        assert!(backoff(0, &asked) >= Duration::from_secs(7));
    }
}
