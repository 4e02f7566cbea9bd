//! A wait before it starts: which run to wait for, and how.

use std::fmt;

use super::policy::WaitPolicy;
use crate::{
    api::RunComfyApi,
    id::{DeploymentId, RequestId},
};

/// A wait for one run: what to wait for and how.
///
/// Dropping it, or anything made from it, leaves the run alone.
pub struct Wait<A> {
    pub(super) api: A,
    pub(super) deployment_id: DeploymentId,
    pub(super) request_id: RequestId,
    pub(super) policy: WaitPolicy,
    pub(super) just_submitted: bool,
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

    /// Of a run whose submit was answered just now, so that there can be no news of it yet: the first poll
    /// comes after the usual time between two, or shortly before the deadline, instead of at once.
    #[must_use]
    pub fn just_submitted(mut self) -> Self {
        self.just_submitted = true;
        self
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
