//! Rules about single runs: their states and their cancellation.

use runcomfy_core::{id::InstanceId, instance::{ProxyCall, ProxyPath}, request::RequestState, ErrorKind, InferenceRequest};

use super::rule::{Rule, TRIES};

/// A run goes through known states in one direction to `completed`.
pub(super) async fn a_run_goes_from_queue_to_progress_to_completed(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let run = rule.submit(&InferenceRequest::new(id.clone())).await;
    let mut seen = Vec::new();
    loop {
        let status = rule.status(&id, &run).await;
        rule.is(status.request_id.as_ref(), Some(&run));
        if seen.last() != Some(&status.state()) {
            seen.push(status.state());
        }
        if status.state().is_finished() {
            break;
        }
        rule.pause().await;
    }
    // A poll may miss a state but not change the order.
    let order = [RequestState::InQueue, RequestState::InProgress, RequestState::Completed];
    let mut left = order.iter();
    rule.holds(seen.iter().all(|state| left.any(|next| next == state)), &seen);
    rule.is(seen.last(), Some(&RequestState::Completed));
    let result = rule.good(api.get_request_result(&id, &run).await);
    rule.holds(result.state().is_finished(), &result);
}

/// A run has an instance once it has started, and not before.
pub(super) async fn a_run_in_progress_names_its_instance(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    for attempt in 1.. {
        let run = rule.submit(&InferenceRequest::new(id.clone())).await;
        let mut seen = false;
        loop {
            let status = rule.status(&id, &run).await;
            match status.state() {
                RequestState::InQueue => rule.is(status.instance_id, None),
                RequestState::InProgress => {
                    rule.holds(status.instance_id.is_some(), &status);
                    seen = true;
                }
                _ => break,
            }
            rule.pause().await;
        }
        if seen {
            break;
        }
        rule.holds(attempt < TRIES, "never in progress");
    }
}

/// Two equal submits are two runs.
pub(super) async fn every_submit_is_a_run_of_its_own(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    let request = InferenceRequest::new(id.clone());
    let runs = [rule.submit(&request).await, rule.submit(&request).await, rule.submit(&request).await];
    let mut distinct = runs.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    rule.is(distinct.len(), runs.len());
    for run in &runs {
        let result = rule.good(rule.finish(&id, run).await.result);
        rule.is(result.request_id.as_ref(), Some(run));
    }
}

/// A queued run can be cancelled, stays cancelled, and has no outputs.
pub(super) async fn a_queued_run_can_be_cancelled(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let request = InferenceRequest::new(id.clone());
    for attempt in 1.. {
        // One instance, so that the second run waits behind the first.
        let first = rule.submit(&request).await;
        let second = rule.submit(&request).await;
        let cancelled = rule.good(api.cancel_request(&id, &second).await);
        let finished = rule.finish(&id, &second).await;
        rule.is(rule.finish(&id, &first).await.status.state(), RequestState::Completed);
        if cancelled.accepted() == Some(true) && finished.status.state() == RequestState::Cancelled {
            let result = rule.good(finished.result);
            rule.is(result.state(), RequestState::Cancelled);
            rule.is(result.output_files(), Vec::new());
            break;
        }
        // A cancellation may come too late, but not every time.
        rule.holds(attempt < TRIES, (cancelled, finished));
    }
}

/// A run in progress stops when it is cancelled, and has no outputs.
pub(super) async fn a_run_in_progress_can_be_cancelled(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    for attempt in 1.. {
        let run = rule.submit(&InferenceRequest::new(id.clone())).await;
        let started = rule.started(&id, &run).await;
        let cancelled = rule.good(api.cancel_request(&id, &run).await);
        let finished = rule.finish(&id, &run).await;
        let was_stopped = finished.status.state() == RequestState::Cancelled;
        if was_stopped && started.state() == RequestState::InProgress {
            rule.is(cancelled.accepted(), Some(true));
            let result = rule.good(finished.result);
            rule.is(result.state(), RequestState::Cancelled);
            rule.is(result.output_files(), Vec::new());
            break;
        }
        // A run may complete before it is stopped, but not every time.
        rule.holds(attempt < TRIES, (cancelled, finished));
    }
}

/// A finished run cannot be cancelled and does not change.
pub(super) async fn a_finished_run_is_not_cancellable(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let run = rule.submit(&InferenceRequest::new(id.clone())).await;
    let before = rule.finish(&id, &run).await.status;
    let cancelled = rule.good(api.cancel_request(&id, &run).await);
    rule.is(cancelled.accepted(), Some(false));
    rule.is(rule.status(&id, &run).await.status, before.status);
}

/// The proxy reaches a live instance. An unknown instance is not found.
pub(super) async fn a_live_instance_answers_and_a_dead_one_is_not_found(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let run = rule.submit(&InferenceRequest::new(id.clone())).await;
    let status = rule.started(&id, &run).await;
    let live = rule.some(status.instance_id, "instance");
    let path = ProxyPath::new("api/free").unwrap_or_else(|error| rule.broken(error));
    let call = |instance: InstanceId| ProxyCall::new(id.clone(), instance, path.clone());
    rule.good(api.call_instance_proxy(&call(live)).await);
    let dead = InstanceId::new("00000000-0000-4000-8000-000000000000");
    let dead = dead.unwrap_or_else(|error| rule.broken(error));
    rule.refused(api.call_instance_proxy(&call(dead)).await, &[ErrorKind::NotFound]);
    rule.finish(&id, &run).await;
}
