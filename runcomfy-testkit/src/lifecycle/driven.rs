//! Runs that begin and end because somebody says so: on machines that the queue does not simulate.

use super::{Change, Happened, Instance, InstanceNumber, InstanceState, Phase, Queue, RunNumber};

impl Queue {
    /// A run begins on this machine. `false` where it no longer waits.
    pub(crate) fn begin(&mut self, run: RunNumber, instance: InstanceNumber) -> bool {
        let since = self.now;
        match &mut self.runs[run.0].phase {
            phase @ Phase::Queued => {
                *phase = Phase::Running { instance, since, ends_at: None, stops_at: None };
            }
            Phase::Running { .. } | Phase::Ended { .. } => return false,
        }
        self.waiting.retain(|other| *other != run);
        self.instances.push(Instance {
            number: instance,
            state: InstanceState::Busy { run },
            since,
        });
        self.changes.push(Change { run, at: since, what: Happened::Started });
        true
    }

    /// A run that was begun so is over, and its machine is nobody's. `false` where none is.
    pub(crate) fn end(&mut self, run: RunNumber, cancelled: bool) -> bool {
        let at = self.now;
        let Phase::Running { instance, since, ends_at: None, .. } = self.runs[run.0].phase else {
            return false;
        };
        let since = Some(since);
        self.runs[run.0].phase = Phase::Ended { instance: Some(instance), since, at, cancelled };
        self.instances.retain(|one| one.state != InstanceState::Busy { run });
        self.changes.push(Change { run, at, what: Happened::Ended });
        // Where nobody drives it any more, this makes room for what waits.
        self.changed();
        true
    }
}
