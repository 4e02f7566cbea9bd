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

pub use config::{ConnectionSettings, Limits, Rate, Settings};
pub use pipeline::auth::Callers;
pub use pipeline::confirmation::{Confirm, InvalidSealingKeys};
pub use pipeline::idempotency as replay;
pub use policy::{ProxyLevel, WebhookHosts};
pub use server::RunComfyMcp;
pub use telemetry::{Exposition, Metrics};
