//! When a run began to work, as far as looks tell.

use std::time::Duration;

use tokio::time::Instant;

use crate::types::RequestState;

/// What is known of when a run worked.
#[derive(Debug)]
pub(super) struct Work {
    submitted: Option<Instant>,
    /// When it was last seen in queue.
    queued: Option<Instant>,
    began: Option<Instant>,
}

impl Work {
    /// Of a run that was submitted then, where that is known.
    pub(super) fn new(submitted: Option<Instant>) -> Self {
        Self { submitted, queued: None, began: None }
    }

    /// Takes in that it was seen in this state, which is not the end.
    pub(super) fn seen(&mut self, state: RequestState, at: Instant) {
        match state {
            RequestState::InQueue => (self.queued, self.began) = (Some(at), None),
            RequestState::InProgress if self.began.is_none() => {
                // One that was never seen in queue can hardly have been there for long.
                self.began = self.queued.map(|queued| between(queued, at)).or(self.submitted);
            }
            _ => {}
        }
    }

    /// How long it has worked by `now`; `None` where nobody saw it begin.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.began.map(|began| now.saturating_duration_since(began))
    }
}

/// The moment halfway.
fn between(earlier: Instant, later: Instant) -> Instant {
    earlier + later.saturating_duration_since(earlier) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn an_age_counts_from_the_submit_or_from_the_queue() {
        let start = Instant::now();
        let mut work = Work::new(Some(start));
        work.seen(RequestState::InProgress, start + secs(3.0));
        assert_eq!(work.age(start + secs(5.0)), Some(secs(5.0)));

        let mut work = Work::new(Some(start));
        work.seen(RequestState::InQueue, start + secs(2.0));
        work.seen(RequestState::InProgress, start + secs(4.0));
        assert_eq!(work.age(start + secs(5.0)), Some(secs(2.0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_nobody_saw_begin_has_no_age() {
        let start = Instant::now();
        let mut work = Work::new(None);
        work.seen(RequestState::InProgress, start);
        assert_eq!(work.age(start + secs(5.0)), None);
    }
}
