//! Rules about the queue: where runs are, and how they are stopped.

use runcomfy_core::{
    ErrorKind, InferenceRequest, InstanceId, ProxyCall, ProxyPath, RequestState, RequestStatus,
    RunComfyApi,
};

use super::{Rule, Setting};

/// How often a rule tries again that needs to look in time, on a machine that may be busy elsewhere.
const TRIES: u32 = 5;

/// A run moves one way, through states that are known, to `completed`.
pub async fn a_run_goes_from_queue_to_progress_to_completed(
    api: &dyn RunComfyApi,
    setting: &Setting,
) {
    let rule = Rule::new("a_run_goes_from_queue_to_progress_to_completed", api, setting);
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
    // A look may come too late for a state, but never in another order.
    let order = [RequestState::InQueue, RequestState::InProgress, RequestState::Completed];
    let mut left = order.iter();
    rule.holds(seen.iter().all(|state| left.any(|next| next == state)), &seen);
    rule.is(seen.last(), Some(&RequestState::Completed));
    let result = rule.good(api.get_request_result(&id, &run).await);
    rule.holds(result.state().is_finished(), &result);
    rule.delete(&id).await;
}

/// Those ahead in the queue only grow fewer, and only who is in the queue has a place there.
pub async fn a_place_in_the_queue_only_falls(api: &dyn RunComfyApi, setting: &Setting) {
    let rule = Rule::new("a_place_in_the_queue_only_falls", api, setting);
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
    rule.delete(&id).await;
}

/// A run has an instance once it has started, and not before.
pub async fn a_run_in_progress_names_its_instance(api: &dyn RunComfyApi, setting: &Setting) {
    let rule = Rule::new("a_run_in_progress_names_its_instance", api, setting);
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
    rule.delete(&id).await;
}

/// The same submit twice is two runs.
pub async fn every_submit_is_a_run_of_its_own(api: &dyn RunComfyApi, setting: &Setting) {
    let rule = Rule::new("every_submit_is_a_run_of_its_own", api, setting);
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
    rule.delete(&id).await;
}

/// A run that waits is cancelled, stays so, and has no outputs.
pub async fn a_queued_run_can_be_cancelled(api: &dyn RunComfyApi, setting: &Setting) {
    let rule = Rule::new("a_queued_run_can_be_cancelled", api, setting);
    let id = rule.deployment().await.id;
    let request = InferenceRequest::new(id.clone());
    for attempt in 1.. {
        // One instance, so that the second waits behind the first.
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
        // Cancelled too late is no fault: best effort.
        rule.holds(attempt < TRIES, (cancelled, finished));
    }
    rule.delete(&id).await;
}

/// A run that is over can't be cancelled, and stays what it was.
pub async fn a_finished_run_is_not_cancellable(api: &dyn RunComfyApi, setting: &Setting) {
    let rule = Rule::new("a_finished_run_is_not_cancellable", api, setting);
    let id = rule.deployment().await.id;
    let run = rule.submit(&InferenceRequest::new(id.clone())).await;
    let before = rule.finish(&id, &run).await.status;
    let cancelled = rule.good(api.cancel_request(&id, &run).await);
    rule.is(cancelled.accepted(), Some(false));
    rule.is(rule.status(&id, &run).await.status, before.status);
    rule.delete(&id).await;
}

/// The ComfyUI of an instance answers while it is up; one that is not there is not found.
pub async fn a_live_instance_answers_and_a_dead_one_is_not_found(
    api: &dyn RunComfyApi,
    setting: &Setting,
) {
    let rule = Rule::new("a_live_instance_answers_and_a_dead_one_is_not_found", api, setting);
    let id = rule.deployment().await.id;
    let run = rule.submit(&InferenceRequest::new(id.clone())).await;
    let started = |status: &RequestStatus| status.state() != RequestState::InQueue;
    let status = loop {
        let status = rule.status(&id, &run).await;
        if started(&status) {
            break status;
        }
        rule.pause().await;
    };
    let live = rule.some(status.instance_id, "instance");
    let path = ProxyPath::new("api/free").unwrap_or_else(|error| rule.broken(error));
    let call = |instance: InstanceId| ProxyCall::new(id.clone(), instance, path.clone());
    rule.good(api.call_instance_proxy(&call(live)).await);
    let dead = InstanceId::new("00000000-0000-4000-8000-000000000000");
    let dead = dead.unwrap_or_else(|error| rule.broken(error));
    rule.refused(api.call_instance_proxy(&call(dead)).await, &[ErrorKind::NotFound]);
    rule.finish(&id, &run).await;
    rule.delete(&id).await;
}
