//! Polls a run for all its waiters.

use std::{
    hash::Hash,
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use super::{
    registry::{Registry, RunKey},
    run::{End, Run},
    run_durations::RunDurations,
};
use crate::{
    api::RunComfyApi,
    request::{RequestResult, RequestState},
    wait::{
        polls::{PollOutcome, Polls, RESULT_TRIES},
        sleep,
        timeline::Timeline,
    },
};

/// Polls at one run for as long as somebody waits for it.
pub(super) struct Poller<A, C: Eq + Hash> {
    registry: Arc<Registry<C>>,
    key: RunKey<C>,
    run: Arc<Run>,
    polls: Polls<A>,
    /// When the last poll began and what state it saw, where it saw one.
    last: Option<(Instant, Option<RequestState>)>,
    next_poll: Instant,
    /// Until when the service asked to be left alone.
    not_before: Instant,
    /// When the run worked, and how long others did.
    timeline: Timeline,
    run_durations: Arc<RunDurations>,
    shorter_run: watch::Receiver<()>,
}

impl<A: RunComfyApi, C: Eq + Hash> Poller<A, C> {
    pub(super) fn new(
        registry: Arc<Registry<C>>,
        key: RunKey<C>,
        run: Arc<Run>,
        polls: Polls<A>,
        run_durations: Arc<RunDurations>,
    ) -> Self {
        let (now, mut first) = (Instant::now(), polls.first(fastrand::f64()));
        if let Some(known) =
            run_durations.pause(Duration::ZERO, first, polls.policy(), fastrand::f64())
        {
            first = first.min(known);
        }
        Self {
            next_poll: after(first),
            not_before: now,
            timeline: Timeline::new(polls.just_submitted().then_some(now)),
            shorter_run: run_durations.subscribe(),
            last: None,
            registry,
            key,
            run,
            polls,
            run_durations,
        }
    }

    pub(super) async fn run(mut self) {
        let run = Arc::clone(&self.run);
        loop {
            tokio::select! {
                biased;
                () = run.observed.closed() => {
                    if self.stop_if_unused() {
                        return;
                    }
                    continue;
                }
                () = run.changed.notified() => {
                    self.poll_sooner();
                    continue;
                }
                Ok(()) = self.shorter_run.changed() => {
                    self.reschedule();
                    continue;
                }
                () = sleep::sleep_until(self.next_poll, SystemTime::now) => {}
            }
            let began = Instant::now();
            let answer = tokio::select! {
                biased;
                answer = self.polls.ask() => answer,
                // Somebody who comes just now finds the poll still to be made.
                () = run.observed.closed() => continue,
            };
            self.registry.polls.fetch_add(1, Ordering::Relaxed);
            let took = began.elapsed();
            let outcome = self.polls.interpret(answer, began);
            let (state, pause) = match &outcome {
                PollOutcome::Running(status) => {
                    self.timeline.record(status.state(), began);
                    (Some(status.state()), self.pause(status.state(), began, fastrand::f64()))
                }
                PollOutcome::Failed(error, pause) => {
                    self.not_before = after(error.retry_after().unwrap_or_default());
                    (None, *pause)
                }
                PollOutcome::Ended(_) | PollOutcome::Final(_) => (None, Duration::ZERO),
            };
            let (over, refused) = (
                matches!(outcome, PollOutcome::Ended(_)),
                matches!(outcome, PollOutcome::Final(_)),
            );
            run.observed.send_modify(|observed| observed.take(outcome, began, took));
            if over {
                // Boxed: there is one of these for each who waits.
                return Box::pin(self.finish(began)).await;
            }
            if refused {
                return;
            }
            self.last = Some((began, state));
            // Who came during the poll and wants another has left word.
            self.next_poll = after(pause);
        }
    }

    /// The time to the next poll a run that was in this state at `at`, varied by `random`.
    fn pause(&self, state: RequestState, at: Instant, random: f64) -> Duration {
        let policy = self.polls.policy();
        let waited = at.saturating_duration_since(self.run.current_demand().since);
        let age = self.timeline.age(at);
        // Who waited long in queue waits anew for the run's end.
        let usual = policy.interval(waited.min(age.unwrap_or(waited)), state);
        age.and_then(|age| self.run_durations.pause(age, usual, policy, random))
            .unwrap_or_else(|| policy.jittered(self.scaled_interval(usual, waited), random))
    }

    /// The time to the next poll where nothing is known yet. Whichever of these runs ends first tells when to poll
    /// the others: where there are many, each is polled less until then. Where there are few, more, while they
    /// are young: that makes up for the poll that a wait which begins with the submit does not begin with.
    fn scaled_interval(&self, usual: Duration, waited: Duration) -> Duration {
        const YOUNG: Duration = Duration::from_secs(12);
        const FEW: u32 = 6;
        const MORE_OFTEN: f64 = 0.87;
        const RARER: f64 = 0.48;
        if waited > YOUNG || !self.polls.just_submitted() {
            return usual;
        }
        let runs = u32::try_from(self.run_durations.waiting()).unwrap_or(u32::MAX);
        if runs <= FEW {
            return usual.mul_f64(MORE_OFTEN);
        }
        usual.mul_f64(1.0 + RARER * (1.0 - f64::from(FEW) / f64::from(runs)))
    }

    /// Reschedules the next poll, because another run of this deployment ended sooner than expected.
    fn reschedule(&mut self) {
        let now = Instant::now();
        if let Some((polled, Some(state))) = self.last
            && self.timeline.age(now).is_some()
            && !self.poll_is_due()
        {
            let pause = self.pause(state, now, fastrand::f64());
            self.next_poll = if pause > self.polls.policy().shortest {
                after(pause)
            } else {
                // It may be over since the last poll, and the longer ago that was the likelier; but not all who
                // wait should poll once.
                let usual = self.polls.policy().shortest.as_secs_f64();
                let fresh = 1.0 - ((now - polled).as_secs_f64() / usual).min(1.0);
                let latest = pause.mul_f64(0.2 + 0.7 * fresh);
                let soonest = now + latest.mul_f64(fastrand::f64());
                (polled + pause).max(soonest).min(self.next_poll).max(self.not_before)
            };
        }
    }

    /// Gets the result, unless all waiters have left.
    async fn finish(self, over: Instant) {
        loop {
            tokio::select! {
                biased;
                result = self.polls.result(None, RESULT_TRIES) => {
                    self.learn(over, result.as_ref().ok());
                    let end = End::Result(Arc::new(result));
                    self.run.observed.send_modify(|observed| observed.end = Some(end));
                    return;
                }
                () = self.run.observed.closed() => if self.stop_if_unused() { return },
            }
        }
    }

    /// Remembers how long the run worked. Not one that failed or was cancelled: such ends come at any time.
    fn learn(&self, over: Instant, result: Option<&RequestResult>) {
        let result = result.filter(|result| result.state() == RequestState::Succeeded);
        if let Some(length) = result.and_then(|result| self.timeline.length(over, result)) {
            self.run_durations.remember(length);
        }
    }

    /// Polls sooner where somebody wants it, but never before the service asked.
    fn poll_sooner(&mut self) {
        let soonest = match self.last {
            _ if self.poll_is_due() => Instant::now(),
            Some((began, Some(state))) => began + self.pause(state, began, 0.5),
            // After a failure, the pause stands.
            Some((_, None)) | None => return,
        };
        self.next_poll = self.next_poll.min(soonest.max(self.not_before));
    }

    /// Whether a waiter demands a poll newer than the last.
    fn poll_is_due(&self) -> bool {
        let fresh = self.run.current_demand().fresh;
        fresh.is_some() && self.last.map(|(began, _)| began) < fresh
    }

    /// Removes the run, unless it has a new waiter.
    fn stop_if_unused(&self) -> bool {
        let mut runs = self.registry.runs();
        let alone = self.run.observed.receiver_count() == 0;
        if alone {
            runs.remove(&self.key);
        }
        alone
    }
}

impl<A, C: Eq + Hash> Drop for Poller<A, C> {
    /// Removes the run, however the poller ended, so that the next wait starts another. By then another
    /// poller may have taken its place.
    fn drop(&mut self) {
        let mut runs = self.registry.runs();
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
