//! Runs that a driver executes on its own machines: handed over, and returned with their results.

use std::{collections::HashSet, time::Duration};

use runcomfy_core::{DeploymentId, RequestId, id::InstanceId};
use serde_json::Value;

use super::{
    Account, Request,
    run::{DrivenEnd, DrivenJob, DrivenResult, FILES_KEPT, OpenRun, Readiness},
};
use crate::lifecycle::{InstanceNumber, RunState};

impl Account {
    /// Whether a run can start now.
    pub(crate) fn readiness(&self, id: &RequestId) -> Readiness {
        let Some(request) = self.requests.get(id) else { return Readiness::Over };
        let entry = self.deployments.iter().find(|entry| entry.id == request.deployment_id);
        match entry.map(|entry| (entry.queue.state(request.run), entry.queue.taken() as u64, entry))
        {
            Some((RunState::Queued { .. }, taken, entry)) if taken < entry.max_instances => {
                Readiness::Ready
            }
            Some((RunState::Queued { .. }, ..)) => Readiness::Full,
            _ => Readiness::Over,
        }
    }

    /// Whether the files of a run are kept, or will be once it has ended.
    pub(crate) fn keeps_files(&mut self, now: Duration, id: &RequestId) -> bool {
        self.advance(now);
        let Some(request) = self.requests.get(id) else { return false };
        let entry = self.deployments.iter().find(|entry| entry.id == request.deployment_id);
        entry.is_some_and(|entry| match entry.queue.state(request.run) {
            RunState::Queued { .. } | RunState::Running { .. } => true,
            RunState::Completed { at, .. } => self.now.saturating_sub(at) <= FILES_KEPT,
            RunState::Cancelled { .. } => false,
        })
    }

    /// Hands a run over to the machine with this number, under this prompt id. `None` if it is no longer
    /// queued.
    pub(crate) fn hand_over(
        &mut self,
        now: Duration,
        id: &RequestId,
        machine: u64,
        prompt_id: String,
    ) -> Option<DrivenJob> {
        self.advance(now);
        let (job, request) = (self.job(id)?, self.requests.get_mut(id)?);
        let entry = self.deployments.iter_mut().find(|entry| entry.id == request.deployment_id)?;
        let handed_over = entry.queue.hand_over(request.run, InstanceNumber(machine));
        if handed_over {
            request.prompt_id = Some(prompt_id);
        }
        self.advance(now);
        handed_over.then_some(job)
    }

    /// Records that a handed-over run started `ago`. `false` if it is not waiting for that.
    pub(crate) fn begin(&mut self, now: Duration, id: &RequestId, ago: Duration) -> bool {
        self.advance(now);
        let Some(request) = self.requests.get(id) else { return false };
        let entry = self.deployments.iter_mut().find(|entry| entry.id == request.deployment_id);
        let begun = entry.is_some_and(|entry| entry.queue.begin(request.run, ago));
        self.advance(now);
        begun
    }

    /// The prompt ids of this account's runs.
    pub(crate) fn prompt_ids(&self) -> HashSet<String> {
        let ids = |request: &Request| {
            // Some servers choose their own id.
            let chosen = request.accepted.as_ref().and_then(|said| said.get("prompt_id")?.as_str());
            chosen.or(request.prompt_id.as_deref()).map(str::to_owned)
        };
        self.requests.values().filter_map(ids).collect()
    }

    pub(crate) fn job(&self, id: &RequestId) -> Option<DrivenJob> {
        let request = self.requests.get(id)?;
        Some(DrivenJob {
            graph: request.graph.with_overrides()?,
            extra_data: request.extra_data.clone(),
        })
    }

    pub(crate) fn has(&self, id: &RequestId) -> bool {
        self.requests.contains_key(id)
    }

    /// Records the machine's response when it accepted a run.
    pub(crate) fn accepted(&mut self, id: &RequestId, accepted: Value) {
        if let Some(request) = self.requests.get_mut(id) {
            request.accepted = Some(accepted);
        }
    }

    /// Records the progress of a run, from 0 to 1.
    pub(crate) fn progress(&mut self, id: &RequestId, done: f64) {
        if let Some(request) = self.requests.get_mut(id) {
            request.progress = Some(done);
        }
    }

    /// The requests of a deployment.
    pub(crate) fn requests_of(&self, deployment: &DeploymentId) -> Vec<RequestId> {
        let entry = self.deployments.iter().find(|entry| entry.id == *deployment);
        entry.map(|entry| entry.requests.clone()).unwrap_or_default()
    }

    /// Ends a run that was handed over. `false` if it is not under way, for example because its deployment
    /// was deleted.
    pub(crate) fn end(&mut self, now: Duration, id: &RequestId, driven: &DrivenResult) -> bool {
        self.advance(now);
        let Some(request) = self.requests.get_mut(id) else { return false };
        let entry = self.deployments.iter_mut().find(|entry| entry.id == request.deployment_id);
        let Some(entry) = entry else { return false };
        if !entry.queue.end(request.run, driven.end == DrivenEnd::Cancelled) {
            return false;
        }
        request.driven = Some(driven.clone());
        self.advance(now);
        true
    }

    /// The unfinished runs in order of submission.
    pub(crate) fn open(&mut self, now: Duration) -> Vec<OpenRun> {
        self.advance(now);
        let open = self.deployments.iter().flat_map(|entry| {
            entry.requests.iter().filter_map(|id| {
                let request = self.requests.get(id)?;
                match entry.queue.state(request.run) {
                    // A simulated run ends by itself and needs no driver.
                    RunState::Running { .. } if entry.queue.ends_at(request.run).is_some() => {
                        return None;
                    }
                    RunState::Queued { .. } | RunState::Running { .. } => {}
                    RunState::Completed { .. } | RunState::Cancelled { .. } => return None,
                }
                let machine = entry.queue.machine_of(request.run).map(|machine| machine.0);
                let (accepted, cancelled) = (request.accepted.clone(), request.cancel_asked);
                let (request_id, created_at) = (id.clone(), request.created_at);
                let prompt_id = request.prompt_id.clone();
                let open =
                    OpenRun { request_id, created_at, machine, prompt_id, accepted, cancelled };
                Some((request.number, open))
            })
        });
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|(number, _)| *number);
        open.into_iter().map(|(_, open)| open).collect()
    }

    /// The number of the machine behind this instance id, once it has run a request of the deployment.
    pub(crate) fn machine(&self, deployment: &DeploymentId, instance: &InstanceId) -> Option<u64> {
        let entry = self.deployments.iter().find(|entry| entry.id == *deployment)?;
        let named = |number: &InstanceNumber| {
            entry.instance_id(self.ids, *number).as_ref() == Some(instance)
        };
        entry.queue.used().find(named).map(|number| number.0)
    }
}
