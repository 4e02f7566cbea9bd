//! The conformance rules detect services that break one thing, and leave them as they were.

use std::{panic::AssertUnwindSafe, sync::Mutex};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use runcomfy_core::{
    DeploymentId, Error, InferenceRequest, RequestId, RunComfyApi,
    deployment::{
        CreateDeployment, DeletedDeployment, Deployment, Include, ListDeployments,
        UpdateDeployment, UpdatedDeployment,
    },
    instance::{ProxyCall, ProxyReply},
    request::{Cancellation, RequestResult, RequestState, RequestStatus, Submission},
};
use runcomfy_testkit::{
    FakeRunComfy,
    conformance::{self, Setting},
};
use serde_json::json;

/// One thing that a service does wrong.
#[derive(Clone, Copy, Debug)]
enum Breakage {
    CancelDoesNothingInProgress,
    CreatesTwice,
    /// More than `max_instances`.
    InstancesBeyondTheMaximum(u64),
    Overtakes,
    PlaceIsAlways(i64),
    ShowsOutputsInProgress,
    SubmitsTwice,
    /// Ignores this change.
    UpdateForgets(fn(&mut UpdateDeployment)),
}

/// A service with a breakage.
struct Broken<A> {
    service: A,
    breakage: Breakage,
    submitted: Mutex<Vec<RequestId>>,
}

impl<A: RunComfyApi> Broken<A> {
    fn beyond(&self) -> u64 {
        match self.breakage {
            Breakage::InstancesBeyondTheMaximum(beyond) => beyond,
            _ => 0,
        }
    }

    fn shown(&self, mut deployment: Deployment) -> Deployment {
        deployment.max_instances = deployment.max_instances.map(|max| max - self.beyond());
        deployment
    }

    /// The run submitted next to this one, and whether it was the first of the two.
    fn neighbour(&self, request_id: &RequestId) -> Option<(RequestId, bool)> {
        let submitted = self.submitted.lock().unwrap();
        let place = submitted.iter().position(|id| id == request_id)?;
        submitted.get(place ^ 1).map(|id| (id.clone(), place % 2 == 0))
    }
}

#[async_trait]
impl<A: RunComfyApi> RunComfyApi for Broken<A> {
    async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error> {
        let all = self.service.list_deployments(query).await?;
        Ok(all.into_iter().map(|one| self.shown(one)).collect())
    }

    async fn get_deployment(
        &self,
        id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error> {
        Ok(self.shown(self.service.get_deployment(id, include).await?))
    }

    async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        let mut request = request.clone();
        request.max_instances += self.beyond();
        if let Breakage::CreatesTwice = self.breakage {
            self.service.create_deployment(&request).await?;
        }
        Ok(self.shown(self.service.create_deployment(&request).await?))
    }

