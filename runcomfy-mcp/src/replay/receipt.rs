//! Whether an answer reached its caller, as far as this end can tell.

use std::sync::{Arc, Mutex, PoisonError};

/// What becomes of the answer to one request. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether it was delivered, once that is known.
    end: Option<bool>,
    waiting: Vec<Waiting>,
}

/// Somebody to tell of it.
struct Waiting(Box<dyn FnOnce(bool) + Send>);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Receipt {
    /// Tells `whom` whether the answer was delivered, as soon as that is known; at once, where it is.
    pub(crate) fn then(&self, whom: impl FnOnce(bool) + Send + 'static) {
        let end = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.end.is_none() {
                state.waiting.push(Waiting(Box::new(whom)));
                return;
            }
            state.end
        };
        whom(end == Some(true));
    }

    fn end(&self, delivered: bool) {
        let waiting = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.end.is_some() {
                return;
            }
            state.end = Some(delivered);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|Waiting(whom)| whom(delivered));
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
        self.0.end(false);
    }

    /// All of it was handed on.
    pub(crate) fn done(&self) {
        self.0.end(true);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn whoever_asks_is_told_once_before_or_after_the_end() {
        for delivered in [true, false] {
            let (tell, told) = mpsc::channel();
            let delivery = Delivery::default();
            let receipt = delivery.receipt();
            let early = tell.clone();
            receipt.then(move |end| early.send(end).unwrap());
            assert!(told.try_recv().is_err(), "nothing is known yet");
            if delivered {
                delivery.done();
            }
            drop(delivery);
            receipt.then(move |end| tell.send(end).unwrap());
            assert_eq!(told.iter().collect::<Vec<_>>(), [delivered, delivered]);
        }
    }
}
