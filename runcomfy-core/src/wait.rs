//! Waiting until a run is done, over any [`RunComfyApi`].

mod alarm;
mod looks;
mod policy;
mod shared;
mod watch;
mod work;

use std::{fmt, time::Duration};

use futures_core::Stream;

use self::watch::Watch;
use crate::{
    RunComfyApi,
    error::Error,
    types::{DeploymentId, RequestId, RequestResult, RequestStatus},
};

pub use policy::WaitPolicy;
pub use shared::SharedWaits;

/// A wait for one run: what to wait for and how.
///
/// Dropping it, or anything made from it, leaves the run alone.
pub struct Wait<A> {
    api: A,
    deployment_id: DeploymentId,
    request_id: RequestId,
    policy: WaitPolicy,
    just_submitted: bool,
}

impl<A: RunComfyApi> Wait<A> {
    /// A wait with the default policy.
    ///
    /// `api` is anything that is a [`RunComfyApi`]: a reference, or an `Arc` where the wait is to live in a
    /// task of its own.
    #[must_use]
    pub fn new(api: A, deployment_id: DeploymentId, request_id: RequestId) -> Self {
        let policy = WaitPolicy::default();
        Self { api, deployment_id, request_id, policy, just_submitted: false }
    }

    /// With another policy.
    #[must_use]
    pub fn policy(mut self, policy: WaitPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Of a run whose submit was answered just now, so that there can be no news of it yet: the first look
    /// comes after the usual time between two, or shortly before the deadline, instead of at once.
    #[must_use]
    pub fn just_submitted(mut self) -> Self {
        self.just_submitted = true;
        self
    }

    /// Waits until the run is over and gets its result, or until the time is up.
    ///
    /// A run that failed, and a time that ran out, are no errors: see [`WaitEnd`]. A look that fails
    /// does not end the wait either.
    ///
    /// # Errors
    /// `unauthenticated` and `permission_denied` at once, `not_found` once it lasts; each with the ids of
    /// the run, which goes on.
    pub async fn finish(self) -> Result<WaitEnd, Error> {
        let mut watch = Watch::new(self);
        loop {
            if let Some(WaitEvent::Ended(end)) = watch.next().await? {
                return Ok(end);
            }
        }
    }

    /// The same as a stream, whose time runs from this call: every change of state, every look that failed, and the end, which is last.
    ///
    /// The stream ends after [`WaitEvent::Ended`] or the first `Err`, whose kinds are those of
    /// [`finish`](Self::finish).
    pub fn events(self) -> impl Stream<Item = Result<WaitEvent, Error>> + Send {
        futures_util::stream::unfold(Watch::new(self), |mut watch| async move {
            let event = watch.next().await.transpose()?;
            Some((event, watch))
        })
    }
}

impl<A> fmt::Debug for Wait<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("deployment_id", &self.deployment_id)
            .field("request_id", &self.request_id)
            .field("policy", &self.policy)
            .field("just_submitted", &self.just_submitted)
            .finish_non_exhaustive()
    }
}

/// What happens while waiting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WaitEvent {
    /// The state or the place in the queue changed. The first look counts as a change.
    Changed(RequestStatus),
    /// A look failed; the wait goes on.
    LookFailed(Error),
    /// The wait is over.
    Ended(WaitEnd),
}

/// How a wait ended.
#[derive(Clone, Debug)]
pub enum WaitEnd {
    /// The run is over.
    Finished(Box<Finished>),
    /// The time was up first. That does nothing to the run.
    TimedOut(Box<TimedOut>),
}

/// A run that is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished {
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
pub struct TimedOut {
    /// The last status seen, if any.
    pub last_status: Option<RequestStatus>,
    /// Why the last look failed, if it did.
    pub last_error: Option<Error>,
    /// How often the status was asked for.
    pub polls: u32,
    /// How long the wait took.
    pub waited: Duration,
}
