//! One of those who wait.

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
    run::{End, Run, Seen},
};
use crate::{
    api::RunComfyApi,
    error::{Error, ErrorKind, Operation},
    id::{DeploymentId, RequestId},
    request::{RequestResult, RequestStatus},
    wait::{
        builder::Wait,
        event::{Finished, TimedOut, WaitEnd, WaitEvent},
        looks::{differs, late, reserve},
        policy::WaitPolicy,
        watch::Watch,
    },
};

/// A wait: among others, or one that asks for itself.
pub(super) enum Seat<A> {
    Alone(Box<Watch<A>>),
    Shared(Box<Shared>),
}

impl<A: RunComfyApi> Seat<A> {
    pub(super) fn alone(wait: Wait<A>) -> Self {
        Self::Alone(Box::new(Watch::new(wait)))
    }

    pub(super) fn shared<C>(run: &Arc<Run>, key: &RunKey<C>, policy: &WaitPolicy) -> Self {
        Self::Shared(Box::new(Shared::new(run, (key.1.clone(), key.2.clone()), policy)))
    }

    /// The next event; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<WaitEvent>, Error> {
        match self {
            // Boxed: those who wait among others would keep the room for it.
            Self::Alone(watch) => Box::pin(watch.next()).await,
            Self::Shared(shared) => shared.next().await,
        }
    }
}

/// A wait among others.
pub(super) struct Shared {
    seen: Receiver<Seen>,
    run: Weak<Run>,
    ids: (DeploymentId, RequestId),
    started: Instant,
    deadline: Option<Instant>,
    /// Looks since then are taken for this wait's own.
    fresh: Instant,
    /// How old a look may be that is taken for the last before the deadline.
    patience: Duration,
    /// Whether the last look before the deadline is asked for.
    asked: bool,
    /// How many looks there had been before this wait.
    earlier_looks: u32,
    failures_told: u32,
    last_told: Option<RequestStatus>,
    ended: bool,
}

impl Shared {
    fn new(run: &Arc<Run>, ids: (DeploymentId, RequestId), policy: &WaitPolicy) -> Self {
        let (started, timeout) = (Instant::now(), policy.timeout);
        let seen = run.seen.subscribe();
        let (earlier_looks, failures_told) = {
            let seen = seen.borrow();
            (seen.looks, seen.failures)
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
            earlier_looks,
            failures_told,
            seen,
            last_told: None,
            ended: false,
        }
    }

    async fn next(&mut self) -> Result<Option<WaitEvent>, Error> {
        while !self.ended {
            let seen = self.seen.borrow_and_update().clone();
            if let Some(event) = self.news(&seen)? {
                return Ok(Some(event));
            }
            let last_look = self.last_look(&seen).filter(|_| !self.asked);
            let deadline = self.deadline;
            tokio::select! {
                biased;
                changed = self.seen.changed() => if changed.is_err() {
                    self.ended = true;
                    let error = Error::new(Operation::GetRequestStatus, ErrorKind::UpstreamUnavailable);
                    return Err(self.named(error.with_message("the looks at the run broke off")));
                },
                () = at(last_look) => self.ask(),
                () = at(deadline) => return Ok(Some(self.late(&seen))),
            }
        }
        Ok(None)
    }

    /// What there is to tell of what was seen.
    fn news(&mut self, seen: &Seen) -> Result<Option<WaitEvent>, Error> {
        match (&seen.end, &seen.status) {
            (Some(End::Refused(error)), _) => {
                self.ended = true;
                return Err(error.clone());
            }
            (Some(End::Result(result)), Some(status)) => {
                return Ok(Some(self.finished(seen, status, result.as_ref().clone())));
            }
            _ => {}
        }
        if seen.failures != self.failures_told {
            self.failures_told = seen.failures;
            if let Some(error) = &seen.error {
                return Ok(Some(WaitEvent::LookFailed(error.clone())));
            }
        }
        let Some((status, (began, _))) = seen.status.as_ref().zip(seen.last_look) else {
            return Ok(None);
        };
        // A look from before this wait began tells where the run was, not where it is.
        let own = began >= self.fresh && seen.error.is_none();
        if own && differs(self.last_told.as_ref(), status) {
            self.last_told = Some(status.clone());
            return Ok(Some(WaitEvent::Changed(status.clone())));
        }
        Ok(None)
    }

    /// When a look has to begin that is to be back before the deadline.
    fn last_look(&self, seen: &Seen) -> Option<Instant> {
        let took = seen.last_look.map(|(_, took)| took).unwrap_or_default();
        let last = self.deadline?.checked_sub(reserve(took))?;
        (last > self.started).then_some(last)
    }

    /// Asks for a last look, unless there has just been one.
    fn ask(&mut self) {
        self.asked = true;
        let Some(run) = self.run.upgrade() else { return };
        let now = Instant::now();
        let fresh = now.checked_sub(self.patience).unwrap_or(now);
        run.want(|wanted| wanted.fresh = wanted.fresh.max(Some(fresh)));
    }

    fn polls(&self, seen: &Seen) -> u32 {
        seen.looks - self.earlier_looks
    }

    fn finished(
        &mut self,
        seen: &Seen,
        status: &RequestStatus,
        result: Result<RequestResult, Error>,
    ) -> WaitEvent {
        self.ended = true;
        WaitEvent::Ended(WaitEnd::Finished(Box::new(Finished {
            status: status.clone(),
            result,
            polls: self.polls(seen),
            waited: self.started.elapsed(),
        })))
    }

    /// The time is up, perhaps between the run's end and its result.
    fn late(&mut self, seen: &Seen) -> WaitEvent {
        if let Some(status) = seen.status.as_ref().filter(|_| seen.over) {
            return self.finished(seen, status, Err(self.named(late())));
        }
        self.ended = true;
        WaitEvent::Ended(WaitEnd::TimedOut(Box::new(TimedOut {
            last_status: seen.status.clone(),
            last_error: seen.error.clone(),
            polls: self.polls(seen),
            waited: self.started.elapsed(),
        })))
    }

    fn named(&self, error: Error) -> Error {
        let (deployment_id, request_id) = self.ids.clone();
        error.with_deployment_id(deployment_id).with_request_id(request_id)
    }
}

/// Many have their deadlines close together, and one look is enough for them.
const SHORT: Duration = Duration::from_millis(100);

/// The oldest look that is good enough for a wait that begins now.
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
