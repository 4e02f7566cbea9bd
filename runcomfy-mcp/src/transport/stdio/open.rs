//! The requests that are not answered yet, and what becomes of their answers.

use std::{
    collections::{HashMap, hash_map},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rmcp::model::RequestId;
use runcomfy_http_edge::{Delivery, DeliveryReceipt};
use tokio::sync::Notify;

use crate::{result::splices::Splice, result::splices::Splices};

/// Requests that may be under way; after that, no line is read until one is answered.
const MOST: usize = 1_200;

#[derive(Default)]
pub(super) struct OpenRequests {
    ids: Mutex<HashMap<RequestId, Pending>>,
    /// Answers on their way out.
    leaving: AtomicUsize,
    answered: Notify,
}

/// What belongs to a request that is not answered yet.
#[derive(Default)]
pub(super) struct Pending {
    /// What is left out of its answer.
    insertions: Splices,
    delivery: Delivery,
}

impl Pending {
    /// What belongs into the answer, and whom to tell of its delivery.
    pub(super) fn split(self) -> (Vec<Splice>, Delivery) {
        (self.insertions.take(), self.delivery)
    }
}

impl OpenRequests {
    /// `None` where there is one of that id already.
    pub(super) fn begin(&self, id: &RequestId) -> Option<(Splices, DeliveryReceipt)> {
        match self.ids.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()) {
            hash_map::Entry::Occupied(_) => None,
            hash_map::Entry::Vacant(place) => {
                let pending = place.insert(Pending::default());
                Some((pending.insertions.clone(), pending.delivery.receipt()))
            }
        }
    }

    /// It is about to be answered.
    pub(super) fn end(&self, id: &RequestId) -> Option<Pending> {
        let ended = self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.answered.notify_waiters();
        ended
    }

    /// Its client does not want an answer any more, and gets none: the id is free again.
    pub(super) fn cancel(&self, id: &RequestId) {
        if let Some(pending) = self.end(id) {
            pending.delivery.cancelled();
        }
    }

    /// From here on until it is dropped, an answer takes up the room of its request.
    pub(super) fn leaving(self: &Arc<Self>) -> Leaving {
        self.leaving.fetch_add(1, Ordering::Relaxed);
        Leaving(Arc::clone(self))
    }

    /// Waits until there is room for one more.
    pub(super) async fn room(&self) {
        self.until(|count| count < MOST).await;
    }

    /// Waits until all are answered, and all answers are out.
    pub(super) async fn all_answered(&self) {
        self.until(|count| count == 0).await;
    }

    async fn until(&self, fits: impl Fn(usize) -> bool) {
        loop {
            // From here on no news is missed.
            let news = self.answered.notified();
            let waiting = self.ids.lock().unwrap_or_else(PoisonError::into_inner).len();
            if fits(waiting + self.leaving.load(Ordering::Relaxed)) {
                return;
            }
            news.await;
        }
    }
}

pub(super) struct Leaving(Arc<OpenRequests>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leaving.fetch_sub(1, Ordering::Relaxed);
        self.0.answered.notify_waiters();
    }
}
