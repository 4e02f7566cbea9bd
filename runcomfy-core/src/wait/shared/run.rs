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
    wait::looks::Look,
};

/// A run that is waited for. Its poller alone keeps it: when that is gone, those who wait find out.
pub(super) struct Run {
    pub(super) seen: watch::Sender<Seen>,
    /// Those who wait want more looks than planned.
    pub(super) asked: Notify,
    wanted: Mutex<Wanted>,
}

/// What those who wait want of the poller.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// When the youngest wait began: the young look often.
    pub(super) since: Instant,
    /// A look no older than this; `None` while only those wait who know that there is no news yet.
    pub(super) fresh: Option<Instant>,
}

/// What the poller has seen.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) looks: u32,
    /// When the last look began, and how long it took.
    pub(super) last_look: Option<(Instant, Duration)>,
    pub(super) status: Option<RequestStatus>,
    pub(super) failures: u32,
    /// Why the last look failed, if it did.
    pub(super) error: Option<Error>,
    /// Whether the run is over; its result may still be on its way.
    pub(super) over: bool,
    pub(super) end: Option<End>,
}

#[derive(Clone)]
pub(super) enum End {
    Result(Arc<Result<RequestResult, Error>>),
    Refused(Error),
}

impl Run {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            seen: watch::Sender::new(Seen::default()),
            asked: Notify::new(),
            wanted: Mutex::new(wanted),
        }
    }

    pub(super) fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut lock(&self.wanted));
        self.asked.notify_one();
    }

    pub(super) fn wanted(&self) -> Wanted {
        *lock(&self.wanted)
    }
}

impl Seen {
    pub(super) fn take(&mut self, look: Look, began: Instant, took: Duration) {
        (self.looks, self.last_look, self.error) = (self.looks + 1, Some((began, took)), None);
        match look {
            Look::GoesOn(status) => self.status = Some(status),
            Look::Over(status) => (self.over, self.status) = (true, Some(status)),
            Look::Failed(error, _) => {
                (self.failures, self.error) = (self.failures + 1, Some(error));
            }
            Look::Refused(error) => self.end = Some(End::Refused(error)),
        }
    }
}
