//! Rules about results.

use std::collections::BTreeSet;

use runcomfy_core::{deployment::Include, request::RequestState, DeploymentId, ErrorKind, InferenceRequest, Overrides, RequestId};
use serde_json::json;

use super::rule::{Rule, TRIES};

const GONE: &[ErrorKind] = &[ErrorKind::NotFound];

/// A result before the end of the run has its status and no outputs.
pub(super) async fn a_result_before_the_end_has_no_outputs(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    for attempt in 1.. {
        // One instance, so that the second run is seen in the queue first.
        let runs = rule.submit_all(&InferenceRequest::new(id.clone()), 2).await;
        let mut early = BTreeSet::new();
        loop {
            let result = rule.good(rule.api.get_request_result(&id, &runs[1]).await);
            if result.state().is_finished() {
                break;
            }
            let shown = result.outputs.is_some() || result.error.is_some();
            rule.holds(!shown && result.finished_at.is_none(), &result);
            early.insert(match result.state() {
                RequestState::InQueue => "in queue",
                RequestState::InProgress => "in progress",
                _ => rule.broken(result),
            });
            rule.pause().await;
        }
        if early.len() == 2 {
            break;
        }
        rule.holds(attempt < TRIES, early);
    }
}

/// Every output node has outputs, and each file has a URL.
pub(super) async fn a_result_has_outputs_for_each_output_node(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    let run = rule.submit_sample(&id, "image-blend").await;
    let result = rule.good(rule.finish(&id, &run).await.result);
    rule.is(result.state(), RequestState::Succeeded);
    let files = result.output_files();
    let nodes: BTreeSet<_> = files.iter().map(|file| file.node_id.as_str()).collect();
    rule.is(nodes, BTreeSet::from(["13", "14"]));
    rule.is(files.len(), 6);
    let addresses: BTreeSet<_> = files.iter().map(|file| file.url.as_str()).collect();
    rule.is(addresses.len(), files.len());
    rule.holds(addresses.iter().all(|url| url.starts_with("http")), &addresses);
    rule.holds(files.iter().all(|file| file.filename.is_some()), &files);
    rule.holds(result.created_at.is_some() && result.finished_at.is_some(), &result);
}

/// A result does not change.
pub(super) async fn a_result_reads_the_same_each_time(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let run = rule.submit(&InferenceRequest::new(id.clone())).await;
    let first = rule.good(rule.finish(&id, &run).await.result);
    rule.pause().await;
    let second = rule.good(api.get_request_result(&id, &run).await);
    rule.is(second, first);
}

/// A failed run is completed, and its result has the error. The call itself succeeds.
pub(super) async fn a_failed_run_is_an_answer(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    let run = rule.submit_sample(&id, "broken-input").await;
    let finished = rule.finish(&id, &run).await;
    rule.is(finished.status.state(), RequestState::Completed);
    let result = rule.good(finished.result);
    rule.is(result.state(), RequestState::Failed);
    let failure = rule.some(result.failure(), "failure");
    rule.holds(failure.message.is_some(), &failure);
}

/// An override replaces one input of one node and nothing else.
pub(super) async fn an_override_changes_that_input_and_no_other(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    let request = InferenceRequest::new(id.clone())
        .workflow_api_json(rule.sample("prompt-builder"))
        .overrides(Overrides::new().set("1", "value", "eine Katze 🐈"));
    let run = rule.submit(&request).await;
    let result = rule.good(rule.finish(&id, &run).await.result);
    let texts: BTreeSet<_> = result.output_texts().into_iter().collect();
    let text = |node: &str| (node.to_owned(), "eine Katze 🐈, on a mat".to_owned());
    rule.is(texts, BTreeSet::from([text("3"), text("4")]));
}

/// A 64-bit seed keeps all digits.
pub(super) async fn a_number_of_64_bits_survives(rule: &Rule<'_>) {
    let id = rule.deployment().await.id;
    let request = InferenceRequest::new(id.clone())
        .workflow_api_json(rule.graph(json!({
            "1": {"class_type": "PreviewAny", "inputs": {"source": 0}},
        })))
        .overrides(Overrides::new().set("1", "source", u64::MAX));
    let run = rule.submit(&request).await;
    let result = rule.good(rule.finish(&id, &run).await.result);
    rule.is(result.output_texts(), vec![("1".to_owned(), u64::MAX.to_string())]);
}

/// An override of an unknown node or input is refused, and no run starts.
pub(super) async fn an_override_of_an_unknown_node_is_refused(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let include = Include::none().payload(true);
    let payload = rule.good(api.get_deployment(&id, include).await).payload;
    let workflow = rule.some(payload, "payload").workflow();
    let workflow = workflow.unwrap_or_else(|error| rule.broken(error));
    let workflow = rule.some(workflow, "workflow");
    let known = rule.some(workflow.nodes().next(), "node").id();
    for (node, input) in [("no such node", "text"), (known, "no such input")] {
        let overrides = Overrides::new().set(node, input, 1);
        let request = InferenceRequest::new(id.clone()).overrides(overrides);
        rule.refused(api.submit_request(&request).await, &[ErrorKind::InvalidRequest]);
    }
}

/// An unknown id is not found, and the call has no effect.
pub(super) async fn an_unknown_id_is_not_found_and_had_no_effect(rule: &Rule<'_>) {
    let api = rule.api;
    let (nowhere, nobody) = unknown(rule);
    rule.refused(api.get_deployment(&nowhere, Include::none()).await, GONE);
    rule.refused(api.delete_deployment(&nowhere).await, GONE);
    rule.refused(api.submit_request(&InferenceRequest::new(nowhere.clone())).await, GONE);
    let id = rule.deployment().await.id;
    for deployment in [&nowhere, &id] {
        rule.refused(api.get_request_status(deployment, &nobody).await, GONE);
        rule.refused(api.get_request_result(deployment, &nobody).await, GONE);
        rule.refused(api.cancel_request(deployment, &nobody).await, GONE);
    }
}

/// A request is known to its own deployment only.
pub(super) async fn a_request_is_known_to_its_deployment_only(rule: &Rule<'_>) {
    let api = rule.api;
    let (own, other) = (rule.deployment().await.id, rule.deployment().await.id);
    let run = rule.submit(&InferenceRequest::new(own.clone())).await;
    rule.refused(api.get_request_status(&other, &run).await, GONE);
    rule.refused(api.get_request_result(&other, &run).await, GONE);
    rule.refused(api.cancel_request(&other, &run).await, GONE);
    let finished = rule.finish(&own, &run).await;
    rule.is(finished.status.state(), RequestState::Completed);
}

fn unknown(rule: &Rule<'_>) -> (DeploymentId, RequestId) {
    let text = "00000000-0000-4000-8000-000000000000";
    (
        DeploymentId::new(text).unwrap_or_else(|error| rule.broken(error)),
        RequestId::new(text).unwrap_or_else(|error| rule.broken(error)),
    )
}
