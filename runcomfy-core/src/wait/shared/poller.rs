//! Who looks, for all who wait.

use std::{
    hash::Hash,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{End, Inner, Key, Run, Seen};
use crate::{
    RunComfyApi,
    types::RequestState,
    wait::{
        alarm,
        looks::{Look, Looks, RESULT_TRIES},
    },
};

/// Looks at one run for as long as somebody waits for it.
pub(super) struct Poller<A, C: Eq + Hash> {
    inner: Arc<Inner<C>>,
    key: Key<C>,
    run: Arc<Run>,
    looks: Looks<A>,
    /// When the last look began and what state it saw, where it saw one.
    last: Option<(Instant, Option<RequestState>)>,
    next_look: Instant,
    /// Until when the service asked to be left alone.
    not_before: Instant,
}

impl<A: RunComfyApi, C: Eq + Hash> Poller<A, C> {
    pub(super) fn new(inner: Arc<Inner<C>>, key: Key<C>, run: Arc<Run>, looks: Looks<A>) -> Self {
        let now = Instant::now();
        Self { inner, key, run, looks, last: None, next_look: now, not_before: now }
    }

    pub(super) async fn run(mut self) {
        let run = Arc::clone(&self.run);
        loop {
            tokio::select! {
                biased;
                () = run.seen.closed() => {
                    if self.leave() {
                        return;
                    }
                    continue;
                }
                () = run.asked.notified() => {
                    self.hurry();
                    continue;
                }
                () = alarm::until(self.next_look, SystemTime::now) => {}
            }
            let began = Instant::now();
            let answer = tokio::select! {
                biased;
                answer = self.looks.ask() => answer,
                // Somebody who comes just now finds the look still to be made.
                () = run.seen.closed() => continue,
            };
            self.inner.looks.fetch_add(1, Ordering::Relaxed);
            let took = began.elapsed();
            let age = began.saturating_duration_since(run.wanted().since);
            let look = self.looks.judge(answer, began, age);
            let (state, pause) = match &look {
                Look::GoesOn(status, pause) => (Some(status.state()), *pause),
                Look::Failed(error, pause) => {
                    self.not_before = after(error.retry_after().unwrap_or_default());
                    (None, *pause)
                }
                Look::Over(_) | Look::Refused(_) => (None, Duration::ZERO),
            };
            let (over, refused) = (matches!(look, Look::Over(_)), matches!(look, Look::Refused(_)));
            run.seen.send_modify(|seen| seen.take(look, began, took));
            if over {
                return self.finish().await;
            }
            if refused {
                return;
            }
            self.last = Some((began, state));
            self.next_look = after(pause);
            // Who came during the look may want another.
            self.hurry();
        }
    }

    /// Gets the result, unless nobody is left to want it.
    async fn finish(self) {
        loop {
            tokio::select! {
                biased;
                result = self.looks.result(None, RESULT_TRIES) => {
                    let end = End::Result(Arc::new(result));
                    self.run.seen.send_modify(|seen| seen.end = Some(end));
                    return;
                }
                () = self.run.seen.closed() => if self.leave() { return },
            }
        }
    }

    /// Looks sooner where somebody wants it, but never before the service asked.
    fn hurry(&mut self) {
        let Some((began, state)) = self.last else { return };
        let (wanted, now) = (self.run.wanted(), Instant::now());
        let soonest = match state {
            _ if began < wanted.fresh => now,
            Some(state) => {
                let age = now.saturating_duration_since(wanted.since);
                began + self.looks.policy().interval(age, state)
            }
            // After a failure, the pause stands.
            None => return,
        };
        self.next_look = self.next_look.min(soonest.max(self.not_before));
    }

    /// Says that nobody looks any more, unless somebody has come to wait.
    fn leave(&self) -> bool {
        let mut runs = self.inner.runs();
        let alone = self.run.seen.receiver_count() == 0;
        if alone {
            runs.remove(&self.key);
        }
        alone
    }
}

impl<A, C: Eq + Hash> Drop for Poller<A, C> {
    /// Whatever ended it, the next who waits must not wait for it. Another may look at the run by now.
    fn drop(&mut self) {
        let mut runs = self.inner.runs();
        let own = Arc::downgrade(&self.run);
        if runs.get(&self.key).is_some_and(|run| Weak::ptr_eq(run, &own)) {
            runs.remove(&self.key);
        }
    }
}

/// So long from now; what the clock can't hold is a day.
fn after(pause: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(86_400);
    Instant::now() + pause.min(LONG)
}

impl Seen {
    fn take(&mut self, look: Look, began: Instant, took: Duration) {
        (self.looks, self.last_look, self.error) = (self.looks + 1, Some((began, took)), None);
        match look {
            Look::GoesOn(status, _) => self.status = Some(status),
            Look::Over(status) => (self.over, self.status) = (true, Some(status)),
            Look::Failed(error, _) => {
                (self.failures, self.error) = (self.failures + 1, Some(error));
            }
            Look::Refused(error) => self.end = Some(End::Refused(error)),
        }
    }
}
