//! The server as its clients see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accepted;
mod asides;
mod bad_input;
mod canary;
mod command_line;
mod confirm;
mod edge;
// What stands in for a full disk, and for what is not open, is Linux's.
#[cfg(target_os = "linux")]
mod endings;
mod figures;
mod handshake;
mod harness;
mod http;
mod isolation;
mod modern;
#[cfg(feature = "redis")]
#[path = "../../../runcomfy-testkit/tests/it/needs.rs"]
mod needs;
mod over_http;
mod payloads;
mod placeholders;
mod program;
mod replay;
mod results;
mod rounds;
mod schemas;
mod server_info;
mod stdio;
mod tasks;
mod waiting;
#[path = "../../../runcomfy-core/tests/it/watched.rs"]
mod watched;
