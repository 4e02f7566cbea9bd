//! The queue's rules, for any course of events.

use proptest::prelude::*;

use super::*;

const MAX: u64 = 3;

/// Something that comes from outside.
#[derive(Clone, Debug)]
enum Step {
    Cancel(usize),
    Pass(u64),
    Submit { held: u64, run_time: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => (0_u64..60).prop_map(Step::Pass),
        3 => (prop_oneof![3 => Just(0), 1 => 0_u64..40], 0_u64..30)
            .prop_map(|(held, run_time)| Step::Submit { held, run_time }),
    ]
}

fn queues() -> impl Strategy<Value = Queue> {
    (0_u64..20, 0_u64..10, 0..=MAX, 1..=MAX, 0_u64..4, 0_u64..40).prop_map(
        |(cold_start, cancel_latency, min, max, queue_size, keep_warm)| {
            let timing = Timing {
                cold_start: secs(cold_start),
                run_time: secs(5),
                cancel_latency: secs(cancel_latency),
            };
            let scaling = Scaling {
                min_instances: min.min(max),
                max_instances: max,
                queue_size,
                keep_warm: secs(keep_warm),
                enabled: true,
            };
            Queue::new(timing, scaling, Duration::ZERO)
        },
    )
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
            take(&mut queue, step, &mut runs);
            let up = queue.instances.len() as u64;
            prop_assert!((queue.scaling.min_instances..=queue.scaling.max_instances).contains(&up));
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
    fn it_makes_no_difference_how_often_anybody_looks(
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
        prop_assert_eq!(queue.instances.len() as u64, queue.scaling.min_instances);
    }
}

fn queue(max_instances: u64) -> Queue {
    let timing = Timing {
        cold_start: secs(30),
        run_time: secs(20),
        cancel_latency: Duration::from_millis(500),
    };
    let scaling = Scaling {
        min_instances: 0,
        max_instances,
        queue_size: 1,
        keep_warm: secs(60),
        enabled: true,
    };
    Queue::new(timing, scaling, Duration::ZERO)
}

#[test]
fn a_first_run_waits_for_the_cold_start_and_the_next_finds_it_warm() {
    let mut queue = queue(1);
    let first = queue.submit(&Plan::default());
    queue.advance(secs(29));
    assert_eq!(queue.state(first), RunState::Queued { position: 0 });
    queue.advance(secs(30));
    let instance = InstanceNumber(1);
    assert_eq!(queue.state(first), RunState::Running { instance });
    queue.advance(secs(100));
    assert_eq!(queue.state(first), RunState::Completed { instance, at: secs(50) });
    let second = queue.submit(&Plan::default());
    assert_eq!(queue.state(second), RunState::Running { instance });
}

#[test]
fn an_idle_instance_stops_when_its_keep_warm_time_is_over() {
    let mut queue = queue(1);
    queue.submit(&Plan::default());
    queue.advance(secs(109));
    assert_eq!(queue.live_instances().count(), 1);
    queue.advance(secs(110));
    assert_eq!(queue.live_instances().count(), 0);
    let late = queue.submit(&Plan::default());
    queue.advance(secs(140));
    assert_eq!(queue.state(late), RunState::Running { instance: InstanceNumber(2) });
}

#[test]
fn more_runs_wake_more_instances_up_to_the_maximum() {
    let mut queue = queue(2);
    let runs: Vec<_> = (0..3).map(|_| queue.submit(&Plan::default())).collect();
    queue.advance(secs(30));
    let states: Vec<_> = runs.iter().map(|run| queue.state(*run)).collect();
    assert_eq!(
        states,
        [
            RunState::Running { instance: InstanceNumber(1) },
            RunState::Running { instance: InstanceNumber(2) },
            RunState::Queued { position: 0 },
        ]
    );
}

#[test]
fn a_running_run_stops_a_little_after_its_cancellation_unless_it_ends_before() {
    let (instance, half) = (InstanceNumber(1), Duration::from_millis(500));
    let mut stopped = queue(1);
    let run = stopped.submit(&Plan::default());
    stopped.advance(secs(40));
    assert!(stopped.cancel(run));
    assert_eq!(stopped.state(run), RunState::Running { instance });
    stopped.advance(secs(41));
    assert_eq!(
        stopped.state(run),
        RunState::Cancelled { instance: Some(instance), at: secs(40) + half }
    );

    let mut raced = queue(1);
    let run = raced.submit(&Plan::default());
    raced.advance(secs(50) - half);
    assert!(raced.cancel(run));
    raced.advance(secs(51));
    assert_eq!(raced.state(run), RunState::Completed { instance, at: secs(50) });
    assert!(!raced.cancel(run));
}

#[test]
fn a_paused_deployment_finishes_what_it_has_and_keeps_nothing_up() {
    let mut queue = queue(2);
    queue.rescale(Scaling { min_instances: 2, ..queue.scaling.clone() });
    queue.advance(secs(30));
    assert_eq!(queue.live_instances().count(), 2);
    let run = queue.submit(&Plan::default());
    queue.rescale(Scaling { enabled: false, ..queue.scaling.clone() });
    queue.advance(secs(200));
    assert_eq!(queue.state(run), RunState::Completed { instance: InstanceNumber(1), at: secs(50) });
    assert_eq!(queue.live_instances().count(), 0);
}
