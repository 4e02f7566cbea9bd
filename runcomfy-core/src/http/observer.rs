//! Telling somebody what is sent.

use std::time::Duration;

use crate::error::{Error, Operation};

/// Told of each try of each call, for metrics; see [`HttpApiBuilder::observer`](super::HttpApiBuilder::observer).
pub trait Observer: Send + Sync {
    /// A try has ended. The call waits meanwhile: be quick. A try whose caller went away first is not told
    /// of.
    fn tried(&self, tried: &Tried<'_>);
}

/// A try that has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tried<'a> {
    /// What was asked for.
    pub operation: Operation,
    /// From before connecting to the last byte, or to the failure.
    pub took: Duration,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// Why it failed, if it did.
    pub error: Option<&'a Error>,
    /// Whether the same call is sent again without anything being looked up before.
    pub again: bool,
}
