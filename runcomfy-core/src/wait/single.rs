//! A wait that polls for itself.

use std::time::{Duration, SystemTime};

use futures_core::Stream;
use tokio::time::Instant;

use super::{
    builder::Wait,
    event::{FinishedRun, TimedOutWait, WaitEnd, WaitEvent},
    polls::{PollOutcome, Polls, RESULT_TRIES, reserve, status_changed, within},
    sleep,
    timeline::Timeline,
};
use crate::{api::RunComfyApi, error::Error, request::RequestStatus};

impl<A: RunComfyApi> Wait<A> {
    /// Waits until the run is over and gets its result, or until the time is up.
    ///
    /// A run that failed, and a time that ran out, are no errors: see [`WaitEnd`]. A poll that fails
    /// does not end the wait either.
    ///
    /// # Errors
    /// `unauthenticated` and `permission_denied` at once, `not_found` once it lasts; each with the ids of
    /// the run, which goes on.
    pub async fn finish(self) -> Result<WaitEnd, Error> {
        let mut watch = SingleWait::new(self);
        loop {
            if let Some(WaitEvent::Ended(end)) = watch.next().await? {
                return Ok(end);
            }
        }
    }

    /// The same as a stream, whose time runs from this call: every change of state, every poll that failed, and the end, which is last.
    ///
    /// The stream ends after [`WaitEvent::Ended`] or the first `Err`, whose kinds are those of
    /// [`finish`](Self::finish).
    pub fn events(self) -> impl Stream<Item = Result<WaitEvent, Error>> + Send {
        futures_util::stream::unfold(SingleWait::new(self), |mut watch| async move {
            let event = watch.next().await.transpose()?;
            Some((event, watch))
        })
    }
}

/// A wait under way.
pub(super) struct SingleWait<A> {
    polls: Polls<A>,
    started: Instant,
    deadline: Option<Instant>,
    next_poll: Instant,
    timeline: Timeline,
    last_status: Option<RequestStatus>,
    last_error: Option<Error>,
    over: bool,
}

/// When to poll next where the clock can't say.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

impl<A: RunComfyApi> SingleWait<A> {
    pub(super) fn new(wait: Wait<A>) -> Self {
        let started = Instant::now();
        // A timeout beyond what the clock can hold is no timeout.
        let deadline = wait.policy.timeout.and_then(|timeout| started.checked_add(timeout));
        let polls = Polls::new(wait);
        Self {
            started,
            deadline,
            next_poll: started.checked_add(polls.first(fastrand::f64())).unwrap_or(started),
            timeline: Timeline::new(polls.just_submitted().then_some(started)),
            polls,
            last_status: None,
            last_error: None,
            over: false,
        }
    }

    /// The next event; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<WaitEvent>, Error> {
        while !self.over {
            let until =
                self.deadline.map_or(self.next_poll, |deadline| deadline.min(self.next_poll));
            sleep::sleep_until(until, SystemTime::now).await;
            let polled_at = Instant::now();
            if self.polls.polls > 0 && self.deadline.is_some_and(|deadline| polled_at >= deadline) {
                return Ok(Some(self.timed_out()));
            }
            // A wait of no time still polls once, for as long as a single call may take.
            let deadline = self.deadline.filter(|_| !self.polls_once());
            let Some(answer) = within(deadline, self.polls.ask()).await else {
                return Ok(Some(self.timed_out()));
            };
            match self.polls.interpret(answer, polled_at) {
                PollOutcome::Running(status) => {
                    let policy = self.polls.policy();
                    self.timeline.record(status.state(), polled_at);
                    // Who waited long in queue waits anew for the run's end.
                    let age = self.timeline.age(polled_at).unwrap_or(polled_at - self.started);
                    let usual = policy.interval(age, status.state());
                    self.plan(polled_at, policy.jittered(usual, fastrand::f64()));
                    let changed = status_changed(self.last_status.as_ref(), &status);
                    self.last_error = None;
                    self.last_status = Some(status.clone());
                    if changed {
                        return Ok(Some(WaitEvent::Changed(status)));
                    }
                }
                PollOutcome::Ended(status) => {
                    self.over = true;
                    return Ok(Some(self.finished(status).await));
                }
                PollOutcome::Failed(error, pause) => {
                    self.plan(polled_at, pause);
                    self.last_error = Some(error.clone());
                    return Ok(Some(WaitEvent::PollFailed(error)));
                }
                PollOutcome::Final(error) => {
                    self.over = true;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn polls_once(&self) -> bool {
        self.polls.policy().timeout == Some(Duration::ZERO)
    }

    async fn finished(&self, status: RequestStatus) -> WaitEvent {
        // A wait of no time does not wait for the result either.
        let (deadline, tries) =
            if self.polls_once() { (None, 1) } else { (self.deadline, RESULT_TRIES) };
        let result = self.polls.result(deadline, tries).await;
        let (polls, waited) = (self.polls.polls, self.started.elapsed());
        WaitEvent::Ended(WaitEnd::Finished(Box::new(FinishedRun { status, result, polls, waited })))
    }

    fn timed_out(&mut self) -> WaitEvent {
        self.over = true;
        WaitEvent::Ended(WaitEnd::TimedOut(Box::new(TimedOutWait {
            last_status: self.last_status.take(),
            last_error: self.last_error.take(),
            polls: self.polls.polls,
            waited: self.started.elapsed(),
        })))
    }

    /// Sets the next poll `interval` from now, or a last one shortly before the deadline.
    fn plan(&mut self, polled_at: Instant, interval: Duration) {
        let now = Instant::now();
        let planned = now.checked_add(interval);
        self.next_poll = planned.or(self.deadline).unwrap_or(now + A_YEAR);
        let Some(deadline) = self.deadline else { return };
        // Long enough for a poll like the last one, as far as that leaves room for polls at all: one that
        // was slow must not be the only one.
        let reserve = reserve(now - polled_at);
        if self.next_poll + reserve > deadline {
            let last = deadline.checked_sub(reserve).unwrap_or(now);
            self.next_poll = if last > now { last } else { deadline };
        }
    }
}
