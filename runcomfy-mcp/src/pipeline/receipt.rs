//! Whether an answer reached its caller, as far as this end can tell.

use std::sync::{Arc, Mutex, PoisonError};

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Delivered,
    /// Its caller has said that it is not wanted any more.
    Cancelled,
    Lost,
}

/// What becomes of the answer to one request. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Once that is known.
    end: Option<Arrival>,
    waiting: Vec<Waiting>,
}

/// Somebody to tell of it.
struct Waiting(Box<dyn FnOnce(Arrival) + Send>);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Receipt {
    /// Tells `whom` what became of the answer, as soon as that is known; at once, where it is.
    pub(crate) fn then(&self, whom: impl FnOnce(Arrival) + Send + 'static) {
        let end = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(end) = state.end else {
                state.waiting.push(Waiting(Box::new(whom)));
                return;
            };
            end
        };
        whom(end);
    }

    fn end(&self, arrival: Arrival) {
        let waiting = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.end.is_some() {
                return;
            }
            state.end = Some(arrival);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|Waiting(whom)| whom(arrival));
    }
}

/// The answer on its way. Dropped before it is said to be delivered, it is not.
#[derive(Debug, Default)]
pub(crate) struct Delivery(Receipt);

impl Delivery {
    pub(crate) fn receipt(&self) -> Receipt {
        self.0.clone()
    }

    /// Nobody is there to take it any more.
    pub(crate) fn lost(&self) {
        self.0.end(Arrival::Lost);
    }

    /// Its caller does not want it any more.
    pub(crate) fn cancelled(&self) {
        self.0.end(Arrival::Cancelled);
    }

    /// All of it was handed on.
    pub(crate) fn done(&self) {
        self.0.end(Arrival::Delivered);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.end(Arrival::Lost);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn whoever_asks_is_told_once_before_or_after_the_end() {
        for arrival in [Arrival::Delivered, Arrival::Cancelled, Arrival::Lost] {
            let (tell, told) = mpsc::channel();
            let delivery = Delivery::default();
            let receipt = delivery.receipt();
            let early = tell.clone();
            receipt.then(move |end| early.send(end).unwrap());
            assert!(told.try_recv().is_err(), "nothing is known yet");
            match arrival {
                Arrival::Delivered => delivery.done(),
                Arrival::Cancelled => delivery.cancelled(),
                Arrival::Lost => {}
            }
            drop(delivery);
            receipt.then(move |end| tell.send(end).unwrap());
            assert_eq!(told.iter().collect::<Vec<_>>(), [arrival, arrival]);
        }
    }
}
