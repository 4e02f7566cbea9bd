//! `Rule`: the context of one rule, with helpers to call, wait and check.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Mutex,
    time::Duration,
};

use futures_util::FutureExt as _;
use runcomfy_core::{
    DeploymentId, Error, ErrorKind, InferenceRequest, RequestId, RunComfyApi, Wait, WaitEnd,
    Workflow,
    deployment::{CreateDeployment, Deployment, ListDeployments},
    error::Outcome,
    request::{RequestState, RequestStatus},
    wait::{FinishedRun, WaitPolicy},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::{samples, sync::lock};

/// How often a rule repeats an observation that depends on timing.
pub(super) const TRIES: u32 = 5;

/// What the rules may assume about the account.
#[derive(Clone, Debug)]
pub struct Setting {
    /// A saved workflow to deploy. Its outputs do not matter.
    pub workflow_id: String,
    /// The workflow's version.
    pub workflow_version: String,
    /// Another version of the workflow, for updates. No run is started with it.
    pub other_workflow_version: String,
    /// The hardware to use.
    pub hardware: String,
    /// Other hardware, for updates. No run is started on it.
    pub other_hardware: String,
    /// The time between two polls.
    pub poll_interval: Duration,
    /// How long a rule may wait for its runs, including queue and cold start.
    pub timeout: Duration,
}

impl Default for Setting {
    /// The stock graph of the fake on its smallest hardware, polled ten times a second.
    fn default() -> Self {
        Self {
            workflow_id: samples::workflow_id(0),
            workflow_version: "v1".to_owned(),
            other_workflow_version: "v2".to_owned(),
            hardware: "TURING_16".to_owned(),
            other_hardware: "AMPERE_24".to_owned(),
            poll_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(600),
        }
    }
}

pub(super) struct Rule<'a> {
    name: &'static str,
    pub(super) api: &'a dyn RunComfyApi,
    pub(super) setting: &'a Setting,
    deadline: Instant,
    /// The deployments to delete.
    made: Mutex<Vec<DeploymentId>>,
}

impl<'a> Rule<'a> {
    pub(super) fn new(name: &'static str, api: &'a dyn RunComfyApi, setting: &'a Setting) -> Self {
        let deadline = Instant::now() + setting.timeout;
        Self { name, api, setting, deadline, made: Mutex::default() }
    }

    /// Checks the rule, and deletes its deployments even if it panics.
    pub(super) async fn attempt(&self, rule: impl Future<Output = ()>) {
        let kept = AssertUnwindSafe(rule).catch_unwind().await;
        if kept.is_err() {
            self.find_leftovers().await;
        }
        let made = std::mem::take(&mut *lock(&self.made));
        let mut left = Vec::new();
        for id in made {
            match self.api.delete_deployment(&id).await {
                Err(error) if error.kind() != ErrorKind::NotFound => left.push((id, error)),
                _ => {}
            }
        }
        match kept {
            Err(panic) => resume_unwind(panic),
            Ok(()) => self.holds(left.is_empty(), left),
        }
    }

    /// Marks deployments with the rule's name for deletion, which the service may have created without
    /// reporting them.
    async fn find_leftovers(&self) {
        if let Ok(all) = self.api.list_deployments(&ListDeployments::all()).await {
            let own = self.deployment_name();
            let leftovers = all.into_iter().filter(|one| one.name.as_ref() == Some(&own));
            leftovers.for_each(|one| self.delete_later(one.id));
        }
    }

    fn delete_later(&self, id: DeploymentId) {
        let mut made = lock(&self.made);
        if !made.contains(&id) {
            made.push(id);
        }
    }

    #[track_caller]
    pub(super) fn broken(&self, seen: impl Debug) -> ! {
        panic!("broken rule: {}; saw {seen:?}", self.name)
    }

    #[track_caller]
    pub(super) fn holds(&self, holds: bool, seen: impl Debug) {
        if !holds {
            self.broken(seen);
        }
    }

    #[track_caller]
    pub(super) fn is<T: Debug + PartialEq>(&self, seen: T, expected: T) {
        if seen != expected {
            self.broken(format_args!("{seen:?} where {expected:?} was expected"));
        }
    }

    #[track_caller]
    pub(super) fn good<T>(&self, answer: Result<T, Error>) -> T {
        answer.unwrap_or_else(|error| self.broken(error))
    }

    #[track_caller]
    pub(super) fn some<T>(&self, part: Option<T>, missing: &str) -> T {
        part.unwrap_or_else(|| self.broken(format_args!("no {missing}")))
    }

