//! Waits over a service whose looks take their time.

use std::{sync::Arc, time::Duration};

use runcomfy_core::{
    DeploymentId, Error, MockRunComfyApi, RequestId, Wait, WaitEnd,
    request::{RequestResult, RequestStatus},
    wait::WaitPolicy,
};
use tokio::time::Instant;

use crate::wait::{d1, in_state, r1, secs, succeeded};

/// A service whose looks take their time.
struct Slow {
    look: Duration,
    finished_after: Duration,
    start: Instant,
}

impl Slow {
    async fn timed(&self) -> Result<RequestStatus, Error> {
        let state =
            if self.start.elapsed() >= self.finished_after { "completed" } else { "in_progress" };
        tokio::time::sleep_until(Instant::now() + self.look).await;
        in_state(state)
    }
}

/// The mock, but for its looks.
struct SlowLooks {
    api: MockRunComfyApi,
    slow: Arc<Slow>,
}

#[async_trait::async_trait]
impl runcomfy_core::RunComfyApi for SlowLooks {
    async fn get_request_status(
        &self,
        _: &DeploymentId,
        _: &RequestId,
    ) -> Result<RequestStatus, Error> {
        self.slow.timed().await
    }

    async fn list_deployments(
        &self,
        query: &runcomfy_core::deployment::ListDeployments,
    ) -> Result<Vec<runcomfy_core::deployment::Deployment>, Error> {
        self.api.list_deployments(query).await
    }

    async fn get_deployment(
        &self,
        id: &DeploymentId,
        include: runcomfy_core::deployment::Include,
    ) -> Result<runcomfy_core::deployment::Deployment, Error> {
        self.api.get_deployment(id, include).await
    }

    async fn create_deployment(
        &self,
        request: &runcomfy_core::deployment::CreateDeployment,
    ) -> Result<runcomfy_core::deployment::Deployment, Error> {
        self.api.create_deployment(request).await
    }

    async fn update_deployment(
        &self,
        id: &DeploymentId,
        changes: &runcomfy_core::deployment::UpdateDeployment,
    ) -> Result<runcomfy_core::deployment::UpdatedDeployment, Error> {
        self.api.update_deployment(id, changes).await
    }

    async fn delete_deployment(
        &self,
        id: &DeploymentId,
    ) -> Result<runcomfy_core::deployment::DeletedDeployment, Error> {
        self.api.delete_deployment(id).await
    }

    async fn submit_request(
        &self,
        request: &runcomfy_core::InferenceRequest,
    ) -> Result<runcomfy_core::request::Submission, Error> {
        self.api.submit_request(request).await
    }

    async fn get_request_result(
        &self,
        id: &DeploymentId,
        request: &RequestId,
    ) -> Result<RequestResult, Error> {
        self.api.get_request_result(id, request).await
    }

    async fn cancel_request(
        &self,
        id: &DeploymentId,
        request: &RequestId,
    ) -> Result<runcomfy_core::request::Cancellation, Error> {
        self.api.cancel_request(id, request).await
    }

    async fn call_instance_proxy(
        &self,
        call: &runcomfy_core::instance::ProxyCall,
    ) -> Result<runcomfy_core::instance::ProxyReply, Error> {
        self.api.call_instance_proxy(call).await
    }
}

/// How a wait ends where every look takes `look` and the run is over after `finished_after`.
async fn over_slow_looks(look: u64, finished_after: u64, timeout: u64) -> &'static str {
    let slow = Arc::new(Slow {
        look: secs(look),
        finished_after: secs(finished_after),
        start: Instant::now(),
    });
    let mut api = MockRunComfyApi::new();
    api.expect_get_request_result().returning(|_, _| succeeded());
    let api = SlowLooks { api, slow };
    let end =
        Wait::new(&api, d1(), r1()).policy(WaitPolicy::with_timeout(secs(timeout))).finish().await;
    match end.unwrap() {
        WaitEnd::Finished(_) => "finished",
        WaitEnd::TimedOut(_) => "timed out",
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_look_does_not_blind_the_wait() {
    assert_eq!(over_slow_looks(10, 12, 40).await, "finished");
    assert_eq!(over_slow_looks(45, 50, 150).await, "finished");
    assert_eq!(over_slow_looks(20, 30, 70).await, "finished");
    assert_eq!(over_slow_looks(10, 100, 40).await, "timed out");
}
