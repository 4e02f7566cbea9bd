//! The requests of an account: submit, status, result, cancel, and output files.

use std::{sync::Arc, time::Duration};

use runcomfy_core::{
    DeploymentId, Error, ErrorKind, InferenceRequest, Overrides, RequestId, Workflow,
    error::Operation,
    request::{Cancellation, RequestResult, RequestStatus, Submission},
};
use serde_json::{Map, Value};

use super::{
    Account, Request, WebhookEvent, WebhookStage,
    request_graph::RequestGraph,
    run::{FILES_KEPT, StartedRun},
    service_error,
};
use crate::{
    ids::Named,
    lifecycle::{InstanceNumber, Plan, RunState},
    outputs::{self, File, Made},
    script::{Script, ScriptedEnd},
};

impl Account {
    pub(crate) fn submit_request(
        &mut self,
        now: Duration,
        request: &InferenceRequest,
        script: Script,
    ) -> Result<Submission, Error> {
        const OPERATION: Operation = Operation::SubmitRequest;
        let deployment_id = &request.deployment_id;
        if self.deleted.contains(deployment_id) {
            return Err(service_error::deleted(deployment_id));
        }
        let id = self.ids.uuid(Named::Request, self.submitted);
        let request_id = RequestId::new(id).map_err(|error| {
            Error::new(OPERATION, ErrorKind::UpstreamProtocol).with_source(error)
        })?;
        self.entry(now, OPERATION, deployment_id)?;
        let broke = self.funds.is_empty();
        let driven = self.settings.timing.driven;
        let entry = self.entry(now, OPERATION, deployment_id)?;
        if !entry.is_enabled && broke {
            return Err(service_error::insufficient_funds(OPERATION)
                .with_deployment_id(deployment_id.clone()));
        }
        if !entry.is_enabled {
            return Err(service_error::disabled(deployment_id));
        }
        let deployed = entry.workflow.clone();
        if let Some(overrides) = &request.overrides {
            check_overrides(request.workflow_api_json.as_ref().unwrap_or(&deployed), overrides)?;
        }

        let plan = Plan {
            held: script.queued,
            run_time: script.running,
            ends_cancelled: script.end == ScriptedEnd::Cancelled,
        };
        let entry = self.entry(now, OPERATION, deployment_id)?;
        let run = entry.queue.submit(&plan);
        entry.requests.push(request_id.clone());
        self.submitted += 1;
        let kept = Request {
            deployment_id: deployment_id.clone(),
            number: self.submitted,
            run,
            script,
            graph: RequestGraph::new(request, &deployed),
            extra_data: request.extra_data.clone().map(|data| data.0).filter(|_| driven),
            webhook: request.webhook.clone(),
            prompt_id: None,
            accepted: None,
            progress: None,
            cancel_asked: false,
            delivered_stage: None,
            created_at: self.now,
            driven: None,
        };
        self.pending_webhooks += u64::from(kept.webhook.is_some());
        if kept.wants_webhook(WebhookStage::InQueue) {
            let (deployment_id, request_id) = (deployment_id.clone(), request_id.clone());
            self.webhook_events.push_back(WebhookEvent {
                deployment_id,
                request_id,
                stage: WebhookStage::InQueue,
            });
        }
        self.requests.insert(request_id.clone(), kept);
        self.advance(now);

        let mut submission = Submission::new(request_id);
        let (deployment, request) = (request.deployment_id.as_str(), &submission.request_id);
        let url = |action: &str| {
            let mut url = self.settings.api_base.clone();
            url.path_segments_mut().ok()?.pop_if_empty().extend([
                "prod",
                "v1",
                "deployments",
                deployment,
                "requests",
                request.as_str(),
                action,
            ]);
            Some(url.into())
        };
        (submission.status_url, submission.result_url, submission.cancel_url) =
            (url("status"), url("result"), url("cancel"));
        Ok(submission)
    }

    /// The runs of existing deployments, in order of submission.
    pub(crate) fn runs(&self) -> Vec<StartedRun> {
        let mut runs: Vec<_> = self.requests.iter().collect();
        runs.sort_unstable_by_key(|(_, request)| request.number);
        let started = |(id, request): (&RequestId, &Request)| StartedRun {
            request_id: id.clone(),
            deployment_id: request.deployment_id.clone(),
            overrides: request.graph.overrides(),
        };
        runs.into_iter().map(started).collect()
    }

