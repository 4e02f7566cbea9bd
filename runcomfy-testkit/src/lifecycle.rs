//! `Queue`: the runs and instances of one deployment as a pure function of events and time.
//!
//! The owner of a [`Queue`] advances it before each use. The queue then computes what has happened since, in
//! order of time, so the result does not depend on how often it is advanced.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

mod driven;
#[cfg(test)]
mod properties;
mod scaling;
#[cfg(test)]
mod tests;
mod view;

/// Durations that apply to every instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timing {
    /// The time from starting an instance until it takes its first run.
    pub cold_start: Duration,
    /// How long a run takes by default.
    pub run_time: Duration,
    /// The time from the cancellation of a running run until it stops. A run that ends before completes.
    pub cancel_latency: Duration,
    /// A driver starts and ends runs on its own machines: the queue starts no instances, and the times above
    /// do not apply.
    pub driven: bool,
}

impl Default for Timing {
    /// A cold start of 30 s, runs of 20 s, and half a second to cancel.
    fn default() -> Self {
        Self {
            cold_start: Duration::from_secs(30),
            run_time: Duration::from_secs(20),
            cancel_latency: Duration::from_millis(500),
            driven: false,
        }
    }
}

/// The scaling settings of a deployment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) min_instances: u64,
    pub(crate) max_instances: u64,
    pub(crate) queue_size: u64,
    pub(crate) keep_warm: Duration,
    /// A paused deployment finishes its runs, lets idle instances stop after their keep-warm time, and
    /// accepts no new runs.
    pub(crate) enabled: bool,
}

/// A run, numbered in order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RunNumber(pub(crate) usize);

/// An instance, numbered in order of starting. Numbers are not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InstanceNumber(pub(crate) u64);

/// The script of a run at submission.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The shortest time in the queue.
    pub(crate) held: Duration,
    /// How long it runs, if not for the usual time.
    pub(crate) run_time: Option<Duration>,
    /// Whether it ends as cancelled.
    pub(crate) ends_cancelled: bool,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RunState {
    /// Waits for an instance behind `position` others.
    Queued {
        position: usize,
    },
    Running {
        instance: InstanceNumber,
    },
    /// Ended by itself, successfully or not.
    Completed {
        instance: InstanceNumber,
        at: Duration,
    },
    Cancelled {
        instance: Option<InstanceNumber>,
        at: Duration,
    },
}

/// A change of a run's state, and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RunChange {
    pub(crate) run: RunNumber,
    pub(crate) at: Duration,
    pub(crate) what: ChangeKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Started,
    Ended,
}

