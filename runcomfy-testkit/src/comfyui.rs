//! A client for ComfyUI servers that runs requests as jobs.
//!
//! A [`Server`] runs one job at a time: it uploads the inputs, submits the graph under a new prompt id,
//! watches the WebSocket and the history, and copies the outputs into the request's folder. It knows nothing
//! of accounts, queues and money.
//!
//! It relies on the following behaviour of ComfyUI 0.33.0 and 0.3.75:
//!
//! - A run is over when `executing` has no node. The history has it from then on, but not always before.
//! - A graph with some invalid outputs is accepted, and the other outputs run. The emulator treats that as a
//!   failure, because the requested output may be missing.
//! - A prompt id can be used again; the history then has the run that ended last. So each job has a new
//!   prompt id, and an entry must also match its client and number.
//! - History and queue are in memory. A restarted server has lost both, and its temporary files.
//! - A graph that was run before produces no new files and names those of the first run. So files are copied.
//! - `progress_state` messages grow with the square of the graph's size. They are dropped unread.
//!
//! Images that a graph sends over the WebSocket only (`SaveImageWebsocket`) are not in the history, so they
//! are not among the outputs. Uploaded inputs stay in ComfyUI's input folder below `req-<prompt id>`, because
//! it has no route to delete them.

mod api;
mod collect;
mod error;
mod event;
mod failure;
mod history;
mod identity;
mod job;
mod json;
mod names;
mod options;
mod proxy;
mod run;
mod server;
mod socket;
mod staging;
mod submit;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

pub(crate) use error::{ComfyError, ComfyErrorKind};
pub(crate) use job::{AcceptedJob, Job, Outcome, Progress, StoredFile};
pub(crate) use options::{ComfyOptions, Times};
pub(crate) use proxy::{Method, ProxyAnswer, ProxyBody, ProxyError, takes_forms};
pub(crate) use server::{About, Server};
