//! Properties of the queue for any sequence of events.

use proptest::prelude::*;

use super::*;

const MAX: u64 = 3;

/// An external event.
#[derive(Clone, Debug)]
enum Step {
    Cancel(usize),
    Pass(u64),
    Rescale(Scaling),
    Submit { held: u64, run_time: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => (0_u64..60).prop_map(Step::Pass),
        1 => (scalings(), any::<bool>())
            .prop_map(|(scaling, enabled)| Step::Rescale(Scaling { enabled, ..scaling })),
        3 => (prop_oneof![3 => Just(0), 1 => 0_u64..40], 0_u64..30)
            .prop_map(|(held, run_time)| Step::Submit { held, run_time }),
    ]
}

fn scalings() -> impl Strategy<Value = Scaling> {
    (0..=MAX, 1..=MAX, 0_u64..4, 0_u64..40).prop_map(|(min, max, queue_size, keep_warm)| Scaling {
        min_instances: min.min(max),
        max_instances: max,
        queue_size,
        keep_warm: secs(keep_warm),
        enabled: true,
    })
}

fn queues() -> impl Strategy<Value = Queue> {
    (0_u64..20, 0_u64..10, scalings()).prop_map(|(cold_start, cancel_latency, scaling)| {
        let timing = Timing {
            cold_start: secs(cold_start),
            run_time: secs(5),
            cancel_latency: secs(cancel_latency),
            driven: false,
        };
        Queue::new(timing, scaling, Duration::ZERO)
    })
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn take(queue: &mut Queue, step: &Step, runs: &mut Vec<RunNumber>) {
    match *step {
        Step::Cancel(_) if runs.is_empty() => {}
        Step::Cancel(which) => {
            queue.cancel(runs[which % runs.len()]);
        }
        Step::Pass(seconds) => queue.advance(queue.now + secs(seconds)),
        Step::Rescale(ref scaling) => queue.rescale(scaling.clone()),
        Step::Submit { held, run_time } => {
            let run_time = Some(secs(run_time));
            runs.push(queue.submit(&Plan { held: secs(held), run_time, ends_cancelled: false }));
        }
    }
}

fn rank(state: RunState) -> u8 {
    match state {
        RunState::Queued { .. } => 0,
        RunState::Running { .. } => 1,
        RunState::Completed { .. } | RunState::Cancelled { .. } => 2,
    }
}

proptest! {
    #[test]
    fn a_request_never_goes_backwards_and_never_changes_its_end(
        mut queue in queues(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let (mut runs, mut last) = (Vec::new(), Vec::new());
        for step in &steps {
            take(&mut queue, step, &mut runs);
            let states: Vec<_> = runs.iter().map(|run| queue.state(*run)).collect();
            for (before, after) in last.iter().zip(&states) {
                prop_assert!(rank(*before) <= rank(*after), "{before:?} {after:?}");
                if rank(*before) == 2 {
                    prop_assert_eq!(before, after);
                }
            }
            last = states;
        }
    }

    #[test]
    fn instances_never_exceed_the_maximum_nor_fall_below_the_minimum(
        mut queue in queues(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut runs = Vec::new();
        for step in &steps {
            let busy_before = queue.busy();
            take(&mut queue, step, &mut runs);
            let (up, busy) = (queue.instances.len() as u64, queue.busy());
            prop_assert!(least(&queue) <= up);
            // After the maximum was lowered, busy instances finish and are not replaced.
            prop_assert!(up <= queue.scaling.max_instances.max(busy));
            prop_assert!(busy <= queue.scaling.max_instances.max(busy_before));
            let running: Vec<_> = runs
                .iter()
                .filter_map(|run| match queue.state(*run) {
                    RunState::Running { instance } => Some(instance.0),
                    _ => None,
                })
                .collect();
            let mut distinct = running.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(running.len(), distinct.len(), "one run per instance");
        }
    }

    #[test]
    fn positions_count_those_ahead_and_only_fall(
        mut queue in queues(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let (mut runs, mut last) = (Vec::new(), Vec::new());
        for step in &steps {
            take(&mut queue, step, &mut runs);
            let positions: Vec<_> = runs
                .iter()
                .map(|run| match queue.state(*run) {
                    RunState::Queued { position } => Some(position),
                    _ => None,
                })
                .collect();
            let queued: Vec<_> = positions.iter().flatten().copied().collect();
            prop_assert_eq!(&queued, &(0..queued.len()).collect::<Vec<_>>(), "first come, first served");
            for (before, after) in last.iter().zip(&positions) {
                if let (Some(before), Some(after)) = (before, after) {
                    prop_assert!(after <= before);
                }
            }
            last = positions;
        }
    }

    #[test]
    fn the_queue_does_not_depend_on_how_often_it_is_read(
        queue in queues(), steps in prop::collection::vec(step(), 1..30),
    ) {
        let (mut once, mut often) = (queue.clone(), queue);
        let (mut runs, mut same_runs) = (Vec::new(), Vec::new());
        for step in &steps {
            take(&mut once, step, &mut runs);
            if let Step::Pass(seconds) = *step {
                for _ in 0..seconds * 2 {
                    often.advance(often.now + Duration::from_millis(500));
                }
            } else {
                take(&mut often, step, &mut same_runs);
            }
            prop_assert_eq!(&once, &often);
        }
    }

    #[test]
    fn everybody_gets_an_end_and_nothing_idle_stays_up_for_ever(
        mut queue in queues(), steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut runs = Vec::new();
        for step in &steps {
            take(&mut queue, step, &mut runs);
        }
        queue.advance(queue.now + secs(100_000));
        for run in &runs {
            prop_assert_eq!(rank(queue.state(*run)), 2);
        }
        prop_assert_eq!(queue.instances.len() as u64, least(&queue));
    }
}

fn least(queue: &Queue) -> u64 {
    if queue.scaling.enabled { queue.scaling.min_instances } else { 0 }
}
