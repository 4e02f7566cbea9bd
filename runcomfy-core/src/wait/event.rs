//! What a wait reports.

use std::time::Duration;

use crate::{
    error::Error,
    request::{RequestResult, RequestStatus},
};

/// What happens while waiting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WaitEvent {
    /// The state or the place in the queue changed. The first poll counts as a change.
    Changed(RequestStatus),
    /// A poll failed; the wait goes on.
    PollFailed(Error),
    /// The wait is over.
    Ended(WaitEnd),
}

/// How a wait ended.
#[derive(Clone, Debug)]
pub enum WaitEnd {
    /// The run is over.
    Finished(Box<FinishedRun>),
    /// The time was up first. That does nothing to the run.
    TimedOut(Box<TimedOutWait>),
}

/// A run that is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FinishedRun {
    /// The status that said so.
    pub status: RequestStatus,
    /// What came of it; an error where it could not be fetched.
    pub result: Result<RequestResult, Error>,
    /// How often the status was asked for.
    pub polls: u32,
    /// How long the wait took.
    pub waited: Duration,
}

/// A wait whose time was up. As far as is known the run goes on: see the last status and the last error.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimedOutWait {
    /// The last status seen, if any.
    pub last_status: Option<RequestStatus>,
    /// Why the last poll failed, if it did.
    pub last_error: Option<Error>,
    /// How often the status was asked for.
    pub polls: u32,
    /// How long the wait took.
    pub waited: Duration,
}
