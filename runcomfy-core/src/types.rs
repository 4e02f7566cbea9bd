//! The service's vocabulary: what is asked and what is answered, without a word of HTTP.

mod deployment;
mod deployment_request;
mod ids;
mod inference;
mod instance;
mod json;
mod media;
mod non_finite;
mod output;
mod overrides;
mod payload;
mod run;
mod workflow;
mod workflow_error;

pub use deployment::Deployment;
#[cfg(feature = "http")]
pub(crate) use deployment::Read;
pub use deployment_request::{
    CreateDeployment, DEFAULT_HARDWARE, Deleted, HARDWARE, Include, ListDeployments,
    UpdateDeployment, Updated,
};
pub use ids::{DeploymentId, InstanceId, InvalidId, MAX_ID_BYTES, RequestId, WorkflowId, is_id};
pub use inference::{ExtraData, InferenceRequest, Submission, Webhook};
pub use instance::{InvalidPath, ProxyCall, ProxyPath, ProxyReply};
pub use json::RawJson;
pub use media::MediaKind;
pub use non_finite::NonFinite;
#[cfg(feature = "http")]
pub(crate) use non_finite::nulls_for_non_finite;
pub use output::{Failure, OutputFile};
pub use overrides::Overrides;
pub use payload::Payload;
pub use run::{Cancellation, RequestResult, RequestState, RequestStatus};
pub use workflow::{Input, Node, Workflow};
pub use workflow_error::WorkflowError;
