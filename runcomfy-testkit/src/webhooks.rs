//! `Webhooks`: delivers webhooks by POST and retries until they are acknowledged.
//!
//! The states of one request are delivered in order, each after the one before was acknowledged or given up.
//! Requests are independent of each other, but share a bounded number of concurrent calls.

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

/// Called when a delivery is over.
pub(crate) type OnSettled = Box<dyn FnOnce() + Send + Sync>;

/// One state of one request to deliver.
pub(crate) struct Delivery {
    pub(crate) request_id: RequestId,
    /// May contain the receiver's secrets, so it is never shown.
    pub(crate) url: Url,
    /// The body.
    pub(crate) payload: Value,
    /// Called when the delivery was acknowledged, given up or refused.
    pub(crate) settled: Option<OnSettled>,
}

/// Delivery counters. When nothing is waiting, `attempts` is the sum of `delivered`, `retried`, `given_up`
/// and `duplicates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Calls that were started.
    pub(crate) attempts: u64,
    /// Acknowledged deliveries.
    pub(crate) delivered: u64,
    /// Calls after a failed one.
    pub(crate) retried: u64,
    /// Deliveries that were never acknowledged.
    pub(crate) given_up: u64,
    /// Repeated calls after the acknowledgement, see [`WebhookOptions::copies`].
    pub(crate) duplicates: u64,
    /// Deliveries to receivers that must not be called.
    pub(crate) refused: u64,
    /// Deliveries that are not over.
    pub(crate) waiting: u64,
}

/// A handle to all deliveries. They end when the last handle is dropped or with [`stop`](Self::stop).
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
    /// The waiting deliveries by request. A request with an entry has a task.
    waiting: HashMap<RequestId, VecDeque<Delivery>>,
    counts: Counts,
}

impl Webhooks {
    /// Must be called in a runtime, which then runs the deliveries.
    ///
    /// # Errors
    /// If the platform's certificates cannot be read.
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

    /// Queues a delivery behind those of the same request. After [`stop`](Self::stop) nothing is delivered.
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

    /// Aborts all deliveries. Those that wait stay counted as waiting.
    pub(crate) async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl WebhooksInner {
    /// Delivers this and all later ones of the same request.
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

    /// The request's next delivery. Without one, its entry is removed and its task must end.
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
            // Held during the call only, so that a delivery that waits for its retry blocks no other.
            let permit = self.permits.acquire().await;
            if !receiver::may_be_called(&delivery.url, &self.options).await {
                return self.settled(|counts| match failures {
                    0 => counts.refused += 1,
                    // The name now resolves to another address.
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