    /// The call was refused with one of these kinds, and certainly had no effect.
    #[track_caller]
    pub(super) fn refused<T: Debug>(&self, answer: Result<T, Error>, kinds: &[ErrorKind]) {
        match answer {
            Ok(answer) => self.broken(answer),
            Err(error) => {
                self.holds(kinds.contains(&error.kind()), &error);
                self.holds(matches!(error.outcome(), Outcome::NotSent | Outcome::Rejected), &error);
            }
        }
    }

    /// The settings of a new deployment.
    pub(super) fn new_deployment(&self) -> CreateDeployment {
        let workflow_id = match self.setting.workflow_id.as_str().try_into() {
            Ok(workflow_id) => workflow_id,
            Err(error) => self.broken(error),
        };
        CreateDeployment::new(self.deployment_name(), workflow_id, &self.setting.workflow_version)
            .hardware(&self.setting.hardware)
    }

    fn deployment_name(&self) -> String {
        format!("conformance {}", self.name)
    }

    /// Creates a deployment that is deleted when the rule ends.
    pub(super) async fn create(&self, wanted: &CreateDeployment) -> Result<Deployment, Error> {
        let created = self.api.create_deployment(wanted).await?;
        self.delete_later(created.id.clone());
        Ok(created)
    }

    pub(super) async fn deployment(&self) -> Deployment {
        self.good(self.create(&self.new_deployment()).await)
    }

    pub(super) async fn delete(&self, deployment_id: &DeploymentId) {
        self.good(self.api.delete_deployment(deployment_id).await);
    }

    pub(super) async fn submit(&self, request: &InferenceRequest) -> RequestId {
        self.good(self.api.submit_request(request).await).request_id
    }

    /// Submits the same request several times in sequence.
    pub(super) async fn submit_all(
        &self,
        request: &InferenceRequest,
        times: u32,
    ) -> Vec<RequestId> {
        let mut runs = Vec::new();
        for _ in 0..times {
            runs.push(self.submit(request).await);
        }
        runs
    }

    /// Submits a sample graph in place of the deployment's own.
    pub(super) async fn submit_sample(
        &self,
        deployment_id: &DeploymentId,
        name: &str,
    ) -> RequestId {
        let request = InferenceRequest::new(deployment_id.clone());
        self.submit(&request.workflow_api_json(self.sample(name))).await
    }

    pub(super) fn sample(&self, name: &str) -> Workflow {
        self.some(samples::workflow(name), name)
    }

    pub(super) fn graph(&self, graph: Value) -> Workflow {
        Workflow::from_value(graph).unwrap_or_else(|error| self.broken(error))
    }

    pub(super) async fn status(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> RequestStatus {
        self.good(self.api.get_request_status(deployment_id, request_id).await)
    }

    /// The statuses of all runs at one moment between two polls. `None` for a run whose status changed
    /// between them.
    pub(super) async fn statuses(
        &self,
        deployment_id: &DeploymentId,
        runs: &[RequestId],
    ) -> Vec<Option<RequestStatus>> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for looks in [&mut before, &mut after] {
            for run in runs {
                looks.push(self.status(deployment_id, run).await);
            }
        }
        before.into_iter().zip(after).map(|(one, two)| (one == two).then_some(one)).collect()
    }

    /// Waits for the next poll, up to the timeout.
    pub(super) async fn pause(&self) {
        self.holds(Instant::now() < self.deadline, "no end");
        tokio::time::sleep(self.setting.poll_interval).await;
    }

    /// Waits until the run has left the queue.
    pub(super) async fn started(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> RequestStatus {
        loop {
            let status = self.status(deployment_id, request_id).await;
            if status.state() != RequestState::InQueue {
                return status;
            }
            self.pause().await;
        }
    }

    /// Waits until the run is over.
    pub(super) async fn finish(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> FinishedRun {
        let mut policy = WaitPolicy::with_timeout(self.setting.timeout);
        (policy.shortest, policy.shortest_in_queue) =
            (self.setting.poll_interval, self.setting.poll_interval);
        (policy.longest, policy.jitter) = (self.setting.poll_interval, 0.0);
        let wait = Wait::new(self.api, deployment_id.clone(), request_id.clone()).policy(policy);
        match self.good(wait.finish().await) {
            WaitEnd::Finished(finished) => *finished,
            WaitEnd::TimedOut(timed_out) => self.broken(timed_out),
        }
    }

    pub(super) async fn finish_all(&self, deployment_id: &DeploymentId, runs: &[RequestId]) {
        for run in runs {
            self.finish(deployment_id, run).await;
        }
    }
}
