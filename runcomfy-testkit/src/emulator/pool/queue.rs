//! Requests that wait for a server, in the order in which they came.

use std::{collections::VecDeque, sync::Mutex};

use runcomfy_core::RequestId;

use crate::{account::Readiness, comfyui::AcceptedJob, fake::FakeRunComfy, sync::lock};

/// Two lists, as accounts are asked while the first is locked, and are locked while they push.
#[derive(Default)]
pub(super) struct PendingJobs {
    waiting: Mutex<VecDeque<PendingJob>>,
    arrived: Mutex<Vec<PendingJob>>,
}

pub(super) struct PendingJob {
    pub(super) fake: FakeRunComfy,
    pub(super) request_id: RequestId,
    /// HandedOverJob before, by an emulator that is gone.
    pub(super) begun: Option<HandedOverJob>,
}

pub(super) struct HandedOverJob {
    pub(super) machine: u64,
    /// The id that the machine was asked to run it under.
    pub(super) prompt_id: String,
    pub(super) accepted: Option<AcceptedJob>,
}

impl PendingJobs {
    pub(super) fn push(&self, waiting: PendingJob) {
        lock(&self.arrived).push(waiting);
    }

    /// The first that was begun and is for this one to finish.
    pub(super) fn begun(&self, is_mine: impl Fn(&HandedOverJob) -> bool) -> Option<PendingJob> {
        let mut waiting = lock(&self.waiting);
        waiting.extend(lock(&self.arrived).drain(..));
        let mine = |one: &PendingJob| one.begun.as_ref().is_some_and(&is_mine);
        let place = waiting.iter().position(mine)?;
        waiting.remove(place)
    }

    /// The first whose deployment has room for it. Those that are over are forgotten on the way.
    pub(super) fn first(&self) -> Option<PendingJob> {
        let mut waiting = lock(&self.waiting);
        waiting.extend(lock(&self.arrived).drain(..));
        let mut place = 0;
        while let Some(one) = waiting.get(place) {
            let standing = match one.begun {
                // Somebody else's to finish.
                Some(_) => Readiness::Full,
                None => one.fake.readiness(&one.request_id),
            };
            match standing {
                Readiness::Full => place += 1,
                Readiness::Over => drop(waiting.remove(place)),
                Readiness::Ready => return waiting.remove(place),
            }
        }
        None
    }
}
