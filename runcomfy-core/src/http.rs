//! The trait over HTTPS.

mod api;
mod base_url;
mod body;
mod builder;
mod config;
mod download;
mod endpoints;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod gather;
mod locks;
mod observer;
mod pools;
mod proxy;
mod quotas;
mod refusal;
mod response;
mod retry_after;
mod send;
mod settle;
mod state;
mod transport;
mod update;
mod wire;

pub use self::{
    api::HttpApi,
    base_url::{ConfigError, DEFAULT_BASE_URL},
    builder::HttpApiBuilder,
    config::{Limits, QueueApi, Timeouts},
    download::{DownloadError, Downloaded},
    observer::{Observer, Tried},
    proxy::OutboundProxy,
};
