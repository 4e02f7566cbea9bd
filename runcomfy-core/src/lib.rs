#![doc = include_str!("../README.md")]

mod api;
mod error;
mod retry;
mod token;
mod types;
mod wait;

#[cfg(feature = "mock")]
pub use api::MockRunComfyApi;
pub use api::RunComfyApi;
pub use error::{CallKind, Error, ErrorKind, Operation, Outcome, Retry, is_invisible};
pub use retry::RetryPolicy;
pub use token::{InvalidToken, Token};
pub use types::{
    Cancellation, CreateDeployment, DEFAULT_HARDWARE, Deleted, Deployment, DeploymentId, ExtraData,
    Failure, HARDWARE, Include, InferenceRequest, Input, InstanceId, InvalidId, InvalidPath,
    ListDeployments, MAX_ID_BYTES, Node, OutputFile, Overrides, Payload, ProxyCall, ProxyPath,
    ProxyReply, RawJson, RequestId, RequestResult, RequestState, RequestStatus, Submission,
    UpdateDeployment, Updated, Webhook, Workflow, WorkflowError, WorkflowId, is_id,
};
pub use wait::{Finished, TimedOut, Wait, WaitEnd, WaitEvent, WaitPolicy};
