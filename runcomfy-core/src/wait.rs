//! Waiting until a run is done, over any [`RunComfyApi`].

mod policy;

use std::{fmt, future::Future, time::Duration};

use futures_core::Stream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    RunComfyApi,
    error::{Error, ErrorKind, Operation},
    types::{DeploymentId, RequestId, RequestResult, RequestStatus},
};

pub use policy::WaitPolicy;

/// A wait for one run: what to wait for and how.
///
/// Dropping it, or anything made from it, leaves the run alone.
pub struct Wait<A> {
    api: A,
    deployment_id: DeploymentId,
    request_id: RequestId,
    policy: WaitPolicy,
}

impl<A: RunComfyApi> Wait<A> {
    /// A wait with the default policy.
    ///
    /// `api` is anything that is a [`RunComfyApi`]: a reference, or an `Arc` where the wait is to live in a
    /// task of its own.
    #[must_use]
    pub fn new(api: A, deployment_id: DeploymentId, request_id: RequestId) -> Self {
        Self { api, deployment_id, request_id, policy: WaitPolicy::default() }
    }

    /// With another policy.
    #[must_use]
    pub fn policy(mut self, policy: WaitPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Waits until the run is over and gets its result, or until the time is up.
    ///
    /// A run that failed, and a time that ran out, are no errors: see [`WaitEnd`]. A look that fails
    /// does not end the wait either.
    ///
    /// # Errors
    /// `unauthenticated` and `permission_denied` at once, `not_found` once it lasts; each with the ids of
    /// the run, which goes on.
    pub async fn finish(self) -> Result<WaitEnd, Error> {
        let mut watch = Watch::new(self);
        loop {
            if let Some(WaitEvent::Ended(end)) = watch.next().await? {
                return Ok(end);
            }
        }
    }

    /// The same as a stream, whose time runs from this call: every change of state, every look that failed, and the end, which is last.
    ///
    /// The stream ends after [`WaitEvent::Ended`] or the first `Err`, whose kinds are those of
    /// [`finish`](Self::finish).
    pub fn events(self) -> impl Stream<Item = Result<WaitEvent, Error>> + Send {
        futures_util::stream::unfold(Watch::new(self), |mut watch| async move {
            let event = watch.next().await.transpose()?;
            Some((event, watch))
        })
    }
}

impl<A> fmt::Debug for Wait<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("deployment_id", &self.deployment_id)
            .field("request_id", &self.request_id)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// What happens while waiting.
#[derive(Debug)]
#[non_exhaustive]
pub enum WaitEvent {
    /// The state or the place in the queue changed. The first look counts as a change.
    Changed(RequestStatus),
    /// A look failed; the wait goes on.
    LookFailed(Error),
    /// The wait is over.
    Ended(WaitEnd),
}

/// How a wait ended.
#[derive(Debug)]
pub enum WaitEnd {
    /// The run is over.
    Finished(Box<Finished>),
    /// The time was up first. That does nothing to the run.
    TimedOut(Box<TimedOut>),
}

/// A run that is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished {
    /// The status that said so.
    pub status: RequestStatus,
    /// What came of it; an error where it could not be fetched.
    pub result: Result<RequestResult, Error>,
    /// How often the status was asked for.
    pub polls: u32,
    /// How long the wait took.
    pub waited: Duration,
}

/// A wait whose time was up. As far as is known the run goes on: see the last status and the last error.
#[derive(Debug)]
#[non_exhaustive]
pub struct TimedOut {
    /// The last status seen, if any.
    pub last_status: Option<RequestStatus>,
    /// Why the last look failed, if it did.
    pub last_error: Option<Error>,
    /// How often the status was asked for.
    pub polls: u32,
    /// How long the wait took.
    pub waited: Duration,
}

/// A wait under way.
struct Watch<A> {
    wait: Wait<A>,
    started: Instant,
    deadline: Option<Instant>,
    next_look: Instant,
    polls: u32,
    failures_in_a_row: u32,
    not_found_since: Option<Instant>,
    last_status: Option<RequestStatus>,
    last_error: Option<Error>,
    over: bool,
}

/// How long before the deadline the last look starts, at least: it has to be back in time.
const LAST_LOOK_BEFORE: Duration = Duration::from_millis(100);
const LAST_LOOK_BEFORE_AT_MOST: Duration = Duration::from_secs(2);
/// When to look next where the clock can't say.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

impl<A: RunComfyApi> Watch<A> {
    fn new(wait: Wait<A>) -> Self {
        let started = Instant::now();
        // A timeout beyond what the clock can hold is no timeout.
        let deadline = wait.policy.timeout.and_then(|timeout| started.checked_add(timeout));
        Self {
            wait,
            started,
            deadline,
            next_look: started,
            polls: 0,
            failures_in_a_row: 0,
            not_found_since: None,
            last_status: None,
            last_error: None,
            over: false,
        }
    }

