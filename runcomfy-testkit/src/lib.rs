#![doc = include_str!("../README.md")]
//!
//! [`FakeRunComfy`] simulates the service behind [`RunComfyApi`](runcomfy_core::RunComfyApi). [`Emulator`]
//! serves that simulation over HTTP; the program `runcomfy-emulator` runs it as a stand-alone server.
//! [`conformance`] holds the rules that the fake, the HTTP client and the service must all satisfy.
//!
//! # What is simulated
//!
//! - Deployments: list, get (with workflow and documentation on request), create, update, pause and delete,
//!   with the documented ranges checked.
//! - The queue: first come, first served, with falling positions. Instances start on demand after a cold
//!   start, take one run each, and stop after their keep-warm time. `min_instances`, `max_instances` and
//!   `queue_size` are observed. A queued run is cancelled at once; a running one after a delay, so that it
//!   may still complete.
//! - Runs: overrides are checked against the graph and applied to it. Each output node has outputs in the
//!   shapes that were recorded from ComfyUI: texts are resolved through links, images are drawn from prompt,
//!   seed and size, video and audio are small sample files. Failures name the node and the cause. To make a
//!   run fail, load an image named `corrupt.png`.
//! - The instance proxy: routes that answer POST, routes that do not, and instances that do not exist.
//! - Over HTTP: both versions of the queue's paths, bearer tokens as accounts, the documented bodies, error
//!   codes and statuses, errors with status 200, output files that need no token and are kept for seven days,
//!   `object_info`, the balance.
//! - Money: each instance is billed per second from the start of its cold start until it stops, at the price
//!   of its SKU. When the balance is used up, the deployments are disabled (error code 10001) until money is
//!   added and they are enabled again. Runs in progress finish and are billed.
//! - Webhooks (feature `webhooks`): delivered as documented, in order for each request, and retried until
//!   they are acknowledged.
//! - Faults, on demand: error responses, malformed and endless responses, connections that are reset, closed
//!   or stalled at any stage, and failed runs in every shape. [`FaultKind`] lists them, [`FaultRule`] selects
//!   the calls, [`Scenario`] is a set of rules, and [`Counters`] record the outcome of every call.
//!
//! # What is not simulated
//!
//! - Faults below HTTP/1.1: TLS failures, HTTP/2, packet loss.
//! - Saved workflows: every workflow id is accepted. The ids of the samples run the sample graphs, every
//!   other id runs the stock text-to-image graph. A new `workflow_version` runs the same graph.
//! - ComfyUI itself, unless a server is configured (feature `comfyui`). No model runs. Types, ranges and
//!   links of inputs are not validated. Nodes of custom packs produce images if they produce anything. Input
//!   files are not downloaded. A second run of the same graph is not cached. `/interrupt` and `/prompt`
//!   through the proxy have no effect. A link to a missing node is accepted and ignored; ComfyUI rejects such
//!   a graph.
//! - Other response shapes: results have `outputs` by node, never the `output` of LoRA deployments; lists of
//!   deployments are bare arrays, never wrapped in an object.
//! - Expiry: results are kept until their deployment is deleted or the fake is dropped. Deleting a deployment
//!   deletes its requests and files at once.
//! - Changes of hardware: running instances keep running, at the new price.
//!
//! # Features
//!
//! Without features, the crate contains the fake and the in-memory emulator. `state` keeps the emulator's
//! accounts in a file, `webhooks` delivers webhooks, `comfyui` runs requests on your own ComfyUI servers, and
//! `program` (the default) builds `runcomfy-emulator` with all of them.

// Code that only the program uses is compiled with every set of features.
#![cfg_attr(not(feature = "program"), expect(dead_code, reason = "the program uses it"))]

mod account;
mod clock;
#[cfg(feature = "comfyui")]
mod comfyui;
pub mod conformance;
mod emulator;
mod fake;
mod graph;
mod history;
mod ids;
mod lifecycle;
mod media;
#[cfg(any(feature = "comfyui", feature = "webhooks"))]
mod outgoing;
mod outputs;
mod picture;
mod samples;
mod script;
#[cfg(feature = "state")]
mod store;
mod sync;
mod text;
#[cfg(feature = "webhooks")]
mod webhooks;

pub use account::StartedRun;
pub use emulator::{
    CallCounters, ConnectionCounters, Counters, Effect, Emulator, EmulatorBuilder, Fault,
    FaultKind, FaultRule, InvalidFault, Scenario, SubmitCounters, UnknownScenario,
};
pub use fake::{Call, FakeBuilder, FakeRunComfy};
#[cfg(feature = "webhooks")]
pub use outgoing::unusable_proxy;
pub use script::Script;
