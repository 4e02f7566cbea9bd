//! The trait: one method per endpoint.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    deployment::{
        CreateDeployment, DeletedDeployment, Deployment, Include, ListDeployments,
        UpdateDeployment, UpdatedDeployment,
    },
    error::Error,
    id::{DeploymentId, RequestId},
    instance::{ProxyCall, ProxyReply},
    request::{Cancellation, InferenceRequest, RequestResult, RequestStatus, Submission},
};

/// RunComfy's Serverless API for ComfyUI, one method per endpoint, acting for one account.
///
/// [`HttpApi`](crate::http::HttpApi) speaks to the service. Tests use a fake, or the mock that feature `mock`
/// generates. All errors are [`Error`]: its kind says what can be done, its outcome what is known of the
/// effect. Any method may fail with the kinds `rate_limited`, `timed_out`, `unauthenticated`,
/// `permission_denied`, `refused`, `conflict`, `upstream_protocol`, `upstream_tls`,
/// `upstream_unavailable`, `proxy_unavailable` and `proxy_unusable`; others are listed with each.
///
/// Dropping the future of a read stops it. Dropping that of a write leaves unknown whether it takes
/// effect: spawn a task for a write whose caller may go away.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RunComfyApi: Send + Sync {
    /// Lists deployments: `GET /prod/v2/deployments`.
    ///
    /// # Errors
    /// As for every method.
    async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error>;

    /// Gets one deployment: `GET /prod/v2/deployments/{deployment_id}`.
    ///
    /// # Errors
    /// `not_found`.
    async fn get_deployment(
        &self,
        deployment_id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error>;

    /// Creates a deployment: `POST /prod/v2/deployments`.
    ///
    /// Billed from now on if `min_instances` is above 0. Never repeated by the client once it may have
    /// arrived; where its response is lost, the error's `detail` lists the deployments of that name.
    ///
    /// # Errors
    /// `invalid_request`, `insufficient_funds`, `not_found` for the workflow.
    async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error>;

    /// Changes a deployment: `PATCH /prod/v2/deployments/{deployment_id}`.
    ///
    /// The service wants the name in every change. Where `changes` has none, the current one is read
    /// first and sent along; updates of one deployment through one client wait for each other. After a
    /// lost response the deployment is read: as it was wanted, the update was applied; otherwise it is sent
    /// once more.
    ///
    /// # Errors
    /// `invalid_argument` where nothing would change, `invalid_request`, `not_found`,
    /// `insufficient_funds`.
    async fn update_deployment(
        &self,
        deployment_id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<UpdatedDeployment, Error>;

    /// Deletes a deployment for good: `DELETE /prod/v2/deployments/{deployment_id}`.
    ///
    /// After a lost response a deployment that is gone counts as deleted, and one that is still there is
    /// deleted again.
    ///
    /// # Errors
    /// `not_found`, also for one that had been deleted before.
    async fn delete_deployment(
        &self,
        deployment_id: &DeploymentId,
    ) -> Result<DeletedDeployment, Error>;

    /// Submits a run: `POST /prod/v1/deployments/{deployment_id}/inference`. This is what is paid for.
    ///
    /// The service has no key against double submits: the client never sends it again once it may have
    /// arrived, and an error with outcome `unknown` means that a run may have started.
    ///
    /// # Errors
    /// `invalid_request`, `not_found`, `deployment_disabled`, `insufficient_funds`.
    async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error>;

    /// Asks where a run is: `GET /prod/v1/deployments/{deployment_id}/requests/{request_id}/status`.
    ///
    /// # Errors
    /// `not_found`.
    async fn get_request_status(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestStatus, Error>;

    /// Gets what a run made: `GET /prod/v1/deployments/{deployment_id}/requests/{request_id}/result`.
    ///
    /// Before the run's end this is no error: the response has its state and no outputs. A run that failed
    /// is no error either: the question was answered.
    ///
    /// # Errors
    /// `not_found`.
    async fn get_request_result(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestResult, Error>;

    /// Cancels a run: `POST /prod/v1/deployments/{deployment_id}/requests/{request_id}/cancel`.
    ///
    /// Best effort: a run that is nearly done may still complete. Its status is the truth, and is read
    /// where a response is lost.
    ///
    /// # Errors
    /// `not_found`.
    async fn cancel_request(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<Cancellation, Error>;

    /// Calls the ComfyUI on a live instance:
    /// `POST /prod/v2/deployments/{deployment_id}/instances/{instance_id}/proxy/{path}`.
    ///
    /// Which routes to allow is the caller's policy; see
    /// [`ProxyPath::is_manager_route`](crate::instance::ProxyPath::is_manager_route). Never repeated by the client
    /// once it may have arrived.
    ///
    /// # Errors
    /// `not_found` where the instance is gone or ComfyUI has no such route, `invalid_request` for what
    /// ComfyUI refuses.
    async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error>;
}

/// References and smart pointers implement the trait: `&T`, `Box<T>`, `Arc<T>`, `Arc<dyn RunComfyApi>`.
macro_rules! forward {
    ($($pointer:ty),*) => {
        $(#[async_trait]
        impl<T: RunComfyApi + ?Sized> RunComfyApi for $pointer {
            async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error> {
                (**self).list_deployments(query).await
            }

            async fn get_deployment(&self, deployment_id: &DeploymentId, include: Include) -> Result<Deployment, Error> {
                (**self).get_deployment(deployment_id, include).await
            }

            async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
                (**self).create_deployment(request).await
            }

            async fn update_deployment(
                &self,
                deployment_id: &DeploymentId,
                changes: &UpdateDeployment,
            ) -> Result<UpdatedDeployment, Error> {
                (**self).update_deployment(deployment_id, changes).await
            }

            async fn delete_deployment(&self, deployment_id: &DeploymentId) -> Result<DeletedDeployment, Error> {
                (**self).delete_deployment(deployment_id).await
            }

            async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error> {
                (**self).submit_request(request).await
            }

            async fn get_request_status(
                &self,
                deployment_id: &DeploymentId,
                request_id: &RequestId,
            ) -> Result<RequestStatus, Error> {
                (**self).get_request_status(deployment_id, request_id).await
            }

            async fn get_request_result(
                &self,
                deployment_id: &DeploymentId,
                request_id: &RequestId,
            ) -> Result<RequestResult, Error> {
                (**self).get_request_result(deployment_id, request_id).await
            }

            async fn cancel_request(
                &self,
                deployment_id: &DeploymentId,
                request_id: &RequestId,
            ) -> Result<Cancellation, Error> {
                (**self).cancel_request(deployment_id, request_id).await
            }

            async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error> {
                (**self).call_instance_proxy(call).await
            }
        })*
    };
}

forward!(&T, Box<T>, Arc<T>);
