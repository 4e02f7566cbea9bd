//! RunComfy's Serverless API as an MCP server: ten tools, each one call of
//! [`RunComfyApi`](runcomfy_core::RunComfyApi), over stdio and Streamable HTTP.
//!
//! The program `runcomfy-mcp` is what most people want. The library is for those who serve the tools
//! inside a program of their own: [`RunComfyMcp`] is an rmcp `ServerHandler`.

mod arguments;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod call;
mod caller;
pub mod cli;
mod completions;
mod consent;
mod content;
mod deployment;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod handshake;
mod message;
mod metrics;
mod policy;
mod prompts;
mod protocol;
mod published;
mod random;
pub mod replay;
mod reply;
mod resources;
mod schema;
mod server;
mod settings;
mod tasks;
mod tools;
pub mod transport;
mod uri;
mod waiting;
mod writes;

pub use caller::Callers;
pub use consent::{Confirm, InvalidSealingKeys};
pub use metrics::{Exposition, Metrics};
pub use policy::{ProxyLevel, WebhookHosts};
pub use server::RunComfyMcp;
pub use settings::{ConnectionSettings, Limits, Rate, Settings};
