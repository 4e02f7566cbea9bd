//! The durations of each caller's runs of each deployment.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use lru::LruCache;
use tokio::{sync::watch, time::Instant};

use super::schedule;
use crate::{id::DeploymentId, sync::lock, wait::policy::WaitPolicy};

/// The maximum number of deployments in the cache.
const DEPLOYMENTS: usize = 1024;
/// The maximum number of durations per deployment.
const MOST: usize = 32;
/// Reservoir-sampling window: each run that ends in it is kept with equal probability.
const PERIOD: Duration = Duration::from_secs(600);

/// What is known of the runs of those deployments that were last waited for.
pub(super) struct DurationCache<C>(Mutex<LruCache<(C, DeploymentId), Arc<RunDurations>>>);

impl<C: Clone + Eq + Hash> DurationCache<C> {
    pub(super) fn new() -> Self {
        // Its bound is kept below: a cache that knows its bound takes the room for it at once.
        Self(Mutex::new(LruCache::unbounded()))
    }

    /// Of this caller's runs of this deployment.
    pub(super) fn of(&self, caller: &C, deployment_id: &DeploymentId) -> Arc<RunDurations> {
        let mut all = lock(&self.0);
        let key = (caller.clone(), deployment_id.clone());
        let found = Arc::clone(all.get_or_insert(key, || Arc::new(RunDurations::new())));
        if all.len() > DEPLOYMENTS {
            all.pop_lru();
        }
        found
    }
}

/// How long runs worked that succeeded, some of the last.
#[derive(Debug)]
pub(super) struct RunDurations {
    known: Mutex<Known>,
    shorter_run: watch::Sender<()>,
}

#[derive(Debug)]
struct Known {
    sorted: Vec<Duration>,
    /// When the period began, and how many there were in it.
    since: Instant,
    seen: usize,
}

impl RunDurations {
    pub(super) fn new() -> Self {
        let known = Known { sorted: Vec::new(), since: Instant::now(), seen: 0 };
        Self { known: Mutex::new(known), shorter_run: watch::Sender::new(()) }
    }

    /// Tells when a run was over sooner than those who wait could expect.
    ///
    /// That is rare however many runs end: each time, the shortest length known is less by a tenth.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.shorter_run.subscribe()
    }

    /// How many runs are polled.
    pub(super) fn waiting(&self) -> usize {
        self.shorter_run.receiver_count()
    }

    pub(super) fn remember(&self, length: Duration) {
        if self.known().remember(length, Instant::now()) {
            self.shorter_run.send_replace(());
        }
    }

    /// The time to the next poll, as [`schedule::pause`] has it; `None` where nothing is known.
    pub(super) fn pause(
        &self,
        age: Duration,
        usual: Duration,
        policy: &WaitPolicy,
        random: f64,
    ) -> Option<Duration> {
        let known = self.known();
        let known = &known.sorted;
        (!known.is_empty()).then(|| schedule::pause(known, age, usual, policy, random))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

impl Known {
    /// Keeps it or not; whether it is shorter than could be expected.
    fn remember(&mut self, length: Duration, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) > PERIOD {
            (self.since, self.seen) = (now, MOST);
        }
        self.seen += 1;
        let is_short = self.sorted.first().is_none_or(|shortest| length < *shortest * 9 / 10);
        if self.sorted.len() >= MOST {
            // Of runs that were submitted together the longest end last: the last alone would be no sample.
            if !is_short && fastrand::usize(..self.seen) >= MOST {
                return false;
            }
            self.sorted.remove(fastrand::usize(..self.sorted.len()));
        }
        let place = self.sorted.partition_point(|known| *known <= length);
        self.sorted.insert(place, length);
        is_short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> (Known, Instant) {
        let now = Instant::now();
        (Known { sorted: Vec::new(), since: now, seen: 0 }, now)
    }

    fn mean(known: &Known) -> f64 {
        let sum: Duration = known.sorted.iter().sum();
        sum.as_secs_f64() / f64::from(u32::try_from(known.sorted.len()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_that_end_in_order_of_length_all_are_as_likely_remembered() {
        let mut means = 0.0;
        for seed in 0..20 {
            fastrand::seed(seed);
            let (mut known, now) = known();
            for length in 1..=1000 {
                known.remember(Duration::from_secs(length), now);
            }
            assert_eq!(known.sorted.len(), MOST);
            assert!(known.sorted.is_sorted());
            means += mean(&known) / 20.0;
        }
        assert!((430.0..570.0).contains(&means), "{means}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_long_ago_is_forgotten_for_what_is_new() {
        fastrand::seed(1);
        let (mut known, now) = known();
        for _ in 0..1000 {
            known.remember(Duration::from_secs(100), now);
        }
        for _ in 0..64 {
            known.remember(Duration::from_secs(200), now + PERIOD * 2);
        }
        assert!(mean(&known) > 140.0, "{}", mean(&known));
    }

    #[tokio::test(start_paused = true)]
    async fn those_deployments_are_forgotten_that_were_waited_for_longest_ago() {
        let memory = DurationCache::new();
        let of = |number: usize| memory.of(&1, &DeploymentId::new(format!("d{number}")).unwrap());
        let (first, second) = (of(0), of(1));
        for number in 2..=DEPLOYMENTS {
            of(number);
            assert!(Arc::ptr_eq(&of(0), &first));
        }
        assert!(!Arc::ptr_eq(&of(1), &second));
        assert_eq!(lock(&memory.0).len(), DEPLOYMENTS);
    }

    #[tokio::test(start_paused = true)]
    async fn news_are_rare_however_many_end() {
        fastrand::seed(1);
        let (mut known, now) = known();
        let lengths = (0..10_000).map(|_| Duration::from_secs(10).mul_f64(0.5 + fastrand::f64()));
        let news = lengths.filter(|length| known.remember(*length, now)).count();
        assert!((1..=20).contains(&news), "{news}");
    }
}
