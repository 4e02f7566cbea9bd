//! A wait under way.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep_until},
};

use super::{
    registry::RunKey,
    run::{End, Observed, Run},
};
use crate::{
    api::RunComfyApi,
    error::{Error, ErrorKind, Operation},
    id::{DeploymentId, RequestId},
    request::{RequestResult, RequestStatus},
    wait::{
        builder::Wait,
        event::{FinishedRun, TimedOutWait, WaitEnd, WaitEvent},
        policy::WaitPolicy,
        polls::{reserve, status_changed, timed_out_error},
        single::SingleWait,
    },
};

/// A wait that shares a poller, or one that polls for itself.
pub(super) enum Waiter<A> {
    Single(Box<SingleWait<A>>),
    SharedWaiter(Box<SharedWaiter>),
}

impl<A: RunComfyApi> Waiter<A> {
    pub(super) fn single(wait: Wait<A>) -> Self {
        Self::Single(Box::new(SingleWait::new(wait)))
    }

    pub(super) fn shared<C>(run: &Arc<Run>, key: &RunKey<C>, policy: &WaitPolicy) -> Self {
        Self::SharedWaiter(Box::new(SharedWaiter::new(run, (key.1.clone(), key.2.clone()), policy)))
    }

    /// The next event; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<WaitEvent>, Error> {
        match self {
            // Boxed: those who wait among others would keep the room for it.
            Self::Single(watch) => Box::pin(watch.next()).await,
            Self::SharedWaiter(shared) => shared.next().await,
        }
    }
}

/// A wait that shares a poller.
pub(super) struct SharedWaiter {
    observed: Receiver<Observed>,
    run: Weak<Run>,
    ids: (DeploymentId, RequestId),
    started: Instant,
    deadline: Option<Instant>,
    /// Polls since then are taken for this wait's own.
    fresh: Instant,
    /// How old a poll may be that is taken for the last before the deadline.
    patience: Duration,
    /// Whether the last poll before the deadline is asked for.
    asked: bool,
    /// How many polls there had been before this wait.
    earlier_polls: u32,
    failures_told: u32,
    last_told: Option<RequestStatus>,
    ended: bool,
}

impl SharedWaiter {
    fn new(run: &Arc<Run>, ids: (DeploymentId, RequestId), policy: &WaitPolicy) -> Self {
        let (started, timeout) = (Instant::now(), policy.timeout);
        let observed = run.observed.subscribe();
        let (earlier_polls, failures_told) = {
            let observed = observed.borrow();
            (observed.polls, observed.failures)
        };
        Self {
            run: Arc::downgrade(run),
            ids,
            started,
            // A timeout beyond what the clock can hold is no timeout.
            deadline: timeout.and_then(|timeout| started.checked_add(timeout)),
            fresh: fresh(policy, started),
            patience: (timeout.unwrap_or_default() / 50).max(SHORT).min(policy.briefly()),
            asked: false,
            earlier_polls,
            failures_told,
            observed,
            last_told: None,
            ended: false,
        }
    }

    async fn next(&mut self) -> Result<Option<WaitEvent>, Error> {
        while !self.ended {
            let observed = self.observed.borrow_and_update().clone();
            if let Some(event) = self.next_event(&observed)? {
                return Ok(Some(event));
            }
            let last_poll = self.last_poll(&observed).filter(|_| !self.asked);
            let deadline = self.deadline;
            tokio::select! {
                biased;
                changed = self.observed.changed() => if changed.is_err() {
                    self.ended = true;
                    let error = Error::new(Operation::GetRequestStatus, ErrorKind::UpstreamUnavailable);
                    return Err(self.with_ids(error.with_message("the polls at the run broke off")));
                },
                () = at(last_poll) => self.demand_last_poll(),
                () = at(deadline) => return Ok(Some(self.timed_out(&observed))),
            }
        }
        Ok(None)
    }

    /// What there is to tell of what was seen.
    fn next_event(&mut self, observed: &Observed) -> Result<Option<WaitEvent>, Error> {
        match (&observed.end, &observed.status) {
            (Some(End::Failed(error)), _) => {
                self.ended = true;
                return Err(error.clone());
            }
            (Some(End::Result(result)), Some(status)) => {
                return Ok(Some(self.finished(observed, status, result.as_ref().clone())));
            }
            _ => {}
        }
        if observed.failures != self.failures_told {
            self.failures_told = observed.failures;
            if let Some(error) = &observed.error {
                return Ok(Some(WaitEvent::PollFailed(error.clone())));
            }
        }
        let Some((status, (began, _))) = observed.status.as_ref().zip(observed.last_poll) else {
            return Ok(None);
        };
        // A poll from before this wait began tells where the run was, not where it is.
        let own = began >= self.fresh && observed.error.is_none();
        if own && status_changed(self.last_told.as_ref(), status) {
            self.last_told = Some(status.clone());
            return Ok(Some(WaitEvent::Changed(status.clone())));
        }
        Ok(None)
    }

    /// When a poll has to begin that is to be back before the deadline.
    fn last_poll(&self, observed: &Observed) -> Option<Instant> {
        let took = observed.last_poll.map(|(_, took)| took).unwrap_or_default();
        let last = self.deadline?.checked_sub(reserve(took))?;
        (last > self.started).then_some(last)
    }

    /// Asks for a last poll, unless there has just been one.
    fn demand_last_poll(&mut self) {
        self.asked = true;
        let Some(run) = self.run.upgrade() else { return };
        let now = Instant::now();
        let fresh = now.checked_sub(self.patience).unwrap_or(now);
        run.demand(|demand| demand.fresh = demand.fresh.max(Some(fresh)));
    }

    fn polls(&self, observed: &Observed) -> u32 {
        observed.polls - self.earlier_polls
    }

    fn finished(
        &mut self,
        observed: &Observed,
        status: &RequestStatus,
        result: Result<RequestResult, Error>,
    ) -> WaitEvent {
        self.ended = true;
        WaitEvent::Ended(WaitEnd::Finished(Box::new(FinishedRun {
            status: status.clone(),
            result,
            polls: self.polls(observed),
            waited: self.started.elapsed(),
        })))
    }

    /// The time is up, perhaps between the run's end and its result.
    fn timed_out(&mut self, observed: &Observed) -> WaitEvent {
        if let Some(status) = observed.status.as_ref().filter(|_| observed.over) {
            return self.finished(observed, status, Err(self.with_ids(timed_out_error())));
        }
        self.ended = true;
        WaitEvent::Ended(WaitEnd::TimedOut(Box::new(TimedOutWait {
            last_status: observed.status.clone(),
            last_error: observed.error.clone(),
            polls: self.polls(observed),
            waited: self.started.elapsed(),
        })))
    }

    fn with_ids(&self, error: Error) -> Error {
        let (deployment_id, request_id) = self.ids.clone();
        error.with_deployment_id(deployment_id).with_request_id(request_id)
    }
}

/// Many have their deadlines close together, and one poll is enough for them.
const SHORT: Duration = Duration::from_millis(100);

/// The oldest poll that is good enough for a wait that begins now.
pub(super) fn fresh(policy: &WaitPolicy, now: Instant) -> Instant {
    now.checked_sub(policy.briefly()).unwrap_or(now)
}

/// Completes at `time`; never where there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
