//! The tokens that second tries cost: a bucket for each caller, and one for all of them together.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    retry::{Bucket, RetryQuota, Stage},
    sync::lock,
    token::Token,
};

/// The buckets of one client and all its clones.
pub(super) struct Quotas {
    settings: RetryQuota,
    /// Keyed by process and at random: the map knows no token, and nobody can choose colliding ones.
    hasher: RandomState,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    all: Bucket,
    /// By the token's hash, those that are not full: one that is full is like one that was never used.
    callers: HashMap<u64, Bucket>,
    /// How many there may be before the full ones are looked for.
    look_at: usize,
}

const LOOK_AT_LEAST: usize = 64;

impl Quotas {
    pub(super) fn new(settings: RetryQuota) -> Self {
        let all = Bucket::new(settings.in_all, settings.refill_per_second, Instant::now());
        let buckets = Buckets { all, callers: HashMap::new(), look_at: LOOK_AT_LEAST };
        Self { settings, hasher: RandomState::new(), buckets: Mutex::new(buckets) }
    }

    /// Pays for another try of this caller after a failure that got so far.
    ///
    /// # Errors
    /// How long until it could be paid for. Nothing is taken then.
    pub(super) fn pay(&self, token: &Token, stage: Stage) -> Result<(), Duration> {
        let cost = self.settings.cost(stage);
        if cost == 0 {
            return Ok(());
        }
        let (key, now) = (self.key(token), Instant::now());
        let full = || Bucket::new(self.settings.per_caller, self.settings.refill_per_second, now);
        let mut buckets = self.lock();
        let own = buckets
            .callers
            .get(&key)
            .map_or_else(|| full().lacks(cost, now), |b| b.lacks(cost, now));
        let lacking = own.max(buckets.all.lacks(cost, now));
        if !lacking.is_zero() {
            return Err(lacking);
        }
        if buckets.callers.len() >= buckets.look_at {
            buckets.callers.retain(|_, bucket| !bucket.is_full(now));
            buckets.look_at = (buckets.callers.len() * 2).max(LOOK_AT_LEAST);
        }
        buckets.all.take(cost, now);
        buckets.callers.entry(key).or_insert_with(full).take(cost, now);
        Ok(())
    }

    /// Gives back what a success is worth.
    pub(super) fn refund(&self, token: &Token) {
        let (key, now) = (self.key(token), Instant::now());
        let mut buckets = self.lock();
        buckets.all.give(self.settings.refund, now);
        if let Some(bucket) = buckets.callers.get_mut(&key) {
            bucket.give(self.settings.refund, now);
            if bucket.is_full(now) {
                buckets.callers.remove(&key);
            }
        }
    }

    /// What the bucket of all callers holds.
    pub(super) fn left(&self) -> u32 {
        self.lock().all.holds(Instant::now())
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

    fn quotas() -> Quotas {
        Quotas::new(RetryQuota::default())
    }

    fn token(number: usize) -> Token {
        Token::new(format!("token-{number}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_callers_bucket_is_its_own() {
        let (quotas, one, two) = (quotas(), token(1), token(2));
        for _ in 0..3 {
            quotas.pay(&one, Stage::Ambiguous).unwrap();
        }
        assert_eq!(quotas.pay(&one, Stage::Ambiguous), Err(Duration::from_secs(6)));
        quotas.pay(&two, Stage::Ambiguous).unwrap();
        // A refusal says that the service lives: another try costs less.
        quotas.pay(&one, Stage::Refused).unwrap();
        assert_eq!(quotas.pay(&one, Stage::Refused), Err(Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn all_callers_together_have_no_more_than_the_shared_bucket() {
        let quotas = quotas();
        let paid = (0..1000).filter(|n| quotas.pay(&token(*n), Stage::Ambiguous).is_ok()).count();
        assert_eq!(paid, 500 / 14);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_is_full_again_is_forgotten() {
        let quotas = quotas();
        quotas.pay(&token(1), Stage::Refused).unwrap();
        for _ in 0..5 {
            assert_eq!(quotas.lock().callers.len(), 1);
            quotas.refund(&token(1));
        }
        assert_eq!(quotas.lock().callers.len(), 0);
        let mut most = 0;
        for number in 0..10_000 {
            quotas.pay(&token(number), Stage::Refused).unwrap();
            advance(Duration::from_secs(5)).await;
            most = most.max(quotas.lock().callers.len());
        }
        assert!(most <= LOOK_AT_LEAST, "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn f31_a_storm_is_hardly_amplified_and_over_as_soon_as_the_service_is_back() {
        const CALLS_PER_SECOND: u32 = 200;
        for (stage, callers) in [
            (Stage::Ambiguous, 1),
            (Stage::Refused, 1),
            (Stage::Ambiguous, 200),
            (Stage::Refused, 200),
        ] {
            let (quotas, mut calls, mut attempts) = (quotas(), 0_u32, 0_u32);
            for _ in 0..600 * CALLS_PER_SECOND {
                let caller = token(calls as usize % callers);
                (calls, attempts) = (calls + 1, attempts + 1);
                // Three tries each, as far as they can be paid for.
                attempts +=
                    (0..2).take_while(|_| quotas.pay(&caller, stage).is_ok()).count() as u32;
                advance(Duration::from_secs(1) / CALLS_PER_SECOND).await;
            }
            let amplified = f64::from(attempts) / f64::from(calls);
            assert!(amplified <= 1.2, "{stage:?} of {callers}: {amplified}");

            for call in 0..30 * CALLS_PER_SECOND as usize {
                quotas.refund(&token(call % callers));
                advance(Duration::from_secs(1) / CALLS_PER_SECOND).await;
            }
            assert!((0..3).all(|_| quotas.pay(&token(0), Stage::Ambiguous).is_ok()));
        }
    }
}
