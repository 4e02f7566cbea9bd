//! `Call`: a recorded call of a fake.

use runcomfy_core::{
    DeploymentId, InferenceRequest, RequestId,
    deployment::{CreateDeployment, Include, ListDeployments, UpdateDeployment},
    error::Operation,
    instance::ProxyCall,
};

/// One call with its arguments.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "variants and fields are the trait's methods and their arguments")]
pub enum Call {
    CallInstanceProxy(ProxyCall),
    CancelRequest { deployment_id: DeploymentId, request_id: RequestId },
    CreateDeployment(CreateDeployment),
    DeleteDeployment { deployment_id: DeploymentId },
    GetDeployment { deployment_id: DeploymentId, include: Include },
    GetRequestResult { deployment_id: DeploymentId, request_id: RequestId },
    GetRequestStatus { deployment_id: DeploymentId, request_id: RequestId },
    ListDeployments(ListDeployments),
    SubmitRequest(InferenceRequest),
    UpdateDeployment { deployment_id: DeploymentId, changes: UpdateDeployment },
}

impl Call {
    /// The operation that was called.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::CallInstanceProxy(_) => Operation::CallInstanceProxy,
            Self::CancelRequest { .. } => Operation::CancelRequest,
            Self::CreateDeployment(_) => Operation::CreateDeployment,
            Self::DeleteDeployment { .. } => Operation::DeleteDeployment,
            Self::GetDeployment { .. } => Operation::GetDeployment,
            Self::GetRequestResult { .. } => Operation::GetRequestResult,
            Self::GetRequestStatus { .. } => Operation::GetRequestStatus,
            Self::ListDeployments(_) => Operation::ListDeployments,
            Self::SubmitRequest(_) => Operation::SubmitRequest,
            Self::UpdateDeployment { .. } => Operation::UpdateDeployment,
        }
    }
}
