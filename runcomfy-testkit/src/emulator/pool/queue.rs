//! Requests that wait for a server, in the order in which they came.

use std::{collections::VecDeque, sync::Mutex};

use runcomfy_core::RequestId;

use crate::{account::Standing, comfyui::Accepted, fake::FakeRunComfy, sync::lock};

/// Two lists, as accounts are asked while the first is locked, and are locked while they push.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Mutex<Vec<Waiting>>,
}

pub(super) struct Waiting {
    pub(super) fake: FakeRunComfy,
    pub(super) request_id: RequestId,
    /// Begun before, by an emulator that is gone.
    pub(super) begun: Option<Begun>,
}

pub(super) struct Begun {
    pub(super) machine: u64,
    /// The id that the machine was asked to run it under.
    pub(super) prompt_id: String,
    pub(super) accepted: Option<Accepted>,
}

impl Queue {
    pub(super) fn push(&self, waiting: Waiting) {
        lock(&self.arrived).push(waiting);
    }

    /// The first that was begun and is for this one to finish.
    pub(super) fn begun(&self, is_mine: impl Fn(&Begun) -> bool) -> Option<Waiting> {
        let mut waiting = lock(&self.waiting);
        waiting.extend(lock(&self.arrived).drain(..));
        let mine = |one: &Waiting| one.begun.as_ref().is_some_and(&is_mine);
        let place = waiting.iter().position(mine)?;
        waiting.remove(place)
    }

    /// The first whose deployment has room for it. Those that are over are forgotten on the way.
    pub(super) fn first(&self) -> Option<Waiting> {
        let mut waiting = lock(&self.waiting);
        waiting.extend(lock(&self.arrived).drain(..));
        let mut place = 0;
        while let Some(one) = waiting.get(place) {
            let standing = match one.begun {
                // Somebody else's to finish.
                Some(_) => Standing::Full,
                None => one.fake.standing(&one.request_id),
            };
            match standing {
                Standing::Full => place += 1,
                Standing::Over => drop(waiting.remove(place)),
                Standing::Ready => return waiting.remove(place),
            }
        }
        None
    }
}
