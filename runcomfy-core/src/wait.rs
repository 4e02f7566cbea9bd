//! Waiting until a run is done, over any [`RunComfyApi`].

use std::{fmt, future::Future, time::Duration};

use futures_core::Stream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    RunComfyApi,
    error::{Error, ErrorKind, Operation},
    types::{DeploymentId, RequestId, RequestResult, RequestState, RequestStatus},
};

/// How long to wait, and how often to look.
///
/// Looks are frequent while a run is young and rarer as it ages, so that a short run is noticed at once
/// and an hour costs under 300 looks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WaitPolicy {
    /// When to stop waiting, kept exactly; `None` waits for ever. Zero looks once.
    pub timeout: Option<Duration>,
    /// The shortest time between two looks.
    pub shortest: Duration,
    /// The shortest time between two looks while the run is in queue.
    pub shortest_in_queue: Duration,
    /// The longest time between two looks; doubled after half an hour.
    pub longest: Duration,
    /// The time between two looks as a share of the time waited so far.
    pub growth: f64,
    /// How far that is varied at random, as a share of it, so that many who wait don't look together.
    pub jitter: f64,
    /// How long "not found" is taken for a run that the service does not know yet.
    pub not_found_grace: Duration,
}

impl Default for WaitPolicy {
    /// 300 s; a look after 1 s (2 s in queue), then after a tenth of the time waited, at most 15 s, all
    /// varied by a fifth; 10 s of patience with "not found".
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(300)),
            shortest: Duration::from_secs(1),
            shortest_in_queue: Duration::from_secs(2),
            longest: Duration::from_secs(15),
            growth: 0.1,
            jitter: 0.2,
            not_found_grace: Duration::from_secs(10),
        }
    }
}

impl WaitPolicy {
    /// The default, with another time to stop.
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..Self::default() }
    }

    /// The time to the next look, before jitter.
    #[must_use]
    pub fn interval(&self, waited: Duration, state: RequestState) -> Duration {
        const LONG: Duration = Duration::from_secs(30 * 60);
        let longest = if waited > LONG { self.longest * 2 } else { self.longest };
        let shortest =
            if state == RequestState::InQueue { self.shortest_in_queue } else { self.shortest };
        waited.mul_f64(self.growth).min(longest).max(shortest)
    }

    fn jittered(&self, interval: Duration) -> Duration {
        interval.mul_f64(1.0 + self.jitter * (2.0 * fastrand::f64() - 1.0))
    }
}

/// A wait for one run: what to wait for and how.
///
/// Dropping it, or anything made from it, leaves the run alone.
pub struct Wait<'a> {
    api: &'a dyn RunComfyApi,
    deployment_id: DeploymentId,
    request_id: RequestId,
    policy: WaitPolicy,
}

impl<'a> Wait<'a> {
    /// A wait with the default policy.
    #[must_use]
    pub fn new(
        api: &'a dyn RunComfyApi,
        deployment_id: DeploymentId,
        request_id: RequestId,
    ) -> Self {
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

    /// The same as a stream: every change of state, every look that failed, and the end, which is last.
    ///
    /// The stream ends after [`WaitEvent::Ended`] or the first `Err`, whose kinds are those of
    /// [`finish`](Self::finish).
    pub fn events(self) -> impl Stream<Item = Result<WaitEvent, Error>> + Send + use<'a> {
        futures_util::stream::unfold(Watch::new(self), |mut watch| async move {
            let event = watch.next().await.transpose()?;
            Some((event, watch))
        })
    }
}

impl fmt::Debug for Wait<'_> {
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
    /// The time was up first. The run goes on.
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

/// A wait whose time was up.
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
struct Watch<'a> {
    wait: Wait<'a>,
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

impl<'a> Watch<'a> {
    fn new(wait: Wait<'a>) -> Self {
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
                    self.plan(looked_at, self.wait.policy.jittered(interval));
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
                    let reported =
                        Error::new(error.operation(), error.kind()).with_outcome(error.outcome());
                    self.last_error = Some(self.named(error));
                    return Ok(Some(WaitEvent::LookFailed(self.named(reported))));
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
        const TRIES: u32 = 5;
        let deadline = self.deadline.filter(|_| self.wait.policy.timeout != Some(Duration::ZERO));
        let mut result = None;
        for attempt in 1..=TRIES {
            let fetch =
                self.wait.api.get_request_result(&self.wait.deployment_id, &self.wait.request_id);
            let Some(fetched) = within(deadline, fetch).await else { break };
            let ready = fetched.as_ref().map_or(true, |result| {
                !matches!(result.state(), RequestState::InQueue | RequestState::InProgress)
            });
            result = Some(fetched);
            if ready || attempt == TRIES {
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
        self.next_look = now.checked_add(interval).unwrap_or(now);
        let Some(deadline) = self.deadline else { return };
        let reserve = LAST_LOOK_BEFORE.max((now - looked_at) * 2);
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

    /// How many looks a run of this length takes, all of it in progress, without jitter.
    fn looks(seconds: u64) -> u32 {
        let (policy, mut waited, mut looks) = (WaitPolicy::default(), Duration::ZERO, 1);
        while waited < Duration::from_secs(seconds) {
            waited += policy.interval(waited, RequestState::InProgress);
            looks += 1;
        }
        looks
    }

    #[test]
    fn looks_grow_rarer_as_a_run_ages() {
        assert_eq!([looks(30), looks(300), looks(3600)], [23, 50, 210]);
    }

    #[test]
    fn a_run_in_queue_is_looked_at_half_as_often_at_first() {
        let policy = WaitPolicy::default();
        assert_eq!(policy.interval(Duration::ZERO, RequestState::InQueue), Duration::from_secs(2));
        assert_eq!(
            policy.interval(Duration::ZERO, RequestState::InProgress),
            Duration::from_secs(1)
        );
        assert_eq!(
            policy.interval(Duration::from_secs(100), RequestState::InQueue),
            Duration::from_secs(10)
        );
        assert_eq!(
            policy.interval(Duration::from_secs(7200), RequestState::InQueue),
            Duration::from_secs(30)
        );
    }

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
