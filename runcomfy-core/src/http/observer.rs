//! Observing attempts.

use std::time::Duration;

use crate::error::{Error, Operation};

/// Told of each attempt of each call, for metrics; see [`HttpApiBuilder::observer`](super::HttpApiBuilder::observer).
pub trait Observer: Send + Sync {
    /// An attempt has ended. The call waits meanwhile: be quick. An attempt whose caller went away first is not told
    /// of.
    fn on_attempt(&self, attempt: &Attempt<'_>);
}

/// An attempt that has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// What was asked for.
    pub operation: Operation,
    /// From before connecting to the last byte, or to the failure.
    pub took: Duration,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Why it failed, if it did.
    pub error: Option<&'a Error>,
    /// Whether the same call is sent again without anything being looked up before.
    pub again: bool,
}
