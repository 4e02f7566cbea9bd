//! RunComfy's Serverless API as an MCP server: ten tools, each one call of
//! [`RunComfyApi`](runcomfy_core::RunComfyApi), over stdio and Streamable HTTP.
//!
//! The program `runcomfy-mcp` is what most people want. The library is for those who serve the tools
//! inside a program of their own: [`RunComfyMcp`] is an rmcp `ServerHandler`.

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
pub mod cli;
mod config;
mod entropy;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod pipeline;
mod policy;
mod protocol;
mod result;
mod sanitize;
mod schema;
mod server;
mod telemetry;
mod tools;
pub mod transport;
mod validation;
mod view;
mod wait;

pub use config::{Confirm, ConnectionSettings, Limits, ProxyLevel, Rate, Settings, WebhookHosts};
pub use pipeline::{auth::AuthMode, confirmation::InvalidSealingKeys, idempotency as replay};
pub use server::RunComfyMcp;
pub use telemetry::{Exposition, Metrics};
