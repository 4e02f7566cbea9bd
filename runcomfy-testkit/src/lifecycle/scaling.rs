//! How many instances there are to be, and which go first.

use std::{cmp::Reverse, time::Duration};

use super::{Instance, InstanceState, Queue};

/// How many instances a deployment may have and how long they stay.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) min_instances: u64,
    pub(crate) max_instances: u64,
    pub(crate) queue_size: u64,
    pub(crate) keep_warm: Duration,
    /// A paused deployment finishes what it has, keeps nothing up beyond its keep-warm time, and takes nothing
    /// new.
    pub(crate) enabled: bool,
}

impl Queue {
    /// Stops what the maximum leaves no room for, the least useful first: the newest of those still
    /// starting, then the one that has been idle longest. A busy one finishes its run.
    pub(super) fn stop_above_maximum(&mut self) {
        while self.instances.len() as u64 > self.scaling.max_instances {
            let use_of = |instance: &Instance| match instance.state {
                InstanceState::Starting { .. } => {
                    Some((false, Duration::ZERO, Reverse(instance.number.0)))
                }
                InstanceState::Idle => Some((true, instance.since, Reverse(instance.number.0))),
                InstanceState::Busy { .. } => None,
            };
            let free = self.instances.iter().enumerate();
            let free = free.filter_map(|(place, instance)| Some((use_of(instance)?, place)));
            let Some((_, least)) = free.min() else { return };
            self.instances.remove(least);
        }
    }

    pub(super) fn busy(&self) -> u64 {
        let is_busy = |one: &&Instance| matches!(one.state, InstanceState::Busy { .. });
        self.instances.iter().filter(is_busy).count() as u64
    }

    /// How many instances there should be: one per `queue_size` runs that are not over, and at least one
    /// where there is any.
    pub(super) fn wanted(&self) -> u64 {
        let outstanding = self.waiting.len() as u64 + self.busy();
        let least = if self.scaling.enabled { self.scaling.min_instances } else { 0 };
        outstanding
            .div_ceil(self.scaling.queue_size.max(1))
            .max(least)
            .min(self.scaling.max_instances)
    }
}
