//! A queue as others see it: who is up, since when, and what it costs.

use std::time::Duration;

use super::{Instance, InstanceNumber, InstanceState, Phase, Queue, RunNumber, first};

/// An instance as a person would see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InstanceView {
    pub(crate) number: InstanceNumber,
    /// `starting`, `idle` or `busy`.
    pub(crate) state: &'static str,
    pub(crate) since: Duration,
}

impl Queue {
    /// When it got its instance.
    pub(crate) fn started_at(&self, run: RunNumber) -> Option<Duration> {
        match self.runs[run.0].phase {
            Phase::Queued | Phase::HandedOver { .. } => None,
            Phase::Running { since, .. } => Some(since),
            Phase::Ended { since, .. } => since,
        }
    }

    /// When it ends, if nobody interferes. `None` where that is not known, or past.
    pub(crate) fn ends_at(&self, run: RunNumber) -> Option<Duration> {
        match self.runs[run.0].phase {
            Phase::Running { ends_at, stops_at, .. } => first(ends_at, stops_at),
            Phase::Queued | Phase::HandedOver { .. } | Phase::Ended { .. } => None,
        }
    }

    /// The machine that a run was handed over to, begun or not.
    pub(crate) fn machine_of(&self, run: RunNumber) -> Option<InstanceNumber> {
        match self.runs[run.0].phase {
            Phase::HandedOver { instance, .. } | Phase::Running { instance, .. } => Some(instance),
            Phase::Queued | Phase::Ended { .. } => None,
        }
    }

    /// How many instances are up, or will be as soon as what they were given begins.
    pub(crate) fn taken(&self) -> usize {
        self.instances.len() + self.handed_over.len()
    }

    /// Those that answer calls: up, and past their cold start.
    pub(crate) fn live_instances(&self) -> impl Iterator<Item = InstanceNumber> + '_ {
        let starting =
            |instance: &Instance| matches!(instance.state, InstanceState::Starting { .. });
        self.instances.iter().filter(move |instance| !starting(instance)).map(|i| i.number)
    }

    /// All that are up, in order of waking.
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

    /// How many are up. Each is billed, from its wake signal on.
    pub(crate) fn up(&self) -> usize {
        self.instances.len()
    }

    /// How many runs wait for an instance.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len() + self.handed_over.len()
    }

    /// What all instances together have been up for, in nanoseconds.
    pub(crate) fn metered(&self) -> u128 {
        self.metered
    }

    /// The machines that have taken a run, whether or not they are up.
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
