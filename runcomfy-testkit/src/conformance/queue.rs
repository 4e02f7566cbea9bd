//! Rules about the queue: positions, order, and concurrency.

use std::collections::BTreeSet;

use runcomfy_core::{request::{RequestState, RequestStatus}, InferenceRequest};

use super::rule::{Rule, TRIES};

/// A queue position is the number of runs ahead.
pub(super) async fn a_place_in_the_queue_counts_those_ahead(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    for attempt in 1.. {
        let runs = rule.submit_all(&InferenceRequest::new(id.clone()), 4).await;
        let frame = rule.statuses(&id, &runs).await;
        let queued = frame.iter().flatten().filter(|status| is_queued(status));
        let places: Vec<_> = queued.map(|status| status.queue_position).collect();
        if frame.iter().all(Option::is_some) && places.len() >= 2 {
            // Services may or may not count a started run as ahead.
            let started = (runs.len() - places.len()) as i64;
            let first = rule.some(places[0], "place");
            rule.holds((0..=started).contains(&first), &places);
            let counted: Vec<_> = (first..).map(Some).take(places.len()).collect();
            rule.is(places, counted);
            break;
        }
        rule.holds(attempt < TRIES, "no moment with two runs in the queue");
        rule.finish_all(&id, &runs).await;
    }
}

/// Queue positions only fall, and only queued runs have one.
pub(super) async fn a_place_in_the_queue_only_falls(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    let request = InferenceRequest::new(id.clone());
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push((rule.submit(&request).await, None));
    }
    loop {
        let mut finished = 0;
        for (run, last) in &mut runs {
            let status = rule.status(&id, run).await;
            let queued = status.state() == RequestState::InQueue;
            rule.is(status.queue_position.is_some(), queued);
            if let (Some(last), Some(now)) = (*last, status.queue_position) {
                rule.holds((0..=last).contains(&now), (last, now));
            }
            *last = status.queue_position.or(*last);
            finished += usize::from(status.state().is_finished());
        }
        if finished == runs.len() {
            break;
        }
        rule.pause().await;
    }
}

/// With one instance, runs start in the order of submission.
pub(super) async fn a_run_is_not_overtaken(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    for attempt in 1.. {
        let runs = rule.submit_all(&InferenceRequest::new(id.clone()), 4).await;
        let mut seen = false;
        loop {
            let frame = rule.statuses(&id, &runs).await;
            let queued: Vec<_> = frame.iter().flatten().map(is_queued).collect();
            rule.holds(queued.is_sorted(), &frame);
            seen |= queued.first() == Some(&false) && queued.last() == Some(&true);
            if over(&frame) {
                break;
            }
            rule.pause().await;
        }
        if seen {
            break;
        }
        rule.holds(attempt < TRIES, "no moment with one run started and another in the queue");
    }
}

/// At most `max_instances` runs are in progress, each on its own instance.
pub(super) async fn no_more_runs_are_in_progress_than_there_may_be_instances(rule: &Rule<'_>) {
    const MOST: u64 = 2;
    let wanted = rule.new_deployment().instances(0, MOST);
    let id = rule.good(rule.create(&wanted).await).id;
    for attempt in 1.. {
        let runs = rule.submit_all(&InferenceRequest::new(id.clone()), 5).await;
        let mut seen = false;
        loop {
            let frame = rule.statuses(&id, &runs).await;
            let in_progress =
                frame.iter().flatten().filter(|s| s.state() == RequestState::InProgress);
            let instances: Vec<_> = in_progress.map(|status| &status.instance_id).collect();
            rule.holds(instances.len() as u64 <= MOST, &frame);
            let distinct: BTreeSet<_> = instances.iter().collect();
            rule.is(distinct.len(), instances.len());
            seen |= !instances.is_empty() && frame.iter().flatten().any(is_queued);
            if over(&frame) {
                break;
            }
            rule.pause().await;
        }
        if seen {
            break;
        }
        rule.holds(attempt < TRIES, "no moment with one run in progress and another in the queue");
    }
}

fn is_queued(status: &RequestStatus) -> bool {
    status.state() == RequestState::InQueue
}

fn over(frame: &[Option<RequestStatus>]) -> bool {
    frame.iter().all(|status| status.as_ref().is_some_and(|status| status.state().is_finished()))
}
