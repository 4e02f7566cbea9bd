//! `Webhooks`: tells receivers what became of their requests, by POST, until they acknowledge it.
//!
//! What one request has to tell goes out in order: each state after the one before was acknowledged or given
//! up. Requests do not wait for each other, but for one of a bounded number of connections.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
};

use runcomfy_core::RequestId;
use serde_json::Value;
use tokio::{runtime::Handle, sync::Semaphore, time::Instant};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use url::Url;

use crate::{outgoing::NoClient, sync::lock};

mod attempt;
mod options;
mod payload;
mod receiver;

use attempt::{Attempt, Clients};
pub(crate) use options::WebhookOptions;
pub(crate) use payload::{WebhookState, payload};

/// What to do when there is no more to do for a delivery.
pub(crate) type OnSettled = Box<dyn FnOnce() + Send + Sync>;

/// One state of one request, to be told.
pub(crate) struct Delivery {
    pub(crate) request_id: RequestId,
    /// May hold the receiver's secrets: never shown.
    pub(crate) url: Url,
    /// Sent as it is.
    pub(crate) payload: Value,
    /// Called when it was acknowledged, given up or refused.
    pub(crate) settled: Option<OnSettled>,
}

/// What was done so far. Once nothing waits, `attempts` is the sum of `delivered`, `retried`, `given_up` and
/// `duplicates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Calls of receivers that began.
    pub(crate) attempts: u64,
    /// Deliveries that were acknowledged.
    pub(crate) delivered: u64,
    /// Calls that were a further attempt after one that failed.
    pub(crate) retried: u64,
    /// Deliveries that were never acknowledged.
    pub(crate) given_up: u64,
    /// Calls that told again what was acknowledged before, as [`WebhookOptions::copies`] wants it.
    pub(crate) duplicates: u64,
    /// Deliveries to receivers that may not be called.
    pub(crate) refused: u64,
    /// Deliveries of which none of this is true yet.
    pub(crate) waiting: u64,
}

/// A handle on all deliveries. They end with the last handle, or with [`stop`](Self::stop).
#[derive(Clone)]
pub(crate) struct Webhooks {
    shared: Arc<WebhooksInner>,
    _stops_when_dropped: Arc<DropGuard>,
}

struct WebhooksInner {
    options: WebhookOptions,
    clients: Clients,
    permits: Semaphore,
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
    state: Mutex<Deliveries>,
}

#[derive(Default)]
struct Deliveries {
    /// By request, what comes after that which its task is at. No entry, no task.
    waiting: HashMap<RequestId, VecDeque<Delivery>>,
    counts: Counts,
}

impl Webhooks {
    /// Ready to deliver. To be called within a runtime, which then runs the deliveries.
    ///
    /// # Errors
    /// Where the platform's certificates can't be read.
    pub(crate) fn new(options: WebhookOptions) -> Result<Self, NoClient> {
        let stop = CancellationToken::new();
        let shared = WebhooksInner {
            clients: Clients::new(options.acknowledged_within)?,
            permits: Semaphore::new(options.at_once.max(1)),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
            state: Mutex::default(),
            options,
        };
        Ok(Self { shared: Arc::new(shared), _stops_when_dropped: Arc::new(stop.drop_guard()) })
    }

    /// Delivers this after all that was handed in for the same request. Returns at once; after
    /// [`stop`](Self::stop) nothing is delivered any more.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        let mut deliveries = self.shared.deliveries();
        deliveries.counts.waiting += 1;
        match deliveries.waiting.entry(delivery.request_id.clone()) {
            Entry::Occupied(mut entry) => entry.get_mut().push_back(delivery),
            Entry::Vacant(entry) => {
                entry.insert(VecDeque::new());
                let shared = self.shared.clone();
                self.shared.tasks.spawn_on(
                    async move {
                        let stop = shared.stop.clone();
                        stop.run_until_cancelled(shared.deliver_all(delivery)).await;
                    },
                    &self.shared.runtime,
                );
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.deliveries().counts
    }

    /// Ends all deliveries, calls under way included. What waits stays counted as waiting.
    pub(crate) async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl WebhooksInner {
    /// Delivers this, and what comes in for the same request meanwhile.
    async fn deliver_all(&self, first: Delivery) {
        let mut next = Some(first);
        while let Some(mut delivery) = next {
            self.deliver(&delivery).await;
            if let Some(settled) = delivery.settled.take() {
                settled();
            }
            next = self.next(&delivery.request_id);
        }
    }

    /// What the request has to tell next. Where there is nothing, its entry goes, and its task must end.
    fn next(&self, request_id: &RequestId) -> Option<Delivery> {
        let mut deliveries = self.deliveries();
        let next = deliveries.waiting.get_mut(request_id).and_then(VecDeque::pop_front);
        if next.is_none() {
            deliveries.waiting.remove(request_id);
        }
        next
    }

    async fn deliver(&self, delivery: &Delivery) {
        let attempt = Attempt::new(&delivery.url, &delivery.payload);
        let began = Instant::now();
        let mut failures = 0;
        loop {
            // Held for the call only: whoever waits to try again holds no connection.
            let permit = self.permits.acquire().await;
            if !receiver::may_be_called(&delivery.url, &self.options).await {
                return self.settled(|counts| match failures {
                    0 => counts.refused += 1,
                    // Its name stands for another address than before.
                    _ => counts.given_up += 1,
                });
            }
            self.count(|counts| {
                counts.attempts += 1;
                counts.retried += u64::from(failures > 0);
            });
            let acknowledged = attempt.make(&self.clients, self.options.acknowledged_within).await;
            drop(permit);
            if acknowledged {
                break;
            }
            failures += 1;
            match self.options.delay_after(failures, began.elapsed()) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return self.settled(|counts| counts.given_up += 1),
            }
        }
        self.settled(|counts| counts.delivered += 1);
        for _ in 1..self.options.copies {
            let _permit = self.permits.acquire().await;
            self.count(|counts| {
                counts.attempts += 1;
                counts.duplicates += 1;
            });
            attempt.make(&self.clients, self.options.acknowledged_within).await;
        }
    }

    fn settled(&self, how: impl FnOnce(&mut Counts)) {
        self.count(|counts| {
            counts.waiting -= 1;
            how(counts);
        });
    }

    fn count(&self, what: impl FnOnce(&mut Counts)) {
        what(&mut self.deliveries().counts);
    }

    fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests;
