//! Delivery receipts: whether a response reached its client, as far as the server can tell.

use std::sync::{Arc, Mutex, PoisonError};

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The socket took its last byte.
    Delivered,
    /// The client said that it does not want the response any more.
    Cancelled,
    /// The connection ended before all of it was sent.
    Lost,
}

/// Reports what became of the response to one request. Clones report the same. The server puts one into each
/// request's extensions.
#[derive(Clone, Debug, Default)]
pub struct DeliveryReceipt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// `None` until it is known.
    outcome: Option<DeliveryOutcome>,
    callbacks: Vec<Callback>,
}

struct Callback(Box<dyn FnOnce(DeliveryOutcome) + Send>);

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callback")
    }
}

impl DeliveryReceipt {
    /// Calls `callback` once with the outcome: now if it is known, otherwise as soon as it is.
    pub fn on_settled(&self, callback: impl FnOnce(DeliveryOutcome) + Send + 'static) {
        let outcome = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(outcome) = state.outcome else {
                state.callbacks.push(Callback(Box::new(callback)));
                return;
            };
            outcome
        };
        callback(outcome);
    }

    /// Only the first outcome counts. Callbacks run without the lock, because they may take locks of their own.
    fn settle(&self, outcome: DeliveryOutcome) {
        let callbacks = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.outcome.is_some() {
                return;
            }
            state.outcome = Some(outcome);
            std::mem::take(&mut state.callbacks)
        };
        callbacks.into_iter().for_each(|Callback(callback)| callback(outcome));
    }
}

/// A response on its way to the client. If it is dropped before another outcome is set, the response is lost.
#[derive(Debug, Default)]
pub struct Delivery(DeliveryReceipt);

impl Delivery {
    /// The receipt of this delivery.
    #[must_use]
    pub fn receipt(&self) -> DeliveryReceipt {
        self.0.clone()
    }

    /// The connection ended.
    pub fn lost(&self) {
        self.0.settle(DeliveryOutcome::Lost);
    }

    /// The client does not want the response any more.
    pub fn cancelled(&self) {
        self.0.settle(DeliveryOutcome::Cancelled);
    }

    /// All of the response was sent.
    pub fn done(&self) {
        self.0.settle(DeliveryOutcome::Delivered);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.settle(DeliveryOutcome::Lost);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn each_callback_gets_the_outcome_once_whether_it_is_added_before_or_after() {
        for outcome in
            [DeliveryOutcome::Delivered, DeliveryOutcome::Cancelled, DeliveryOutcome::Lost]
        {
            let (sender, received) = mpsc::channel();
            let delivery = Delivery::default();
            let receipt = delivery.receipt();
            let before = sender.clone();
            receipt.on_settled(move |outcome| before.send(outcome).unwrap());
            assert!(received.try_recv().is_err(), "nothing is known yet");
            match outcome {
                DeliveryOutcome::Delivered => delivery.done(),
                DeliveryOutcome::Cancelled => delivery.cancelled(),
                DeliveryOutcome::Lost => {}
            }
            drop(delivery);
            receipt.on_settled(move |outcome| sender.send(outcome).unwrap());
            assert_eq!(received.iter().collect::<Vec<_>>(), [outcome, outcome]);
        }
    }
}
