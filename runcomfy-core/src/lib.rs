#![doc = include_str!("../README.md")]

mod address;
mod api;
mod error;
#[cfg(feature = "http")]
mod http;
mod retry;
mod sync;
mod text;
mod token;
mod types;
mod wait;

pub use address::is_public;
#[cfg(feature = "mock")]
pub use api::MockRunComfyApi;
pub use api::RunComfyApi;
pub use error::{CallKind, Error, ErrorKind, Operation, Outcome, Retry, UnknownWord};
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub use http::fuzz;
#[cfg(feature = "http")]
pub use http::{
    ConfigError, DEFAULT_BASE_URL, DownloadError, Downloaded, HttpApi, HttpApiBuilder, Limits,
    Observer, OutboundProxy, QueueApi, Timeouts, Tried,
};
pub use retry::{RetryPolicy, RetryQuota};
pub use text::is_invisible;
pub use token::{InvalidToken, Token};
pub use types::{
    Cancellation, CreateDeployment, DEFAULT_HARDWARE, Deleted, Deployment, DeploymentId, ExtraData,
    Failure, HARDWARE, Include, InferenceRequest, Input, InstanceId, InvalidId, InvalidPath,
    ListDeployments, MAX_ID_BYTES, MediaKind, Node, NonFinite, OutputFile, Overrides, Payload,
    ProxyCall, ProxyPath, ProxyReply, RawJson, RequestId, RequestResult, RequestState,
    RequestStatus, Submission, UpdateDeployment, Updated, Webhook, Workflow, WorkflowError,
    WorkflowId, is_id,
};
pub use wait::{Finished, SharedWaits, TimedOut, Wait, WaitEnd, WaitEvent, WaitPolicy};