/// The runs and instances of one deployment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Queue {
    now: Duration,
    /// The total uptime of all instances, in nanoseconds.
    metered: u128,
    /// Changes that were not taken yet, in order of time.
    changes: Vec<RunChange>,
    timing: Timing,
    scaling: Scaling,
    runs: Vec<RunRecord>,
    /// Runs that have not started, in order of their numbers.
    waiting: VecDeque<RunNumber>,
    /// Runs that wait on a machine, in order of their hand-over.
    handed_over: Vec<RunNumber>,
    /// Running instances, in order of starting.
    instances: Vec<Instance>,
    woken: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct RunRecord {
    not_before: Duration,
    run_time: Duration,
    ends_cancelled: bool,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Queued,
    /// Waits on a machine of the driver.
    HandedOver {
        instance: InstanceNumber,
        since: Duration,
    },
    Running {
        instance: InstanceNumber,
        since: Duration,
        /// When it ends by itself. `None` if the driver ends it.
        ends_at: Option<Duration>,
        /// When its cancellation takes effect.
        stops_at: Option<Duration>,
    },
    Ended {
        instance: Option<InstanceNumber>,
        since: Option<Duration>,
        at: Duration,
        cancelled: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
struct Instance {
    number: InstanceNumber,
    state: InstanceState,
    since: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum InstanceState {
    Starting { ready_at: Duration },
    Idle,
    Busy { run: RunNumber },
}

impl Queue {
    pub(crate) fn new(timing: Timing, scaling: Scaling, now: Duration) -> Self {
        let mut queue = Self {
            now,
            metered: 0,
            changes: Vec::new(),
            timing,
            scaling,
            runs: Vec::new(),
            waiting: VecDeque::new(),
            handed_over: Vec::new(),
            instances: Vec::new(),
            woken: 0,
        };
        queue.assign_and_scale();
        queue.advance(now);
        queue
    }

    /// Applies everything that is due by `now`. An earlier `now` has no effect.
    pub(crate) fn advance(&mut self, now: Duration) {
        while let Some(at) = self.next_event().filter(|at| *at <= now) {
            self.pass_until(at);
            self.apply_due_events();
            self.assign_and_scale();
        }
        self.pass_until(now);
    }

    fn pass_until(&mut self, at: Duration) {
        let passed = at.saturating_sub(self.now);
        self.metered += passed.as_nanos() * self.instances.len() as u128;
        self.now += passed;
    }

    /// Adds a run. The caller checks first that the deployment accepts runs.
    pub(crate) fn submit(&mut self, plan: &Plan) -> RunNumber {
        let number = RunNumber(self.runs.len());
        self.runs.push(RunRecord {
            not_before: self.now.saturating_add(plan.held),
            run_time: plan.run_time.unwrap_or(self.timing.run_time),
            ends_cancelled: plan.ends_cancelled,
            phase: Phase::Queued,
        });
        self.waiting.push_back(number);
        self.changed();
        number
    }

    /// Requests the cancellation of a run. `false` if it has ended.
    pub(crate) fn cancel(&mut self, run: RunNumber) -> bool {
        let stops_by = self.now.saturating_add(self.timing.cancel_latency);
        match &mut self.runs[run.0].phase {
            phase @ Phase::Queued => {
                let at = self.now;
                *phase = Phase::Ended { instance: None, since: None, at, cancelled: true };
                self.waiting.retain(|other| *other != run);
                self.changes.push(RunChange { run, at, what: ChangeKind::Ended });
            }
            // The driver stops it.
            Phase::HandedOver { .. } | Phase::Running { ends_at: None, .. } => return true,
            Phase::Running { stops_at, .. } => {
                stops_at.get_or_insert(stops_by);
            }
            Phase::Ended { .. } => return false,
        }
        self.changed();
        true
    }

    pub(crate) fn rescale(&mut self, scaling: Scaling) {
        self.scaling = scaling;
        self.changed();
    }

    /// Replaces the durations. Runs in progress end as planned.
    pub(crate) fn retime(&mut self, timing: Timing) {
        self.timing = timing;
        self.changed();
    }

    pub(crate) fn state(&self, run: RunNumber) -> RunState {
        match self.runs[run.0].phase {
            Phase::Queued => RunState::Queued {
                position: self.handed_over.len()
                    + self.waiting.binary_search(&run).unwrap_or_else(|ahead| ahead),
            },
            Phase::HandedOver { .. } => RunState::Queued {
                position: self.handed_over.iter().take_while(|other| **other != run).count(),
            },
            Phase::Running { instance, .. } => RunState::Running { instance },
            Phase::Ended { instance: Some(instance), at, cancelled: false, .. } => {
                RunState::Completed { instance, at }
            }
            Phase::Ended { instance, at, .. } => RunState::Cancelled { instance, at },
        }
    }

    /// Removes and returns the changes since the last call, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<RunChange> {
        std::mem::take(&mut self.changes)
    }

    /// Applies the immediate consequences of an external change.
    fn changed(&mut self) {
        self.assign_and_scale();
        self.advance(self.now);
    }

    /// When the next event is due if nothing else happens before.
    pub(crate) fn next_event(&self) -> Option<Duration> {
        let surplus = self.instances.len() as u64 > self.required_instances();
        let of_instances = self.instances.iter().filter_map(|instance| match instance.state {
            InstanceState::Starting { ready_at } => Some(ready_at),
            InstanceState::Idle => {
                surplus.then(|| instance.since.saturating_add(self.scaling.keep_warm))
            }
            InstanceState::Busy { run } => self.ends_at(run),
        });
        // The first run may be held longer than it takes to start an instance.
        let held = self.waiting.front().map(|run| self.runs[run.0].not_before);
        of_instances.chain(held.filter(|until| *until > self.now)).min()
    }

    /// Ends the runs and cold starts that are due. A run that ends at the moment of its cancellation
    /// completes.
    fn apply_due_events(&mut self) {
        let now = self.now;
        for instance in &mut self.instances {
            match instance.state {
                InstanceState::Starting { ready_at } if ready_at <= now => {
                    (instance.state, instance.since) = (InstanceState::Idle, ready_at);
                }
                InstanceState::Busy { run: number } => {
                    let run = &mut self.runs[number.0];
                    let Phase::Running { ends_at, stops_at, since, .. } = run.phase else {
                        continue;
                    };
                    let (at, cancelled) = match (ends_at, stops_at) {
                        (Some(ends_at), _) if ends_at <= now => (ends_at, run.ends_cancelled),
                        (_, Some(stops_at)) if stops_at <= now => (stops_at, true),
                        _ => continue,
                    };
                    let (on, since) = (Some(instance.number), Some(since));
                    run.phase = Phase::Ended { instance: on, since, at, cancelled };
                    self.changes.push(RunChange { run: number, at, what: ChangeKind::Ended });
                    (instance.state, instance.since) = (InstanceState::Idle, at);
                }
                InstanceState::Starting { .. } | InstanceState::Idle => {}
            }
        }
    }

    /// Assigns queued runs to idle instances, starts missing instances and stops surplus ones.
    fn assign_and_scale(&mut self) {
        let now = self.now;
        if self.timing.driven {
            // Removes simulated instances that were there before the driver.
            self.instances.retain(|one| matches!(one.state, InstanceState::Busy { .. }));
            return;
        }
        // After the maximum was lowered, more instances may be busy for a while.
        let places = self.scaling.max_instances.saturating_sub(self.busy());
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        let idle = self.instances.iter_mut().filter(|i| matches!(i.state, InstanceState::Idle));
        let mut idle = idle.take(places);
        while let Some(run) = self.waiting.front().copied()
            && self.runs[run.0].not_before <= now
            && let Some(instance) = idle.next()
        {
            self.waiting.pop_front();
            (instance.state, instance.since) = (InstanceState::Busy { run }, now);
            self.changes.push(RunChange { run, at: now, what: ChangeKind::Started });
            let run = &mut self.runs[run.0];
            run.phase = Phase::Running {
                instance: instance.number,
                since: now,
                ends_at: Some(now.saturating_add(run.run_time)),
                stops_at: None,
            };
        }

        let wanted = self.required_instances();
        while (self.instances.len() as u64) < wanted {
            self.woken += 1;
            self.instances.push(Instance {
                number: InstanceNumber(self.woken),
                state: InstanceState::Starting {
                    ready_at: now.saturating_add(self.timing.cold_start),
                },
                since: now,
            });
        }

        self.stop_above_maximum();
        let mut up = self.instances.len() as u64;
        let keep_warm = self.scaling.keep_warm;
        self.instances.retain(|instance| {
            let stops = up > wanted
                && instance.state == InstanceState::Idle
                && instance.since.saturating_add(keep_warm) <= now;
            up -= u64::from(stops);
            !stops
        });
    }
}

fn first(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
