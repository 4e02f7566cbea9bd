//! Runs on a driver's machines: the driver starts and ends them, the queue does not simulate them.

use std::time::Duration;

use super::{
    ChangeKind, Instance, InstanceNumber, InstanceState, Phase, Queue, RunChange, RunNumber,
};

impl Queue {
    /// Hands a run over to this machine, where it waits behind other jobs. `false` if it is no longer queued.
    pub(crate) fn hand_over(&mut self, run: RunNumber, instance: InstanceNumber) -> bool {
        let since = self.now;
        match &mut self.runs[run.0].phase {
            phase @ Phase::Queued => *phase = Phase::HandedOver { instance, since },
            Phase::HandedOver { .. } | Phase::Running { .. } | Phase::Ended { .. } => return false,
        }
        self.waiting.retain(|other| *other != run);
        self.handed_over.push(run);
        true
    }

    /// Records that a handed-over run started `ago`. `false` if it is not waiting for that.
    pub(crate) fn begin(&mut self, run: RunNumber, ago: Duration) -> bool {
        let Phase::HandedOver { instance, since: handed_over } = self.runs[run.0].phase else {
            return false;
        };
        let since = self.now.saturating_sub(ago).max(handed_over);
        let phase = Phase::Running { instance, since, ends_at: None, stops_at: None };
        self.runs[run.0].phase = phase;
        self.handed_over.retain(|other| *other != run);
        // The instance was already running before this was reported.
        self.metered += self.now.saturating_sub(since).as_nanos();
        let state = InstanceState::Busy { run };
        self.instances.push(Instance { number: instance, state, since });
        self.changes.push(RunChange { run, at: since, what: ChangeKind::Started });
        true
    }

    /// Ends a handed-over run and frees its machine. `false` if it was not handed over.
    pub(crate) fn end(&mut self, run: RunNumber, cancelled: bool) -> bool {
        let at = self.now;
        let (instance, since) = match self.runs[run.0].phase {
            Phase::HandedOver { instance, .. } => (instance, None),
            Phase::Running { instance, since, ends_at: None, .. } => (instance, Some(since)),
            Phase::Queued | Phase::Running { .. } | Phase::Ended { .. } => return false,
        };
        self.handed_over.retain(|other| *other != run);
        self.runs[run.0].phase = Phase::Ended { instance: Some(instance), since, at, cancelled };
        self.instances.retain(|one| one.state != InstanceState::Busy { run });
        self.changes.push(RunChange { run, at, what: ChangeKind::Ended });
        // If the driver is gone, this starts instances for the queued runs.
        self.changed();
        true
    }
}
