#![doc = include_str!("../README.md")]

mod address;
mod api;
pub mod deployment;
pub mod error;
#[cfg(feature = "http")]
mod http;
pub mod id;
pub mod instance;
pub mod json;
pub mod request;
pub mod retry;
mod sync;
mod text;
pub mod token;
pub mod wait;
pub mod workflow;

/// The client over HTTPS: its settings, its errors and what it downloads.
#[cfg(feature = "http")]
pub mod client {
    pub use crate::http::{
        Attempt, ConfigError, DEFAULT_BASE_URL, DownloadError, DownloadedFile, HttpApi,
        HttpApiBuilder, Limits, Observer, OutboundProxy, QueueApi, Timeouts,
    };
}

/// Helpers of this workspace's other crates. Not part of the interface.
#[doc(hidden)]
pub mod internals {
    #[cfg(feature = "fuzz")]
    pub use crate::http::fuzz;
    pub use crate::{
        address::is_public,
        id::{MAX_ID_BYTES, is_id},
        text::is_invisible,
    };
}

#[cfg(feature = "mock")]
pub use api::MockRunComfyApi;
pub use api::RunComfyApi;
pub use error::{Error, ErrorKind};
#[cfg(feature = "http")]
pub use http::HttpApi;
pub use id::{DeploymentId, RequestId};
pub use request::InferenceRequest;
pub use token::Token;
pub use wait::{Wait, WaitEnd};
pub use workflow::{Overrides, Workflow};
