//! One wait that looks for itself.

use std::time::{Duration, SystemTime};

use futures_core::Stream;
use tokio::time::Instant;

use super::{
    alarm,
    builder::Wait,
    event::{Finished, TimedOut, WaitEnd, WaitEvent},
    looks::{Look, Looks, RESULT_TRIES, differs, reserve, within},
    work::Work,
};
use crate::{api::RunComfyApi, error::Error, request::RequestStatus};

impl<A: RunComfyApi> Wait<A> {
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

/// A wait under way.
pub(super) struct Watch<A> {
    looks: Looks<A>,
    started: Instant,
    deadline: Option<Instant>,
    next_look: Instant,
    work: Work,
    last_status: Option<RequestStatus>,
    last_error: Option<Error>,
    over: bool,
}

/// When to look next where the clock can't say.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

impl<A: RunComfyApi> Watch<A> {
    pub(super) fn new(wait: Wait<A>) -> Self {
        let started = Instant::now();
        // A timeout beyond what the clock can hold is no timeout.
        let deadline = wait.policy.timeout.and_then(|timeout| started.checked_add(timeout));
        let looks = Looks::new(wait);
        Self {
            started,
            deadline,
            next_look: started.checked_add(looks.first(fastrand::f64())).unwrap_or(started),
            work: Work::new(looks.just_submitted().then_some(started)),
            looks,
            last_status: None,
            last_error: None,
            over: false,
        }
    }

    /// The next event; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<WaitEvent>, Error> {
        while !self.over {
            let until =
                self.deadline.map_or(self.next_look, |deadline| deadline.min(self.next_look));
            alarm::until(until, SystemTime::now).await;
            let looked_at = Instant::now();
            if self.looks.polls > 0 && self.deadline.is_some_and(|deadline| looked_at >= deadline) {
                return Ok(Some(self.timed_out()));
            }
            // A wait of no time still looks once, for as long as a single call may take.
            let deadline = self.deadline.filter(|_| !self.looks_once());
            let Some(answer) = within(deadline, self.looks.ask()).await else {
                return Ok(Some(self.timed_out()));
            };
            match self.looks.judge(answer, looked_at) {
                Look::GoesOn(status) => {
                    let policy = self.looks.policy();
                    self.work.seen(status.state(), looked_at);
                    // Who waited long in queue waits anew for the run's end.
                    let age = self.work.age(looked_at).unwrap_or(looked_at - self.started);
                    let usual = policy.interval(age, status.state());
                    self.plan(looked_at, policy.jittered(usual, fastrand::f64()));
                    let changed = differs(self.last_status.as_ref(), &status);
                    self.last_error = None;
                    self.last_status = Some(status.clone());
                    if changed {
                        return Ok(Some(WaitEvent::Changed(status)));
                    }
                }
                Look::Over(status) => {
                    self.over = true;
                    return Ok(Some(self.finished(status).await));
                }
                Look::Failed(error, pause) => {
                    self.plan(looked_at, pause);
                    self.last_error = Some(error.clone());
                    return Ok(Some(WaitEvent::LookFailed(error)));
                }
                Look::Refused(error) => {
                    self.over = true;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn looks_once(&self) -> bool {
        self.looks.policy().timeout == Some(Duration::ZERO)
    }

    async fn finished(&self, status: RequestStatus) -> WaitEvent {
        // A wait of no time does not wait for the result either.
        let (deadline, tries) =
            if self.looks_once() { (None, 1) } else { (self.deadline, RESULT_TRIES) };
        let result = self.looks.result(deadline, tries).await;
        let (polls, waited) = (self.looks.polls, self.started.elapsed());
        WaitEvent::Ended(WaitEnd::Finished(Box::new(Finished { status, result, polls, waited })))
    }

    fn timed_out(&mut self) -> WaitEvent {
        self.over = true;
        WaitEvent::Ended(WaitEnd::TimedOut(Box::new(TimedOut {
            last_status: self.last_status.take(),
            last_error: self.last_error.take(),
            polls: self.looks.polls,
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
        let reserve = reserve(now - looked_at);
        if self.next_look + reserve > deadline {
            let last = deadline.checked_sub(reserve).unwrap_or(now);
            self.next_look = if last > now { last } else { deadline };
        }
    }
}
