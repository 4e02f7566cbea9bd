//! Implements `RunComfyApi` for `FakeRunComfy`.

use async_trait::async_trait;
use runcomfy_core::{
    DeploymentId, Error, InferenceRequest, RequestId, RunComfyApi,
    deployment::{
        CreateDeployment, DeletedDeployment, Deployment, Include, ListDeployments,
        UpdateDeployment, UpdatedDeployment,
    },
    instance::{ProxyCall, ProxyReply},
    request::{Cancellation, RequestResult, RequestStatus, Submission},
};

use super::{DriverCommand, FakeRunComfy, calls::Call};
use crate::{history::Event, script::Script};

impl FakeRunComfy {
    /// Submits a run that follows this script instead of a queued one.
    pub(crate) async fn submit_scripted(
        &self,
        request: &InferenceRequest,
        script: Script,
    ) -> Result<Submission, Error> {
        self.submit(request, Some(script)).await
    }

    async fn submit(
        &self,
        request: &InferenceRequest,
        script: Option<Script>,
    ) -> Result<Submission, Error> {
        self.change(Call::SubmitRequest(request.clone()), |inner, now| {
            let (script, is_own) = match script {
                Some(script) => (script, true),
                None => (inner.scripts.front().cloned().unwrap_or_default(), false),
            };
            let submission = inner.account.submit_request(now, request, script.clone())?;
            // A refused submit leaves the queued script for the next one.
            if !is_own {
                inner.scripts.pop_front();
            }
            inner.send_command(self, DriverCommand::Run(submission.request_id.clone()));
            let driven = inner.account.settings.timing.driven;
            Ok((submission, Event::submitted(request, script, driven)))
        })
        .await
    }
}

#[async_trait]
impl RunComfyApi for FakeRunComfy {
    async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error> {
        self.answer(Call::ListDeployments(query.clone()), |account, now| {
            Ok(account.list_deployments(now, query))
        })
    }

    async fn get_deployment(
        &self,
        deployment_id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error> {
        let call = Call::GetDeployment { deployment_id: deployment_id.clone(), include };
        self.answer(call, |account, now| account.get_deployment(now, deployment_id, include))
    }

    async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        self.change(Call::CreateDeployment(request.clone()), |inner, now| {
            let created = inner.account.create_deployment(now, request, None)?;
            let workflow = inner.account.workflow(&created.id);
            Ok((created, Event::created(request, workflow.as_deref())))
        })
        .await
    }

    async fn update_deployment(
        &self,
        deployment_id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<UpdatedDeployment, Error> {
        let call = Call::UpdateDeployment {
            deployment_id: deployment_id.clone(),
            changes: changes.clone(),
        };
        self.change(call, |inner, now| {
            let updated = inner.account.update_deployment(now, deployment_id, changes)?;
            inner.send_command(self, DriverCommand::Reconsider);
            Ok((updated, Event::updated(deployment_id, changes)))
        })
        .await
    }

    async fn delete_deployment(
        &self,
        deployment_id: &DeploymentId,
    ) -> Result<DeletedDeployment, Error> {
        let call = Call::DeleteDeployment { deployment_id: deployment_id.clone() };
        self.change(call, |inner, now| {
            let requests = inner.account.requests_of(deployment_id);
            let deleted = inner.account.delete_deployment(now, deployment_id)?;
            for request_id in requests {
                inner.send_command(self, DriverCommand::Forget(request_id));
            }
            Ok((deleted, Event::Deleted { deployment_id: deployment_id.clone() }))
        })
        .await
    }

    async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error> {
        self.submit(request, None).await
    }

    async fn get_request_status(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestStatus, Error> {
        let call = Call::GetRequestStatus {
            deployment_id: deployment_id.clone(),
            request_id: request_id.clone(),
        };
        self.answer(call, |account, now| account.get_request_status(now, deployment_id, request_id))
    }

    async fn get_request_result(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestResult, Error> {
        let call = Call::GetRequestResult {
            deployment_id: deployment_id.clone(),
            request_id: request_id.clone(),
        };
        self.answer(call, |account, now| account.get_request_result(now, deployment_id, request_id))
    }

    async fn cancel_request(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<Cancellation, Error> {
        let call = Call::CancelRequest {
            deployment_id: deployment_id.clone(),
            request_id: request_id.clone(),
        };
        self.change(call, |inner, now| {
            let cancelled = inner.account.cancel_request(now, deployment_id, request_id)?;
            inner.send_command(self, DriverCommand::Stop(request_id.clone()));
            let (deployment_id, request_id) = (deployment_id.clone(), request_id.clone());
            Ok((cancelled, Event::Cancelled { deployment_id, request_id }))
        })
        .await
    }

    async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error> {
        self.answer(Call::CallInstanceProxy(call.clone()), |account, now| {
            account.call_instance_proxy(now, call)
        })
    }
}
