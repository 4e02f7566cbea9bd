//! Tests of the queue with fixed sequences of events.

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn queue(max_instances: u64) -> Queue {
    let timing = Timing {
        cold_start: secs(30),
        run_time: secs(20),
        cancel_latency: Duration::from_millis(500),
        driven: false,
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

#[test]
fn a_lower_maximum_stops_the_newest_cold_start_first_and_a_warm_instance_last() {
    let mut queue = queue(3);
    queue.submit(&Plan::default());
    queue.advance(secs(55));
    // The first instance is warm; two more start ten seconds apart.
    let held = Plan { held: secs(500), ..Plan::default() };
    queue.submit(&held);
    queue.submit(&held);
    queue.advance(secs(65));
    queue.submit(&held);
    let up = |queue: &Queue| queue.instances.iter().map(|one| one.number.0).collect::<Vec<_>>();
    assert_eq!(up(&queue), [1, 2, 3]);
    for expected in [vec![1, 2], vec![1]] {
        queue.rescale(Scaling { max_instances: expected.len() as u64, ..queue.scaling.clone() });
        assert_eq!(up(&queue), expected);
    }
}

#[test]
fn after_a_lower_maximum_no_run_takes_the_place_of_one_too_many() {
    let mut queue = queue(2);
    let runs: Vec<_> = (0..3).map(|_| queue.submit(&Plan::default())).collect();
    queue.advance(secs(35));
    queue.submit(&Plan { run_time: Some(secs(60)), ..Plan::default() });
    queue.rescale(Scaling { max_instances: 1, ..queue.scaling.clone() });
    assert_eq!((queue.busy(), queue.live_instances().count()), (2, 2));
    queue.advance(secs(50));
    assert_eq!((queue.busy(), queue.live_instances().count()), (1, 1));
    assert!(matches!(queue.state(runs[2]), RunState::Running { .. }));
}

#[test]
fn what_waits_behind_a_run_that_somebody_ended_is_begun_by_the_queue_itself() {
    let mut queue = queue(1);
    let timing = queue.timing.clone();
    queue.retime(Timing { driven: true, ..timing.clone() });
    let (first, second) = (queue.submit(&Plan::default()), queue.submit(&Plan::default()));
    assert!(queue.hand_over(first, InstanceNumber(7)));
    // From here on without a driver.
    queue.retime(timing);
    assert!(queue.end(first, false));
    queue.advance(secs(50));
    assert_eq!(
        queue.state(second),
        RunState::Completed { instance: InstanceNumber(1), at: secs(50) }
    );
}

/// Two runs of a driver.
fn driven() -> (Queue, [RunNumber; 2]) {
    let mut queue = queue(1);
    queue.retime(Timing { driven: true, ..queue.timing.clone() });
    let runs = [queue.submit(&Plan::default()), queue.submit(&Plan::default())];
    (queue, runs)
}

#[test]
fn a_run_that_was_handed_over_waits_and_costs_nothing_until_it_begins() {
    let (mut queue, [first, second]) = driven();
    assert!(queue.hand_over(first, InstanceNumber(7)));
    queue.advance(secs(10));
    assert_eq!(queue.state(first), RunState::Queued { position: 0 });
    assert_eq!(queue.state(second), RunState::Queued { position: 1 });
    assert_eq!((queue.waiting(), queue.taken(), queue.up(), queue.metered()), (2, 1, 0, 0));
    assert!(queue.begin(first, Duration::ZERO));
    assert!(!queue.begin(first, Duration::ZERO), "once");
    queue.advance(secs(12));
    assert_eq!(queue.state(first), RunState::Running { instance: InstanceNumber(7) });
    assert_eq!(queue.started_at(first), Some(secs(10)));
    assert_eq!(queue.metered(), secs(2).as_nanos());
}

#[test]
fn a_start_that_is_reported_late_is_billed_from_its_time_but_not_from_before_the_hand_over() {
    for (ago, since) in [(3, 7), (60, 4)] {
        let (mut queue, [run, _]) = driven();
        queue.advance(secs(4));
        queue.hand_over(run, InstanceNumber(7));
        queue.advance(secs(10));
        assert!(queue.begin(run, secs(ago)));
        assert!(queue.end(run, false));
        assert_eq!(queue.started_at(run), Some(secs(since)));
        assert_eq!(queue.metered(), secs(10 - since).as_nanos());
    }
}

#[test]
fn a_run_that_ends_before_it_begins_costs_nothing() {
    let (mut queue, [run, _]) = driven();
    queue.hand_over(run, InstanceNumber(7));
    queue.advance(secs(10));
    assert!(queue.end(run, false));
    let (instance, at) = (InstanceNumber(7), secs(10));
    assert_eq!(queue.state(run), RunState::Completed { instance, at });
    assert_eq!((queue.started_at(run), queue.taken(), queue.metered()), (None, 0, 0));
}

#[test]
fn a_run_that_ends_by_itself_can_be_cancelled_though_others_are_driven() {
    let mut queue = queue(1);
    let run = queue.submit(&Plan::default());
    queue.advance(secs(40));
    queue.retime(Timing { driven: true, ..queue.timing.clone() });
    assert!(queue.cancel(run));
    queue.advance(secs(50));
    let (instance, at) = (Some(InstanceNumber(1)), Duration::from_millis(40_500));
    assert_eq!(queue.state(run), RunState::Cancelled { instance, at });
}
