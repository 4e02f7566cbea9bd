//! The retry budget of a client: a token bucket per API token, and one for all of them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    retry::{RetryBudget, Stage, TokenBucket},
    sync::lock,
    token::Token,
};

/// The buckets of one client and all its clones.
pub(super) struct RetryBuckets {
    settings: RetryBudget,
    /// Keyed by process and at random: the map knows no token, and nobody can choose colliding ones.
    hasher: RandomState,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    all: TokenBucket,
    /// By the token's hash, those that are not full: one that is full is like one that was never used.
    callers: HashMap<u64, TokenBucket>,
    /// How many there may be before the full ones are looked for.
    prune_at: usize,
}

const MIN_PRUNE_AT: usize = 64;

impl RetryBuckets {
    pub(super) fn new(settings: RetryBudget) -> Self {
        let all = TokenBucket::new(settings.in_all, settings.refill_per_second, Instant::now());
        let buckets = Buckets { all, callers: HashMap::new(), prune_at: MIN_PRUNE_AT };
        Self { settings, hasher: RandomState::new(), buckets: Mutex::new(buckets) }
    }

    /// Pays for another attempt of this caller after a failure that got so far.
    ///
    /// # Errors
    /// How long until it could be paid for. Nothing is taken then.
    pub(super) fn take(&self, token: &Token, stage: Stage) -> Result<(), Duration> {
        let cost = self.settings.cost(stage);
        if cost == 0 {
            return Ok(());
        }
        let (key, now) = (self.key(token), Instant::now());
        let full =
            || TokenBucket::new(self.settings.per_caller, self.settings.refill_per_second, now);
        let mut buckets = self.lock();
        let own = buckets
            .callers
            .get(&key)
            .map_or_else(|| full().time_until(cost, now), |b| b.time_until(cost, now));
        let delay = own.max(buckets.all.time_until(cost, now));
        if !delay.is_zero() {
            return Err(delay);
        }
        if buckets.callers.len() >= buckets.prune_at {
            buckets.callers.retain(|_, bucket| !bucket.is_full(now));
            buckets.prune_at = (buckets.callers.len() * 2).max(MIN_PRUNE_AT);
        }
        buckets.all.take(cost, now);
        buckets.callers.entry(key).or_insert_with(full).take(cost, now);
        Ok(())
    }

    /// Gives back what a success is worth.
    pub(super) fn refund(&self, token: &Token) {
        let (key, now) = (self.key(token), Instant::now());
        let mut buckets = self.lock();
        buckets.all.put(self.settings.refund, now);
        if let Some(bucket) = buckets.callers.get_mut(&key) {
            bucket.put(self.settings.refund, now);
            if bucket.is_full(now) {
                buckets.callers.remove(&key);
            }
        }
    }

    /// What the bucket of all callers holds.
    pub(super) fn available(&self) -> u32 {
        self.lock().all.available(Instant::now())
    }

    fn key(&self, token: &Token) -> u64 {
        self.hasher.hash_one(token.expose())
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        lock(&self.buckets)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn buckets() -> RetryBuckets {
        RetryBuckets::new(RetryBudget::default())
    }

    fn token(number: usize) -> Token {
        Token::new(format!("token-{number}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_callers_bucket_is_its_own() {
        let (buckets, one, two) = (buckets(), token(1), token(2));
        for _ in 0..3 {
            buckets.take(&one, Stage::Ambiguous).unwrap();
        }
        assert_eq!(buckets.take(&one, Stage::Ambiguous), Err(Duration::from_secs(6)));
        buckets.take(&two, Stage::Ambiguous).unwrap();
        // A refusal says that the service lives: another attempt costs less.
        buckets.take(&one, Stage::Declined).unwrap();
        assert_eq!(buckets.take(&one, Stage::Declined), Err(Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn all_callers_together_have_no_more_than_the_shared_bucket() {
        let buckets = buckets();
        let paid = (0..1000).filter(|n| buckets.take(&token(*n), Stage::Ambiguous).is_ok()).count();
        assert_eq!(paid, 500 / 14);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_is_full_again_is_forgotten() {
        let buckets = buckets();
        buckets.take(&token(1), Stage::Declined).unwrap();
        for _ in 0..5 {
            assert_eq!(buckets.lock().callers.len(), 1);
            buckets.refund(&token(1));
        }
        assert_eq!(buckets.lock().callers.len(), 0);
        let mut most = 0;
        for number in 0..10_000 {
            buckets.take(&token(number), Stage::Declined).unwrap();
            advance(Duration::from_secs(5)).await;
            most = most.max(buckets.lock().callers.len());
        }
        assert!(most <= MIN_PRUNE_AT, "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_hardly_amplified_and_over_as_soon_as_the_service_is_back() {
        const CALLS_PER_SECOND: u32 = 200;
        for (stage, callers) in [
            (Stage::Ambiguous, 1),
            (Stage::Declined, 1),
            (Stage::Ambiguous, 200),
            (Stage::Declined, 200),
        ] {
            let (buckets, mut calls, mut attempts) = (buckets(), 0_u32, 0_u32);
            for _ in 0..600 * CALLS_PER_SECOND {
                let caller = token(calls as usize % callers);
                (calls, attempts) = (calls + 1, attempts + 1);
                // Three attempts each, as far as they can be paid for.
                attempts +=
                    (0..2).take_while(|_| buckets.take(&caller, stage).is_ok()).count() as u32;
                advance(Duration::from_secs(1) / CALLS_PER_SECOND).await;
            }
            let amplified = f64::from(attempts) / f64::from(calls);
            assert!(amplified <= 1.2, "{stage:?} of {callers}: {amplified}");

            for call in 0..30 * CALLS_PER_SECOND as usize {
                buckets.refund(&token(call % callers));
                advance(Duration::from_secs(1) / CALLS_PER_SECOND).await;
            }
            assert!((0..3).all(|_| buckets.take(&token(0), Stage::Ambiguous).is_ok()));
        }
    }
}
