//! The trait's methods: which request each sends, and how its response is read.

use async_trait::async_trait;
use reqwest::Method;

use super::{api::HttpApi, base_url::with_list_query, decode, encode, send::Call};
use crate::{
    api::RunComfyApi,
    deployment::{
        CreateDeployment, DeletedDeployment, Deployment, Include, ListDeployments,
        UpdateDeployment, UpdatedDeployment,
    },
    error::{Error, Operation},
    id::{DeploymentId, RequestId},
    instance::{ProxyCall, ProxyReply},
    request::{Cancellation, InferenceRequest, RequestResult, RequestStatus, Submission},
};

#[async_trait]
impl RunComfyApi for HttpApi {
    async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error> {
        let url = with_list_query(self.deployments_url(), query.include, &query.ids);
        self.send(Call::new(Operation::ListDeployments, Method::GET, url), decode::deployments)
            .await
    }

    async fn get_deployment(
        &self,
        deployment_id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error> {
        let url = with_list_query(self.deployment_url(deployment_id), include, &[]);
        let call = Call::new(Operation::GetDeployment, Method::GET, url).deployment(deployment_id);
        self.send(call, decode::deployment).await
    }

    async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        self.create(request).await
    }

    async fn update_deployment(
        &self,
        deployment_id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<UpdatedDeployment, Error> {
        self.update(deployment_id, changes).await
    }

    async fn delete_deployment(
        &self,
        deployment_id: &DeploymentId,
    ) -> Result<DeletedDeployment, Error> {
        self.delete(deployment_id).await
    }

    async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error> {
        let deployment_id = &request.deployment_id;
        let mut url = self.queue_url(deployment_id, &["inference"]);
        if let Some(webhook) = &request.webhook {
            let mut query = url.query_pairs_mut();
            query.append_pair("webhook", webhook.url.as_str());
            if let Some(wanted) = webhook.intermediate_status {
                let wanted = if wanted { "true" } else { "false" };
                query.append_pair("webhook_intermediate_status", wanted);
            }
        }
        let call = Call::new(Operation::SubmitRequest, Method::POST, url)
            .deployment(deployment_id)
            .secrets(request.secrets())
            .body(encode::submit(request)?);
        self.send(call, decode::submission).await
    }

    async fn get_request_status(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestStatus, Error> {
        let url = self.queue_url(deployment_id, &["requests", request_id.as_str(), "status"]);
        let call = Call::new(Operation::GetRequestStatus, Method::GET, url)
            .deployment(deployment_id)
            .request(request_id);
        self.send(call, |context, answer| decode::status(context, answer, request_id)).await
    }

    async fn get_request_result(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestResult, Error> {
        let url = self.queue_url(deployment_id, &["requests", request_id.as_str(), "result"]);
        let call = Call::new(Operation::GetRequestResult, Method::GET, url)
            .deployment(deployment_id)
            .request(request_id);
        self.send(call, |context, answer| decode::result(context, answer, request_id)).await
    }

    async fn cancel_request(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<Cancellation, Error> {
        self.cancel(deployment_id, request_id).await
    }

    async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error> {
        let deployment_id = &call.deployment_id;
        let start = [
            "prod",
            "v2",
            "deployments",
            deployment_id.as_str(),
            "instances",
            call.instance_id.as_str(),
            "proxy",
        ];
        let url = self.state.base.join(start.into_iter().chain(call.path.as_str().split('/')));
        let sent = Call::new(Operation::CallInstanceProxy, Method::POST, url)
            .deployment(deployment_id)
            .body(encode::proxy(call)?);
        self.send(sent, decode::proxy_reply).await
    }
}
