//! Waits that share one poller per run.

mod poller;
mod registry;
mod run;
mod run_durations;
mod schedule;
mod waiter;

use std::{
    fmt,
    hash::Hash,
    sync::{Arc, Weak, atomic::Ordering},
};

use futures_core::Stream;
use tokio::time::Instant;

use self::{
    poller::Poller,
    registry::Registry,
    run::{Demand, Run},
    waiter::Waiter,
};
use super::{builder::Wait, event::WaitEvent, polls::Polls};
use crate::{api::RunComfyApi, error::Error};

/// Waits that share their polls: one poller serves all waits of a caller for the same run.
///
/// `C` tells callers apart, such as a hash of a token. Waits of different callers share nothing; those of one
/// caller must be made with an `api` of the same account, as any of them may do the asking.
///
/// They also share what they learn: how long a caller's last runs of a deployment took tells when to poll the
/// next. It is kept for the 1,024 deployments last waited for, in memory alone.
///
/// Cheap to clone: clones share everything. Polls are made by a task on the tokio runtime in which the
/// first wait for a run was begun; it ends with the last of them.
///
/// ```
/// use futures_util::StreamExt;
/// use runcomfy_core::{wait::{SharedWaits, WaitEvent}, Wait, WaitEnd};
/// # use runcomfy_core::{DeploymentId, RequestId, RunComfyApi};
/// # async fn example(api: std::sync::Arc<dyn RunComfyApi>, deployment: DeploymentId, request: RequestId) {
/// let waits = SharedWaits::new();
/// let wait = Wait::new(api, deployment, request);
/// let mut events = std::pin::pin!(waits.events("alice", wait));
/// while let Some(event) = events.next().await {
///     if let Ok(WaitEvent::Ended(WaitEnd::Finished(finished))) = event {
///         println!("{:?} after {} polls", finished.status.status, finished.polls);
///     }
/// }
/// # }
/// ```
pub struct SharedWaits<C>(Arc<Registry<C>>);

impl<C: Clone + Eq + Hash + Send + Sync + 'static> SharedWaits<C> {
    /// Where nobody waits yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Registry::new()))
    }

    /// What happens while `caller` waits, as [`Wait::events`] tells it; the time runs from this call. That
    /// the run is over is a change like any other, told before the end, which brings the result.
    ///
    /// How often the run is polled goes by the policy of the first wait for it, by the age of
    /// the youngest wait, and by how long the caller's runs of this deployment took before. Each has its own deadline, kept exactly. A wait of no time asks for itself.
    /// Dropping the stream ends this wait, and leaves the run and the others alone.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn events<A>(
        &self,
        caller: C,
        wait: Wait<A>,
    ) -> impl Stream<Item = Result<WaitEvent, Error>> + Send + use<A, C>
    where
        A: RunComfyApi + 'static,
    {
        let waiter = if wait.policy.timeout.is_some_and(|timeout| timeout.is_zero()) {
            Waiter::single(wait)
        } else {
            self.join(caller, wait)
        };
        futures_util::stream::unfold(waiter, |mut waiter| async move {
            let event = waiter.next().await.transpose()?;
            Some((event, waiter))
        })
    }

    /// Joins the run's poller, or starts one.
    fn join<A: RunComfyApi + 'static>(&self, caller: C, wait: Wait<A>) -> Waiter<A> {
        let now = Instant::now();
        let key = (caller, wait.deployment_id.clone(), wait.request_id.clone());
        let policy = wait.policy.clone();
        let mut runs = self.0.runs();
        // Under the lock: a poller ends under it too, and only where nobody listens.
        if let Some(run) = runs.get(&key).and_then(Weak::upgrade) {
            let waiter = Waiter::shared(&run, &key, &policy);
            run.demand(|demand| {
                demand.since = now;
                demand.fresh = demand.fresh.max(Some(waiter::fresh(&policy, now)));
            });
            return waiter;
        }
        let fresh = (!wait.just_submitted).then_some(now);
        let run = Arc::new(Run::new(Demand { since: now, fresh }));
        let waiter = Waiter::shared(&run, &key, &policy);
        runs.insert(key.clone(), Arc::downgrade(&run));
        drop(runs);
        let run_durations = self.0.durations.of(&key.0, &key.1);
        tokio::spawn(
            Poller::new(Arc::clone(&self.0), key, run, Polls::new(wait), run_durations).run(),
        );
        waiter
    }
}

impl<C> SharedWaits<C> {
    /// How many runs are polled now.
    #[must_use]
    pub fn pollers(&self) -> usize {
        self.0.runs().len()
    }

    /// How often a run has been polled so far, those of waits of no time aside.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.0.polls.load(Ordering::Relaxed)
    }
}

impl<C> Clone for SharedWaits<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Clone + Eq + Hash + Send + Sync + 'static> Default for SharedWaits<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> fmt::Debug for SharedWaits<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWaits")
            .field("pollers", &self.pollers())
            .field("polls", &self.polls())
            .finish()
    }
}
