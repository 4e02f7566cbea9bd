//! A library that submits again when it does not know what became of the first try: what a checker is for.

use async_trait::async_trait;
use runcomfy_core::{
    DeploymentId, Error, InferenceRequest, RequestId, RunComfyApi,
    deployment::{
        CreateDeployment, DeletedDeployment, Deployment, Include, ListDeployments,
        UpdateDeployment, UpdatedDeployment,
    },
    error::Outcome,
    instance::{ProxyCall, ProxyReply},
    request::{Cancellation, RequestResult, RequestStatus, Submission},
};

pub(crate) struct Careless<T>(pub(crate) T);

#[async_trait]
impl<T: RunComfyApi> RunComfyApi for Careless<T> {
    async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error> {
        match self.0.submit_request(request).await {
            Err(error) if error.outcome() == Outcome::Unknown => {
                self.0.submit_request(request).await
            }
            told => told,
        }
    }

    async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error> {
        self.0.list_deployments(query).await
    }

    async fn get_deployment(&self, id: &DeploymentId, with: Include) -> Result<Deployment, Error> {
        self.0.get_deployment(id, with).await
    }

    async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        self.0.create_deployment(request).await
    }

    async fn update_deployment(
        &self,
        id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<UpdatedDeployment, Error> {
        self.0.update_deployment(id, changes).await
    }

    async fn delete_deployment(&self, id: &DeploymentId) -> Result<DeletedDeployment, Error> {
        self.0.delete_deployment(id).await
    }

    async fn get_request_status(
        &self,
        id: &DeploymentId,
        run: &RequestId,
    ) -> Result<RequestStatus, Error> {
        self.0.get_request_status(id, run).await
    }

    async fn get_request_result(
        &self,
        id: &DeploymentId,
        run: &RequestId,
    ) -> Result<RequestResult, Error> {
        self.0.get_request_result(id, run).await
    }

    async fn cancel_request(
        &self,
        id: &DeploymentId,
        run: &RequestId,
    ) -> Result<Cancellation, Error> {
        self.0.cancel_request(id, run).await
    }

    async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error> {
        self.0.call_instance_proxy(call).await
    }
}
