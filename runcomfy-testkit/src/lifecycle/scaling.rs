//! Scaling: how many instances a deployment needs, and which are stopped first.

use std::{cmp::Reverse, time::Duration};

use super::{Instance, InstanceState, Queue};

impl Queue {
    /// Stops instances above the maximum: first the newest that are starting, then those that have been idle
    /// longest. Busy ones finish their runs.
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

    /// How many instances are needed: one per `queue_size` unfinished runs, rounded up, within the minimum
    /// and maximum.
    pub(super) fn required_instances(&self) -> u64 {
        let outstanding = self.waiting.len() as u64 + self.busy();
        let least = if self.scaling.enabled { self.scaling.min_instances } else { 0 };
        outstanding
            .div_ceil(self.scaling.queue_size.max(1))
            .max(least)
            .min(self.scaling.max_instances)
    }
}
