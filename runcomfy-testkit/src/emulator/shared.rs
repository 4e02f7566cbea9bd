//! `SharedState`: what all connections and calls of an emulator share.

use super::{call_log::CallLog, faults::Faults};

pub(super) struct SharedState {
    pub(super) faults: Faults,
    pub(super) call_log: CallLog,
}

impl SharedState {
    pub(super) fn new(seed: u64) -> Self {
        Self { faults: Faults::new(seed), call_log: CallLog::default() }
    }
}
