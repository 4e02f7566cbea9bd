//! Runs that begin and end because somebody says so: on machines that the queue does not simulate.

use std::time::Duration;

use super::{
    ChangeKind, Instance, InstanceNumber, InstanceState, Phase, Queue, RunChange, RunNumber,
};

impl Queue {
    /// A run is handed over to this machine, where it waits behind what others have there. `false` where it
    /// no longer waits here.
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

    /// A run that was handed over began so long ago. `false` where it is not waited for.
    pub(crate) fn begin(&mut self, run: RunNumber, ago: Duration) -> bool {
        let Phase::HandedOver { instance, since: handed_over } = self.runs[run.0].phase else {
            return false;
        };
        let since = self.now.saturating_sub(ago).max(handed_over);
        let phase = Phase::Running { instance, since, ends_at: None, stops_at: None };
        self.runs[run.0].phase = phase;
        self.handed_over.retain(|other| *other != run);
        // It was up before anybody knew.
        self.metered += self.now.saturating_sub(since).as_nanos();
        let state = InstanceState::Busy { run };
        self.instances.push(Instance { number: instance, state, since });
        self.changes.push(RunChange { run, at: since, what: ChangeKind::Started });
        true
    }

    /// A run that was handed over is over, and its machine is nobody's. `false` where none is.
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
        // Where nobody drives it any more, this makes room for what waits.
        self.changed();
        true
    }
}
