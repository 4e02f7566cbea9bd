//! What the poller of a run and those who wait for it tell each other.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    error::Error,
    request::{RequestResult, RequestStatus},
    sync::lock,
    wait::polls::PollOutcome,
};

/// A run that is waited for. Its poller alone keeps it: when that is gone, those who wait find out.
pub(super) struct Run {
    pub(super) observed: watch::Sender<Observed>,
    /// Those who wait want more polls than planned.
    pub(super) changed: Notify,
    demand: Mutex<Demand>,
}

/// What those who wait want of the poller.
#[derive(Clone, Copy)]
pub(super) struct Demand {
    /// When the youngest wait began: the young poll often.
    pub(super) since: Instant,
    /// A poll no older than this; `None` while only those wait who know that there is no news yet.
    pub(super) fresh: Option<Instant>,
}

/// What the poller has seen.
#[derive(Clone, Default)]
pub(super) struct Observed {
    pub(super) polls: u32,
    /// When the last poll began, and how long it took.
    pub(super) last_poll: Option<(Instant, Duration)>,
    pub(super) status: Option<RequestStatus>,
    pub(super) failures: u32,
    /// Why the last poll failed, if it did.
    pub(super) error: Option<Error>,
    /// Whether the run is over; its result may still be on its way.
    pub(super) over: bool,
    pub(super) end: Option<End>,
}

#[derive(Clone)]
pub(super) enum End {
    Result(Arc<Result<RequestResult, Error>>),
    Failed(Error),
}

impl Run {
    pub(super) fn new(demand: Demand) -> Self {
        Self {
            observed: watch::Sender::new(Observed::default()),
            changed: Notify::new(),
            demand: Mutex::new(demand),
        }
    }

    pub(super) fn demand(&self, change: impl FnOnce(&mut Demand)) {
        change(&mut lock(&self.demand));
        self.changed.notify_one();
    }

    pub(super) fn current_demand(&self) -> Demand {
        *lock(&self.demand)
    }
}

impl Observed {
    pub(super) fn take(&mut self, outcome: PollOutcome, began: Instant, took: Duration) {
        (self.polls, self.last_poll, self.error) = (self.polls + 1, Some((began, took)), None);
        match outcome {
            PollOutcome::Running(status) => self.status = Some(status),
            PollOutcome::Ended(status) => (self.over, self.status) = (true, Some(status)),
            PollOutcome::Failed(error, _) => {
                (self.failures, self.error) = (self.failures + 1, Some(error));
            }
            PollOutcome::Final(error) => self.end = Some(End::Failed(error)),
        }
    }
}
