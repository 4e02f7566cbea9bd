#![doc = include_str!("../README.md")]

mod address;
mod api;
mod deployment;
mod error;
#[cfg(feature = "http")]
mod http;
mod id;
mod instance;
mod json;
mod request;
mod retry;
mod sync;
mod text;
mod token;
mod wait;
mod workflow;

pub use address::is_public;
#[cfg(feature = "mock")]
pub use api::MockRunComfyApi;
pub use api::RunComfyApi;
pub use deployment::{
    CreateDeployment, DEFAULT_HARDWARE, Deleted, Deployment, HARDWARE, Include, ListDeployments,
    Payload, UpdateDeployment, Updated,
};
pub use error::{CallKind, Error, ErrorKind, Operation, Outcome, Retry, UnknownWord};
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub use http::fuzz;
#[cfg(feature = "http")]
pub use http::{
    ConfigError, DEFAULT_BASE_URL, DownloadError, Downloaded, HttpApi, HttpApiBuilder, Limits,
    Observer, OutboundProxy, QueueApi, Timeouts, Tried,
};
pub use id::{DeploymentId, InstanceId, InvalidId, MAX_ID_BYTES, RequestId, WorkflowId, is_id};
pub use instance::{InvalidPath, ProxyCall, ProxyPath, ProxyReply};
pub use json::{NonFinite, RawJson};
pub use request::{
    Cancellation, ExtraData, Failure, InferenceRequest, MediaKind, OutputFile, RequestResult,
    RequestState, RequestStatus, Submission, Webhook,
};
pub use retry::{RetryPolicy, RetryQuota};
pub use text::is_invisible;
pub use token::{InvalidToken, Token};
pub use wait::{Finished, SharedWaits, TimedOut, Wait, WaitEnd, WaitEvent, WaitPolicy};
pub use workflow::{Input, Node, Overrides, Workflow, WorkflowError};
