//! The queue of one deployment as a pure function of events and time: no task, no clock of its own.
//!
//! Whoever owns a [`Queue`] tells it the time before asking or changing anything. What happened since the
//! last time is worked out then, in the order in which it happened, so that it makes no difference how
//! often anybody looked.

use std::{collections::VecDeque, time::Duration};

#[cfg(test)]
mod properties;
mod scaling;
#[cfg(test)]
mod tests;

pub(crate) use scaling::Scaling;

/// How long things take on every instance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timing {
    /// From waking an instance until it takes its first run.
    pub cold_start: Duration,
    /// How long a run takes where nothing else is said of it.
    pub run_time: Duration,
    /// From the cancellation of a running run until it stops. One that ends sooner completes.
    pub cancel_latency: Duration,
}

impl Default for Timing {
    /// A cold start of 30 s, runs of 20 s, cancellations that take half a second.
    fn default() -> Self {
        Self {
            cold_start: Duration::from_secs(30),
            run_time: Duration::from_secs(20),
            cancel_latency: Duration::from_millis(500),
        }
    }
}

/// One run, in order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunNumber(usize);

/// One instance, in order of waking. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InstanceNumber(pub(crate) u64);

/// What is known of a run when it is submitted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Not started before this long from now.
    pub(crate) held: Duration,
    /// How long it runs, if not as long as every run.
    pub(crate) run_time: Option<Duration>,
    /// Whether somebody cancels it at the end of its time.
    pub(crate) ends_cancelled: bool,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RunState {
    /// Waits for an instance, behind so many others.
    Queued {
        position: usize,
    },
    Running {
        instance: InstanceNumber,
    },
    /// Ended by itself; whether well is not the queue's matter.
    Completed {
        instance: InstanceNumber,
        at: Duration,
    },
    Cancelled {
        instance: Option<InstanceNumber>,
        at: Duration,
    },
}

/// The runs and instances of one deployment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Queue {
    now: Duration,
    timing: Timing,
    scaling: Scaling,
    runs: Vec<Run>,
    /// Those not started, in order of submission, so also in order of their numbers.
    waiting: VecDeque<RunNumber>,
    /// Those that are up, in order of waking.
    instances: Vec<Instance>,
    woken: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Run {
    not_before: Duration,
    run_time: Duration,
    ends_cancelled: bool,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Queued,
    Running { instance: InstanceNumber, ends_at: Duration, stops_at: Option<Duration> },
    Ended { instance: Option<InstanceNumber>, at: Duration, cancelled: bool },
}

#[derive(Clone, Debug, PartialEq)]
struct Instance {
    number: InstanceNumber,
    state: InstanceState,
}

#[derive(Clone, Debug, PartialEq)]
enum InstanceState {
    Starting { ready_at: Duration },
    Idle { since: Duration },
    Busy { run: RunNumber },
}

impl Queue {
    pub(crate) fn new(timing: Timing, scaling: Scaling, now: Duration) -> Self {
        let mut queue = Self {
            now,
            timing,
            scaling,
            runs: Vec::new(),
            waiting: VecDeque::new(),
            instances: Vec::new(),
            woken: 0,
        };
        queue.settle();
        queue.advance(now);
        queue
    }

    /// Lets everything happen that is due by `now`. Time never goes back: an earlier `now` changes nothing.
    pub(crate) fn advance(&mut self, now: Duration) {
        while let Some(at) = self.next_event().filter(|at| *at <= now) {
            self.now = self.now.max(at);
            self.happen();
            self.settle();
        }
        self.now = self.now.max(now);
    }

    /// Takes a run on. Whether the deployment takes any is for the caller to ask first.
    pub(crate) fn submit(&mut self, plan: &Plan) -> RunNumber {
        let number = RunNumber(self.runs.len());
        self.runs.push(Run {
            not_before: self.now.saturating_add(plan.held),
            run_time: plan.run_time.unwrap_or(self.timing.run_time),
            ends_cancelled: plan.ends_cancelled,
            phase: Phase::Queued,
        });
        self.waiting.push_back(number);
        self.changed();
        number
    }