    /// How many submits were accepted.
    pub(crate) fn runs_started(&self) -> u64 {
        self.submitted
    }

    pub(crate) fn get_request_status(
        &mut self,
        now: Duration,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestStatus, Error> {
        let (request, state) =
            self.request_and_state(now, Operation::GetRequestStatus, deployment_id, request_id)?;
        let word = match state {
            RunState::Queued { .. } => "in_queue",
            RunState::Running { .. } => "in_progress",
            // The status does not tell success from failure; the result does.
            RunState::Completed { .. } => "completed",
            RunState::Cancelled { .. } => request.cancelled(),
        };
        let mut status = RequestStatus::new(request_id.clone(), word);
        if let RunState::Queued { position } = state {
            status.queue_position = i64::try_from(position).ok();
        }
        status.instance_id = self.instance_id(now, deployment_id, instance_of(state));
        Ok(status)
    }

    pub(crate) fn get_request_result(
        &mut self,
        now: Duration,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestResult, Error> {
        let (request, state) =
            self.request_and_state(now, Operation::GetRequestResult, deployment_id, request_id)?;
        let (created_at, cancelled) = (request.created_at, request.cancelled());
        let made = match state {
            RunState::Completed { .. } => self.made(request_id),
            _ => None,
        };
        let failure = made.as_ref().and_then(|made| made.failure.clone());
        let (word, finished_at) = match (state, &made) {
            (RunState::Queued { .. }, _) => ("in_queue", None),
            (RunState::Running { .. }, _) => ("in_progress", None),
            (RunState::Completed { at, .. }, Some(_)) if failure.is_none() => {
                ("succeeded", Some(at))
            }
            (RunState::Completed { at, .. }, _) => ("failed", Some(at)),
            (RunState::Cancelled { at, .. }, _) => (cancelled, Some(at)),
        };
        let mut result = RequestResult::new(request_id.clone(), word);
        result.created_at = Some(self.stamp(created_at));
        result.finished_at = finished_at.map(|at| self.stamp(at));
        result.instance_id = self.instance_id(now, deployment_id, instance_of(state));
        let shown = made.filter(|made| self.shows(request_id, made));
        result.outputs = shown.map(|made| Value::Object(made.outputs.clone()));
        result.error = failure;
        Ok(result)
    }

    pub(crate) fn cancel_request(
        &mut self,
        now: Duration,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<Cancellation, Error> {
        const OPERATION: Operation = Operation::CancelRequest;
        let (request, _) = self.request_and_state(now, OPERATION, deployment_id, request_id)?;
        let (run, cancelled) = (request.run, request.cancelled());
        let stops = self.entry(now, OPERATION, deployment_id)?.queue.cancel(run);
        if let Some(request) = self.requests.get_mut(request_id) {
            request.cancel_asked |= stops;
        }
        let mut answer = Cancellation::default();
        answer.request_id = Some(request_id.clone());
        // The status of the cancellation, not of the run, which may go on for a moment.
        answer.status = Some("completed".to_owned());
        answer.outcome = Some(if stops { cancelled } else { "not_cancellable" }.to_owned());
        Ok(answer)
    }

    /// The output file with this name, once the result lists it.
    pub(crate) fn file(
        &mut self,
        now: Duration,
        request_id: &RequestId,
        kind: &str,
        subfolder: &str,
        filename: &str,
    ) -> Option<File> {
        let deployment_id = self.requests.get(request_id)?.deployment_id.clone();
        let (_, state) = self
            .request_and_state(now, Operation::GetRequestResult, &deployment_id, request_id)
            .ok()?;
        // The service deletes files after some days.
        let RunState::Completed { at, .. } = state else { return None };
        if self.now.saturating_sub(at) > FILES_KEPT {
            return None;
        }
        let made = self.made(request_id).filter(|made| self.shows(request_id, made))?;
        let wanted = |file: &&File| {
            file.kind == kind && file.subfolder == subfolder && file.filename == filename
        };
        made.files.iter().find(wanted).cloned()
    }

    /// The result of a completed run.
    pub(super) fn made(&self, request_id: &RequestId) -> Option<Arc<Made>> {
        let request = self.requests.get(request_id)?;
        let base = &self.settings.output_base;
        let mut made = match &request.driven {
            Some(driven) => driven.made(request_id, base),
            None => {
                let entry =
                    self.deployments.iter().find(|entry| entry.id == request.deployment_id)?;
                let at = entry.queue.started_at(request.run).unwrap_or(request.created_at);
                outputs::make(&*request.graph.with_overrides()?, request_id, self.clock(at), base)
            }
        };
        match &request.script.end {
            ScriptedEnd::AsTheWorkflowSays | ScriptedEnd::Cancelled => {}
            ScriptedEnd::Fails(error) => made.failure = Some(error.clone()),
            ScriptedEnd::Succeeds => made.failure = None,
            ScriptedEnd::WithoutOutputs => {
                made = Made { outputs: Map::new(), files: Vec::new(), failure: None };
            }
        }
        Some(Arc::new(made))
    }

    /// Whether the result lists the outputs. The service rarely lists the outputs of the other branches of a
    /// failed run. Outputs of a real machine are listed, because they took time to produce.
    pub(super) fn shows(&self, request_id: &RequestId, made: &Made) -> bool {
        let Some(Request { script, driven, .. }) = self.requests.get(request_id) else {
            return false;
        };
        let scripted = script.end != ScriptedEnd::AsTheWorkflowSays;
        let beside = driven.is_some() && !scripted && !made.outputs.is_empty();
        made.failure.is_none() || script.partial_outputs || beside
    }

    /// The request and its state, if it belongs to this deployment.
    fn request_and_state(
        &mut self,
        now: Duration,
        operation: Operation,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<(&Request, RunState), Error> {
        self.entry(now, operation, deployment_id)
            .map_err(|error| error.with_request_id(request_id.clone()))?;
        let entry = self.deployments.iter().find(|entry| entry.id == *deployment_id);
        let request = self.requests.get(request_id);
        entry
            .zip(request.filter(|request| request.deployment_id == *deployment_id))
            .map(|(entry, request)| (request, entry.queue.state(request.run)))
            .ok_or_else(|| {
                service_error::request_not_found(operation, request_id)
                    .with_deployment_id(deployment_id.clone())
            })
    }

    fn instance_id(
        &mut self,
        now: Duration,
        deployment_id: &DeploymentId,
        instance: Option<InstanceNumber>,
    ) -> Option<runcomfy_core::id::InstanceId> {
        let ids = self.ids;
        let entry = self.entry(now, Operation::GetRequestStatus, deployment_id).ok()?;
        entry.instance_id(ids, instance?)
    }
}

impl Request {
    fn cancelled(&self) -> &'static str {
        if self.script.american { "canceled" } else { "cancelled" }
    }
}

fn instance_of(state: RunState) -> Option<InstanceNumber> {
    match state {
        RunState::Queued { .. } => None,
        RunState::Running { instance } | RunState::Completed { instance, .. } => Some(instance),
        RunState::Cancelled { instance, .. } => instance,
    }
}

/// Checks that the graph has every node and input that the overrides name.
fn check_overrides(graph: &Workflow, overrides: &Overrides) -> Result<(), Error> {
    const OPERATION: Operation = Operation::SubmitRequest;
    for node_id in overrides.node_ids() {
        let place = ["body", "overrides", node_id];
        let Some(node) = graph.node(node_id) else {
            return Err(service_error::invalid(OPERATION, &place, "the workflow has no such node"));
        };
        for (name, _) in overrides.inputs(node_id) {
            if node.input(name).is_none() {
                let place = ["body", "overrides", node_id, "inputs", name];
                return Err(service_error::invalid(
                    OPERATION,
                    &place,
                    "the node has no such input",
                ));
            }
        }
    }
    let laid = graph.clone().with_overrides(overrides);
    laid.map(drop).map_err(|error| {
        service_error::invalid(OPERATION, &["body", "overrides"], &error.to_string())
    })
}
