//! Read access to a queue: times of runs, instances, uptime.

use std::time::Duration;

use super::{Instance, InstanceNumber, InstanceState, Phase, Queue, RunNumber, first};

/// An instance for the overview.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InstanceView {
    pub(crate) number: InstanceNumber,
    /// `starting`, `idle` or `busy`.
    pub(crate) state: &'static str,
    pub(crate) since: Duration,
}

impl Queue {
    /// When the run started.
    pub(crate) fn started_at(&self, run: RunNumber) -> Option<Duration> {
        match self.runs[run.0].phase {
            Phase::Queued | Phase::HandedOver { .. } => None,
            Phase::Running { since, .. } => Some(since),
            Phase::Ended { since, .. } => since,
        }
    }

    /// When the run ends if nothing else happens. `None` if that is unknown or past.
    pub(crate) fn ends_at(&self, run: RunNumber) -> Option<Duration> {
        match self.runs[run.0].phase {
            Phase::Running { ends_at, stops_at, .. } => first(ends_at, stops_at),
            Phase::Queued | Phase::HandedOver { .. } | Phase::Ended { .. } => None,
        }
    }

    /// The machine to which the run was handed over, started or not.
    pub(crate) fn machine_of(&self, run: RunNumber) -> Option<InstanceNumber> {
        match self.runs[run.0].phase {
            Phase::HandedOver { instance, .. } | Phase::Running { instance, .. } => Some(instance),
            Phase::Queued | Phase::Ended { .. } => None,
        }
    }

    /// How many instances are running or reserved by handed-over runs.
    pub(crate) fn taken(&self) -> usize {
        self.instances.len() + self.handed_over.len()
    }

    /// Instances that answer proxy calls, which are those past their cold start.
    pub(crate) fn live_instances(&self) -> impl Iterator<Item = InstanceNumber> + '_ {
        let starting =
            |instance: &Instance| matches!(instance.state, InstanceState::Starting { .. });
        self.instances.iter().filter(move |instance| !starting(instance)).map(|i| i.number)
    }

    /// All running instances, in order of starting.
    pub(crate) fn machines(&self) -> impl Iterator<Item = InstanceView> + '_ {
        self.instances.iter().map(|instance| InstanceView {
            number: instance.number,
            state: match instance.state {
                InstanceState::Starting { .. } => "starting",
                InstanceState::Idle => "idle",
                InstanceState::Busy { .. } => "busy",
            },
            since: instance.since,
        })
    }

    /// How many instances are running. Each is billed from the start of its cold start.
    pub(crate) fn up(&self) -> usize {
        self.instances.len()
    }

    /// How many runs wait for an instance.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.handed_over.len()
    }

    /// The total uptime of all instances, in nanoseconds.
    pub(crate) fn metered(&self) -> u128 {
        self.metered
    }

    /// The machines that have taken a run, running or not.
    pub(crate) fn used(&self) -> impl Iterator<Item = InstanceNumber> + '_ {
        let of_runs = self.runs.iter().filter_map(|run| match run.phase {
            Phase::Queued | Phase::HandedOver { .. } => None,
            Phase::Running { instance, .. } => Some(instance),
            Phase::Ended { instance, .. } => instance,
        });
        let mut numbers: Vec<_> = of_runs.collect();
        numbers.sort_unstable_by_key(|number| number.0);
        numbers.dedup();
        numbers.into_iter()
    }
}