    /// The next event; `None` after the last.
    async fn next(&mut self) -> Result<Option<WaitEvent>, Error> {
        while !self.over {
            sleep_until(
                self.deadline.map_or(self.next_look, |deadline| deadline.min(self.next_look)),
            )
            .await;
            let looked_at = Instant::now();
            if self.polls > 0 && self.deadline.is_some_and(|deadline| looked_at >= deadline) {
                return Ok(Some(self.timed_out()));
            }
            let Some(look) = self.look().await else { return Ok(Some(self.timed_out())) };
            match look {
                Ok(status) => {
                    (self.failures_in_a_row, self.not_found_since, self.last_error) =
                        (0, None, None);
                    let state = status.state();
                    if state.is_finished() {
                        self.over = true;
                        return Ok(Some(self.finished(status).await));
                    }
                    let interval = self.wait.policy.interval(looked_at - self.started, state);
                    self.plan(looked_at, self.wait.policy.jittered(interval, fastrand::f64()));
                    let changed =
                        self.last_status.as_ref().is_none_or(|last| differs(last, &status));
                    self.last_status = Some(status.clone());
                    if changed {
                        return Ok(Some(WaitEvent::Changed(status)));
                    }
                }
                Err(error) if self.is_final(&error, looked_at) => {
                    self.over = true;
                    return Err(self.named(error));
                }
                Err(error) => {
                    self.plan(looked_at, backoff(self.failures_in_a_row, &error));
                    self.failures_in_a_row += 1;
                    let error = self.named(error);
                    self.last_error = Some(error.clone());
                    return Ok(Some(WaitEvent::LookFailed(error)));
                }
            }
        }
        Ok(None)
    }

    /// One look, or `None` where the time was up first.
    async fn look(&mut self) -> Option<Result<RequestStatus, Error>> {
        self.polls += 1;
        let look =
            self.wait.api.get_request_status(&self.wait.deployment_id, &self.wait.request_id);
        // A wait of no time still looks once, for as long as a single call may take.
        if self.wait.policy.timeout == Some(Duration::ZERO) {
            return Some(look.await);
        }
        within(self.deadline, look).await
    }

    /// Gets the result. Some services say "completed" a moment before the result is there.
    async fn finished(&mut self, status: RequestStatus) -> WaitEvent {
        // A wait of no time does not wait for the result either.
        let looks_once = self.wait.policy.timeout == Some(Duration::ZERO);
        let tries = if looks_once { 1 } else { 5 };
        let deadline = self.deadline.filter(|_| !looks_once);
        let mut result = None;
        for attempt in 1..=tries {
            let fetch =
                self.wait.api.get_request_result(&self.wait.deployment_id, &self.wait.request_id);
            let Some(fetched) = within(deadline, fetch).await else { break };
            let ready = fetched.as_ref().map_or(true, RequestResult::is_final);
            result = Some(fetched);
            if ready || attempt == tries {
                break;
            }
            if within(deadline, tokio::time::sleep(self.wait.policy.shortest)).await.is_none() {
                break;
            }
        }
        let result = result
            .unwrap_or_else(|| Err(Error::new(Operation::GetRequestResult, ErrorKind::TimedOut)));
        WaitEvent::Ended(WaitEnd::Finished(Box::new(Finished {
            status,
            result: result.map_err(|error| self.named(error)),
            polls: self.polls,
            waited: self.started.elapsed(),
        })))
    }

    fn timed_out(&mut self) -> WaitEvent {
        self.over = true;
        WaitEvent::Ended(WaitEnd::TimedOut(Box::new(TimedOut {
            last_status: self.last_status.take(),
            last_error: self.last_error.take(),
            polls: self.polls,
            waited: self.started.elapsed(),
        })))
    }

    /// Sets the next look `interval` from now, or a last one shortly before the deadline.
    fn plan(&mut self, looked_at: Instant, interval: Duration) {
        let now = Instant::now();
        let planned = now.checked_add(interval);
        self.next_look = planned.or(self.deadline).unwrap_or(now + A_YEAR);
        let Some(deadline) = self.deadline else { return };
        // Long enough for a look like the last one, as far as that leaves room for looks at all: one that
        // was slow must not be the only one.
        let reserve = ((now - looked_at) * 2).clamp(LAST_LOOK_BEFORE, LAST_LOOK_BEFORE_AT_MOST);
        if self.next_look + reserve > deadline {
            let last = deadline.checked_sub(reserve).unwrap_or(now);
            self.next_look = if last > now { last } else { deadline };
        }
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

    fn named(&self, error: Error) -> Error {
        error
            .with_deployment_id(self.wait.deployment_id.clone())
            .with_request_id(self.wait.request_id.clone())
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

/// Whether a person would call it a change.
fn differs(last: &RequestStatus, now: &RequestStatus) -> bool {
    (&last.status, last.queue_position, &last.instance_id)
        != (&now.status, now.queue_position, &now.instance_id)
}

/// The future's output, or `None` where the deadline came first.
async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
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
