//! `PendingJobs`: requests that wait for a server, in order of arrival.

use std::{collections::VecDeque, sync::Mutex};

use runcomfy_core::RequestId;

use crate::{account::Readiness, comfyui::AcceptedJob, fake::FakeRunComfy, sync::lock};

/// Two lists, because accounts are queried while `waiting` is locked, and push while they are locked
/// themselves.
#[derive(Default)]
pub(super) struct PendingJobs {
    waiting: Mutex<VecDeque<PendingJob>>,
    arrived: Mutex<Vec<PendingJob>>,
}

pub(super) struct PendingJob {
    pub(super) fake: FakeRunComfy,
    pub(super) request_id: RequestId,
    /// Set if an earlier emulator handed it over to a server.
    pub(super) begun: Option<HandedOverJob>,
}

pub(super) struct HandedOverJob {
    pub(super) machine: u64,
    /// The id under which the server was asked to run it.
    pub(super) prompt_id: String,
    pub(super) accepted: Option<AcceptedJob>,
}

impl PendingJobs {
    pub(super) fn push(&self, waiting: PendingJob) {
        lock(&self.arrived).push(waiting);
    }

    /// The first handed-over job for which `is_mine` holds.
    pub(super) fn resumable(&self, is_mine: impl Fn(&HandedOverJob) -> bool) -> Option<PendingJob> {
        let mut waiting = lock(&self.waiting);
        waiting.extend(lock(&self.arrived).drain(..));
        let mine = |one: &PendingJob| one.begun.as_ref().is_some_and(&is_mine);
        let place = waiting.iter().position(mine)?;
        waiting.remove(place)
    }

    /// The first job whose deployment may start another run. Drops jobs that are no longer queued.
    pub(super) fn first(&self) -> Option<PendingJob> {
        let mut waiting = lock(&self.waiting);
        waiting.extend(lock(&self.arrived).drain(..));
        let mut place = 0;
        while let Some(one) = waiting.get(place) {
            let standing = match one.begun {
                // Another worker resumes it.
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
