//! The trait over HTTPS.

mod api;
mod base_url;
mod builder;
mod clients;
mod config;
mod decode;
mod download;
mod encode;
mod endpoints;
mod error_response;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod locks;
mod observer;
mod proxy;
mod reconcile;
mod response;
mod response_buffer;
mod retry_after;
mod retry_budget;
mod send;
mod state;
mod transport;
mod update;

pub use self::{
    api::HttpApi,
    base_url::{ConfigError, DEFAULT_BASE_URL},
    builder::HttpApiBuilder,
    config::{Limits, QueueApi, Timeouts},
    download::{DownloadError, DownloadedFile},
    observer::{Attempt, Observer},
    proxy::OutboundProxy,
};