    async fn update_deployment(
        &self,
        id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<UpdatedDeployment, Error> {
        let (asked, mut changes) = (changes, changes.clone());
        if let Breakage::UpdateForgets(forget) = self.breakage {
            forget(&mut changes);
        }
        changes.max_instances = changes.max_instances.map(|max| max + self.beyond());
        let updated = if changes.is_empty() && !asked.is_empty() {
            self.service.get_deployment(id, Include::none()).await?
        } else {
            self.service.update_deployment(id, &changes).await?.deployment
        };
        Ok(UpdatedDeployment::new(self.shown(updated)))
    }

    async fn delete_deployment(&self, id: &DeploymentId) -> Result<DeletedDeployment, Error> {
        self.service.delete_deployment(id).await
    }

    async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error> {
        let submission = self.service.submit_request(request).await?;
        self.submitted.lock().unwrap().push(submission.request_id.clone());
        if let Breakage::SubmitsTwice = self.breakage {
            self.service.submit_request(request).await?;
        }
        Ok(submission)
    }

    async fn get_request_status(
        &self,
        id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestStatus, Error> {
        let mut status = self.service.get_request_status(id, request_id).await?;
        match self.breakage {
            Breakage::PlaceIsAlways(place) => {
                status.queue_position = status.queue_position.map(|_| place);
            }
            Breakage::Overtakes => {
                // While only the first of two has started, each shows where the other is.
                let Some((neighbour, is_first)) = self.neighbour(request_id) else {
                    return Ok(status);
                };
                let Ok(other) = self.service.get_request_status(id, &neighbour).await else {
                    return Ok(status);
                };
                let queued = |status: &RequestStatus| status.state() == RequestState::InQueue;
                let (first, second) = if is_first { (&status, &other) } else { (&other, &status) };
                if !queued(first) && queued(second) {
                    status = other;
                    status.request_id = Some(request_id.clone());
                }
            }
            _ => {}
        }
        Ok(status)
    }

    async fn get_request_result(
        &self,
        id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestResult, Error> {
        let mut result = self.service.get_request_result(id, request_id).await?;
        if let (Breakage::ShowsOutputsInProgress, RequestState::InProgress) =
            (self.breakage, result.state())
        {
            result.outputs = Some(json!({}));
        }
        Ok(result)
    }

    async fn cancel_request(
        &self,
        id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<Cancellation, Error> {
        let status = self.service.get_request_status(id, request_id).await?;
        if let (Breakage::CancelDoesNothingInProgress, RequestState::InProgress) =
            (self.breakage, status.state())
        {
            let mut answer = Cancellation::default();
            answer.outcome = Some("cancelled".to_owned());
            return Ok(answer);
        }
        self.service.cancel_request(id, request_id).await
    }

    async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error> {
        self.service.call_instance_proxy(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_nothing_is_not_accused() {
    let (service, submitted) = (FakeRunComfy::default(), Mutex::default());
    let breakage = Breakage::InstancesBeyondTheMaximum(0);
    conformance::all(&Broken { service, breakage, submitted }, &Setting::default()).await;
}

/// Checks that each breakage is detected by its own rule and by all rules together.
macro_rules! found_out {
    ($($test:ident: $breakage:expr, by $rule:ident;)+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            let setting = Setting::default();
            let fake = FakeRunComfy::builder().empty().build();
            for all in [false, true] {
                let (service, submitted) = (fake.clone(), Mutex::default());
                let broken = Broken { service, breakage: $breakage, submitted };
                let tried = async {
                    if all {
                        conformance::all(&broken, &setting).await;
                    } else {
                        conformance::$rule(&broken, &setting).await;
                    }
                };
                let end = AssertUnwindSafe(tried).catch_unwind().await;
                assert!(end.is_err(), "{:?} went unnoticed; all: {all}", broken.breakage);
                let left = fake.list_deployments(&ListDeployments::all()).await.unwrap();
                assert_eq!(left, [], "all: {all}");
            }
        }
    )+};
}

found_out! {
    a_place_that_is_always_the_first: Breakage::PlaceIsAlways(0),
        by a_place_in_the_queue_counts_those_ahead;
    a_place_that_is_always_far_behind: Breakage::PlaceIsAlways(1_000_000),
        by a_place_in_the_queue_counts_those_ahead;
    a_submit_that_starts_two_runs: Breakage::SubmitsTwice,
        by a_place_in_the_queue_counts_those_ahead;
    a_create_that_makes_two_deployments: Breakage::CreatesTwice, by a_create_is_one_deployment;
    an_update_that_forgets_the_hardware: Breakage::UpdateForgets(|it| it.hardware = None),
        by an_update_changes_only_what_it_names;
    an_update_that_forgets_the_queue_size: Breakage::UpdateForgets(|it| it.queue_size = None),
        by an_update_changes_only_what_it_names;
    an_update_that_forgets_the_minimum: Breakage::UpdateForgets(|it| it.min_instances = None),
        by an_update_changes_only_what_it_names;
    an_update_that_forgets_the_version: Breakage::UpdateForgets(|it| it.workflow_version = None),
        by an_update_changes_only_what_it_names;
    a_cancellation_that_does_nothing: Breakage::CancelDoesNothingInProgress,
        by a_run_in_progress_can_be_cancelled;
    more_runs_in_progress_than_instances: Breakage::InstancesBeyondTheMaximum(3),
        by no_more_runs_are_in_progress_than_there_may_be_instances;
    a_run_that_overtakes: Breakage::Overtakes, by a_run_is_not_overtaken;
    outputs_before_the_end: Breakage::ShowsOutputsInProgress,
        by a_result_before_the_end_has_no_outputs;
}
