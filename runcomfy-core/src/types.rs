//! The service's vocabulary: what is asked and what is answered, without a word of HTTP.

mod deployment;
mod ids;
mod inference;
mod instance;
mod json;
mod output;
mod payload;
mod workflow;

#[cfg(feature = "http")]
pub(crate) use deployment::Listed;
pub use deployment::{
    CreateDeployment, DEFAULT_HARDWARE, Deleted, Deployment, HARDWARE, Include, ListDeployments,
    UpdateDeployment, Updated,
};
pub use ids::{DeploymentId, InstanceId, InvalidId, MAX_ID_BYTES, RequestId, WorkflowId, is_id};
pub use inference::{
    Cancellation, ExtraData, InferenceRequest, RequestResult, RequestState, RequestStatus,
    Submission, Webhook,
};
pub use instance::{InvalidPath, ProxyCall, ProxyPath, ProxyReply};
pub use json::RawJson;
pub use output::{Failure, OutputFile};
pub use payload::Payload;
pub use workflow::{Input, Node, Overrides, Workflow, WorkflowError};
