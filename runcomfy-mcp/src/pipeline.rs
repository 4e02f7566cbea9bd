//! The way of a call: authentication, limits, confirmation, at most once, the tool, the log.

pub(crate) mod auth;
pub(crate) mod confirmation;
pub(crate) mod context;
pub(crate) mod deployment_cache;
pub mod idempotency;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod progress;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod scope;
pub(crate) mod tool;
pub(crate) mod writes;
