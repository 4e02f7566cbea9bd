//! What can be set on an `HttpApi`: deadlines, sizes, and where it calls.

use std::{sync::Arc, time::Duration};

use super::{observer::Observer, proxy};
use crate::retry::RetryPolicy;

/// How long each part of a call may take.
///
/// Each call makes one deadline when it starts; retries and the waits before them happen within it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Name lookup, TCP and TLS together; 5 s. A failure here is certain not to have sent anything.
    pub connect: Duration,
    /// One attempt of a read, from connecting to the last byte; 20 s.
    pub read_attempt: Duration,
    /// One attempt of a submit, create, update, delete or cancel; 60 s, as the service may wake up first.
    pub write_attempt: Duration,
    /// A call through the instance proxy, retries included; 120 s.
    pub proxy: Duration,
    /// A read with all its retries; 45 s.
    pub read_total: Duration,
    /// A submit, create, update, delete or cancel with all its retries; 75 s.
    pub write_total: Duration,
    /// The longest silence while an answer to a read, or a file, is awaited or under way; 15 s.
    pub read_stall: Duration,
    /// A [`download`](super::HttpApi::download) in all; 300 s.
    pub download: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read_attempt: Duration::from_secs(20),
            write_attempt: Duration::from_secs(60),
            proxy: Duration::from_secs(120),
            read_total: Duration::from_secs(45),
            write_total: Duration::from_secs(75),
            read_stall: Duration::from_secs(15),
            download: Duration::from_secs(300),
        }
    }
}

/// How much of a response is read into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest answer in bytes, counted after decompression, where it may hold workflows or outputs;
    /// 32 MiB. A larger one is cut off and is `upstream_protocol`.
    pub max_response_bytes: usize,
    /// The same for answers that hold a few fields (submit, status, cancel, delete); 1 MiB.
    pub max_small_response_bytes: usize,
    /// How much of an error's body is read, in bytes; 256 KiB. The rest is left unread.
    pub max_error_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_response_bytes: 32 << 20,
            max_small_response_bytes: 1 << 20,
            max_error_bytes: 256 << 10,
        }
    }
}

/// Which version of the service's queue to use: submit, status, result and cancel.
///
/// Deployments and the instance proxy have one version only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueApi {
    /// `/prod/v1`: what RunComfy's own tools use.
    #[default]
    V1,
    /// `/prod/v2`: what its newest documentation names.
    V2,
}

impl QueueApi {
    /// The version as it stands in a path: `v1` or `v2`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// The settings that calls look at.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) queue_api: QueueApi,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) retry: RetryPolicy,
    pub(super) proxy: proxy::ProxySetting,
    pub(super) observer: Option<Arc<dyn Observer>>,
}
