//! `SharedState`: what the connections and the calls of one emulator share.

use super::{counters::Ledger, faults::Faults};

pub(super) struct SharedState {
    pub(super) faults: Faults,
    pub(super) ledger: Ledger,
}

impl SharedState {
    pub(super) fn new(seed: u64) -> Self {
        Self { faults: Faults::new(seed), ledger: Ledger::default() }
    }
}
