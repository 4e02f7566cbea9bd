#![doc = include_str!("../README.md")]
//!
//! [`FakeRunComfy`] is a model of the service behind [`RunComfyApi`](runcomfy_core::RunComfyApi).
//! [`Emulator`] serves the same model over HTTP, and the program `runcomfy-emulator` is that as a server of
//! its own. [`conformance`] holds the rules that the fake, the HTTP client and the service all keep.
//!
//! # What is imitated
//!
//! - Deployments: listed, described with workflow and documentation on request, created, changed, paused,
//!   deleted, with the documented ranges checked.
//! - The queue: first come, first served, with falling positions; instances that wake with a cold start when
//!   they are wanted, take one run each, and stop after their keep-warm time; `min_instances`,
//!   `max_instances` and `queue_size`; cancellation at once in the queue and with a moment's delay while
//!   running, so that a run may still complete.
//! - Runs: overrides checked against the graph and laid over it, outputs for each output node in the shapes
//!   that a real ComfyUI recorded, text followed through links, pictures drawn from prompt, seed and size,
//!   small real files for video and audio, and failures with node and cause. To have one at will, load an
//!   image named `corrupt.png`.
//! - The instance proxy: the routes that answer a POST, those that do not, and instances that are gone.
//! - Over HTTP: both versions of the queue's paths, bearer tokens as accounts, the documented bodies, numbers
//!   and statuses, errors that come with status 200, files that need no token and are there for seven days,
//!   `object_info`, the balance.
//! - Money: each instance is billed per second from its wake signal until it stops, at the price of its SKU.
//!   A balance that runs out disables the deployments (number 10001), until there is more and they are
//!   enabled again. What is under way then is finished, and paid for.
//! - Webhooks (feature `webhooks`): delivered as documented, in order for each request, and tried again until
//!   they are acknowledged.
//! - Faults, on demand: refusals, answers that make no sense or never end, connections that are reset, cut or
//!   stalled at any stage, runs that fail in every shape. See [`FaultKind`] for all, [`FaultRule`] for which
//!   calls meet one, [`Scenario`] for sets of them, and [`Counters`] for what became of every call.
//!
//! # What is not
//!
//! - Faults below HTTP/1.1: no TLS that fails, no HTTP/2, no packets that are lost.
//! - Saved workflows: every workflow id is taken. Those of the samples run theirs, any other the stock
//!   text-to-image graph. A new `workflow_version` runs the same graph.
//! - ComfyUI, unless there is one behind it (feature `comfyui`): no model runs. Types, ranges and links of inputs are not validated, nodes of custom packs make
//!   pictures if they make anything, files given as inputs are not fetched, a second run of the same graph is
//!   not cached, a call of `/interrupt` or `/prompt` through the proxy starts and stops nothing. A link to a
//!   node that is not there is taken, and counts as nothing at that input; ComfyUI refuses the graph.
//! - Other shapes of answers: results have `outputs` by node, never the `output` of LoRA deployments, and
//!   lists of deployments are bare arrays, never wrapped in an object.
//! - The end of things: results are kept until their deployment is deleted or the fake is dropped. With a
//!   deployment, its requests and files go at once.
//! - A change of hardware: instances that are up stay up, at the new price.
//!
//! # Features
//!
//! Without any, the fake and the emulator in memory. `state` keeps an emulator's accounts in a file,
//! `webhooks` delivers, `comfyui` runs requests on ComfyUI servers of one's own, and `program` (the default)
//! is `runcomfy-emulator` with all of them.

// What the program needs is written once, whether or not all of it is compiled in.
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
