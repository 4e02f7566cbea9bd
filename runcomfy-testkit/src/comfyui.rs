//! Runs requests on ComfyUI servers of one's own.
//!
//! A [`Server`] takes one job at a time, to its end: inputs are put where ComfyUI finds them, the
//! graph is submitted under an id of its own, its WebSocket and its history are watched, and
//! what it made is copied into the request's folder. Accounts, queues and money are none of its
//! business.
//!
//! What it relies on was observed on ComfyUI 0.33.0 and 0.3.75:
//!
//! - A run is over at `executing` without a node. Its history may be missing before, and never is then.
//! - A graph of which some outputs do not validate is taken, and the rest runs. That is a failure
//!   here: a run that made everything but the picture that was wanted is no success.
//! - An id may be used again: the history then has the run that ended last. So each job has an id
//!   that none had before, and what is listed under it must have its client and its number, too.
//! - History and queue are in memory. A server that was restarted knows nothing, and its temporary
//!   files are gone.
//! - A graph that was run before makes nothing new and names the files of the first run, hence the
//!   copies.
//! - Messages of `progress_state` grow with the square of the graph. They are dropped unread.
//!
//! Pictures that a graph sends over the WebSocket only (`SaveImageWebsocket`) are in no history, so
//! they are not among the outputs. Inputs that were uploaded stay in ComfyUI's input folder, below
//! `req-<prompt id>`: it has no route to remove them.

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
