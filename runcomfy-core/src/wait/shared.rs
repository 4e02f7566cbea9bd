//! Many who wait for the same run, and one who looks.

mod lengths;
mod pace;
mod poller;
mod seat;

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_core::Stream;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use self::{lengths::Memory, poller::Poller, seat::Seat};
use super::{Wait, WaitEvent, looks::Looks};
use crate::{
    RunComfyApi,
    error::Error,
    types::{DeploymentId, RequestId, RequestResult, RequestStatus},
};

/// Waits that share their looks: however many wait for one run on behalf of one caller, it is asked after as
/// if one did.
///
/// `C` tells callers apart, such as a hash of a token. Waits of different callers share nothing; those of one
/// caller must be made with an `api` of the same account, as any of them may do the asking.
///
/// They also share what they learn: how long a caller's last runs of a deployment took tells when to look at the
/// next. It is kept for the 1,024 deployments last waited for, in memory alone.
///
/// Cheap to clone: clones share everything. Looks are made by a task on the tokio runtime in which the
/// first wait for a run was begun; it ends with the last of them.
///
/// ```
/// use futures_util::StreamExt;
/// use runcomfy_core::{SharedWaits, Wait, WaitEnd, WaitEvent};
/// # use runcomfy_core::{DeploymentId, RequestId, RunComfyApi};
/// # async fn example(api: std::sync::Arc<dyn RunComfyApi>, deployment: DeploymentId, request: RequestId) {
/// let waits = SharedWaits::new();
/// let wait = Wait::new(api, deployment, request);
/// let mut events = std::pin::pin!(waits.events("alice", wait));
/// while let Some(event) = events.next().await {
///     if let Ok(WaitEvent::Ended(WaitEnd::Finished(finished))) = event {
///         println!("{:?} after {} looks", finished.status.status, finished.polls);
///     }
/// }
/// # }
/// ```
pub struct SharedWaits<C>(Arc<Inner<C>>);

/// A run on behalf of a caller.
type Key<C> = (C, DeploymentId, RequestId);

struct Inner<C> {
    runs: Mutex<HashMap<Key<C>, Weak<Run>>>,
    memory: Memory<C>,
    looks: AtomicU64,
}

/// A run that is waited for. Its poller alone keeps it: when that is gone, those who wait find out.
struct Run {
    seen: watch::Sender<Seen>,
    /// Those who wait want more looks than planned.
    asked: Notify,
    wanted: Mutex<Wanted>,
}

/// What those who wait want of the poller.
#[derive(Clone, Copy)]
struct Wanted {
    /// When the youngest wait began: the young look often.
    since: Instant,
    /// A look no older than this; `None` while only those wait who know that there is no news yet.
    fresh: Option<Instant>,
}

/// What the poller has seen.
#[derive(Clone, Default)]
struct Seen {
    looks: u32,
    /// When the last look began, and how long it took.
    last_look: Option<(Instant, Duration)>,
    status: Option<RequestStatus>,
    failures: u32,
    /// Why the last look failed, if it did.
    error: Option<Error>,
    /// Whether the run is over; its result may still be on its way.
    over: bool,
    end: Option<End>,
}

#[derive(Clone)]
enum End {
    Result(Arc<Result<RequestResult, Error>>),
    Refused(Error),
}

impl<C: Clone + Eq + Hash + Send + Sync + 'static> SharedWaits<C> {
    /// Where nobody waits yet.
    #[must_use]
    pub fn new() -> Self {
        let (runs, memory, looks) = (Mutex::default(), Memory::new(), AtomicU64::new(0));
        Self(Arc::new(Inner { runs, memory, looks }))
    }

    /// What happens while `caller` waits, as [`Wait::events`] tells it; the time runs from this call. That
    /// the run is over is a change like any other, told before the end, which brings the result.
    ///
    /// How often the run is looked at goes by the policy of whoever began to wait for it first, by the age of
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
        let seat = if wait.policy.timeout.is_some_and(|timeout| timeout.is_zero()) {
            Seat::alone(wait)
        } else {
            self.sit_down(caller, wait)
        };
        futures_util::stream::unfold(seat, |mut seat| async move {
            let event = seat.next().await.transpose()?;
            Some((event, seat))
        })
    }

    /// Finds the run's poller, or makes one.
    fn sit_down<A: RunComfyApi + 'static>(&self, caller: C, wait: Wait<A>) -> Seat<A> {
        let now = Instant::now();
        let key = (caller, wait.deployment_id.clone(), wait.request_id.clone());
        let policy = wait.policy.clone();
        let mut runs = self.0.runs();
        // Under the lock: a poller ends under it too, and only where nobody listens.
        if let Some(run) = runs.get(&key).and_then(Weak::upgrade) {
            let seat = Seat::shared(&run, &key, &policy);
            run.want(|wanted| {
                wanted.since = now;
                wanted.fresh = wanted.fresh.max(Some(seat::fresh(&policy, now)));
            });
            return seat;
        }
        let fresh = (!wait.just_submitted).then_some(now);
        let run = Arc::new(Run {
            seen: watch::Sender::new(Seen::default()),
            asked: Notify::new(),
            wanted: Mutex::new(Wanted { since: now, fresh }),
        });
        let seat = Seat::shared(&run, &key, &policy);
        runs.insert(key.clone(), Arc::downgrade(&run));
        drop(runs);
        let lengths = self.0.memory.of(&key.0, &key.1);
        tokio::spawn(Poller::new(Arc::clone(&self.0), key, run, Looks::new(wait), lengths).run());
        seat
    }
}

impl<C> SharedWaits<C> {
    /// How many runs are looked at now.
    #[must_use]
    pub fn pollers(&self) -> usize {
        self.0.runs().len()
    }

    /// How often a run has been looked at so far, those of waits of no time aside.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.0.looks.load(Ordering::Relaxed)
    }
}

impl<C> Inner<C> {
    fn runs(&self) -> MutexGuard<'_, HashMap<Key<C>, Weak<Run>>> {
        locked(&self.runs)
    }
}

impl Run {
    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut locked(&self.wanted));
        self.asked.notify_one();
    }

    fn wanted(&self) -> Wanted {
        *locked(&self.wanted)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic is done under it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