    /// Asks for a run to stop. `false` where it is over already.
    pub(crate) fn cancel(&mut self, run: RunNumber) -> bool {
        let stops_by = self.now.saturating_add(self.timing.cancel_latency);
        match &mut self.runs[run.0].phase {
            phase @ Phase::Queued => {
                *phase = Phase::Ended { instance: None, at: self.now, cancelled: true };
                self.waiting.retain(|other| *other != run);
            }
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

    pub(crate) fn state(&self, run: RunNumber) -> RunState {
        match self.runs[run.0].phase {
            Phase::Queued => RunState::Queued {
                position: self.waiting.binary_search(&run).unwrap_or_else(|ahead| ahead),
            },
            Phase::Running { instance, .. } => RunState::Running { instance },
            Phase::Ended { instance: Some(instance), at, cancelled: false } => {
                RunState::Completed { instance, at }
            }
            Phase::Ended { instance, at, .. } => RunState::Cancelled { instance, at },
        }
    }

    /// Those that answer calls: up, and past their cold start.
    pub(crate) fn live_instances(&self) -> impl Iterator<Item = InstanceNumber> + '_ {
        let starting =
            |instance: &Instance| matches!(instance.state, InstanceState::Starting { .. });
        self.instances.iter().filter(move |instance| !starting(instance)).map(|i| i.number)
    }

    /// After a change from outside: lets its consequences happen, those that take no time included.
    fn changed(&mut self) {
        self.settle();
        self.advance(self.now);
    }

    /// When something happens next, if nobody interferes.
    fn next_event(&self) -> Option<Duration> {
        let surplus = self.instances.len() as u64 > self.wanted();
        let of_instances = self.instances.iter().filter_map(|instance| match instance.state {
            InstanceState::Starting { ready_at } => Some(ready_at),
            InstanceState::Idle { since } => {
                surplus.then(|| since.saturating_add(self.scaling.keep_warm))
            }
            InstanceState::Busy { run } => match self.runs[run.0].phase {
                Phase::Running { ends_at, stops_at, .. } => {
                    Some(stops_at.map_or(ends_at, |stops_at| stops_at.min(ends_at)))
                }
                Phase::Queued | Phase::Ended { .. } => None,
            },
        });
        // The first in line may be held longer than it takes to find it an instance.
        let held = self.waiting.front().map(|run| self.runs[run.0].not_before);
        of_instances.chain(held.filter(|until| *until > self.now)).min()
    }

    /// Ends runs and cold starts that are due. A run that ends at the instant of its cancellation completes.
    fn happen(&mut self) {
        let now = self.now;
        for instance in &mut self.instances {
            match instance.state {
                InstanceState::Starting { ready_at } if ready_at <= now => {
                    instance.state = InstanceState::Idle { since: ready_at };
                }
                InstanceState::Busy { run } => {
                    let run = &mut self.runs[run.0];
                    let Phase::Running { ends_at, stops_at, .. } = run.phase else { continue };
                    let (at, cancelled) = match stops_at {
                        _ if ends_at <= now => (ends_at, run.ends_cancelled),
                        Some(stops_at) if stops_at <= now => (stops_at, true),
                        _ => continue,
                    };
                    run.phase = Phase::Ended { instance: Some(instance.number), at, cancelled };
                    instance.state = InstanceState::Idle { since: at };
                }
                InstanceState::Starting { .. } | InstanceState::Idle { .. } => {}
            }
        }
    }

    /// Brings instances and waiting runs together, wakes instances that are wanted, stops those that are not.
    fn settle(&mut self) {
        let now = self.now;
        // More than the maximum may be busy for a while after that was lowered.
        let places = self.scaling.max_instances.saturating_sub(self.busy());
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        let idle =
            self.instances.iter_mut().filter(|i| matches!(i.state, InstanceState::Idle { .. }));
        let mut idle = idle.take(places);
        while let Some(run) = self.waiting.front().copied()
            && self.runs[run.0].not_before <= now
            && let Some(instance) = idle.next()
        {
            self.waiting.pop_front();
            instance.state = InstanceState::Busy { run };
            let run = &mut self.runs[run.0];
            let ends_at = now.saturating_add(run.run_time);
            run.phase = Phase::Running { instance: instance.number, ends_at, stops_at: None };
        }

        let wanted = self.wanted();
        while (self.instances.len() as u64) < wanted {
            self.woken += 1;
            self.instances.push(Instance {
                number: InstanceNumber(self.woken),
                state: InstanceState::Starting {
                    ready_at: now.saturating_add(self.timing.cold_start),
                },
            });
        }

        self.stop_above_maximum();
        let mut up = self.instances.len() as u64;
        let keep_warm = self.scaling.keep_warm;
        self.instances.retain(|instance| {
            let stops = up > wanted
                && matches!(instance.state, InstanceState::Idle { since }
                    if since.saturating_add(keep_warm) <= now);
            up -= u64::from(stops);
            !stops
        });
    }
}
