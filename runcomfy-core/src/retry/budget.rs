//! How many retries there may be over all calls: a token bucket, without a clock or a network.

#[cfg(feature = "http")]
use std::time::Duration;

#[cfg(feature = "http")]
use tokio::time::Instant;

#[cfg(feature = "http")]
use super::Stage;

/// How many retries there may be over all calls, because retries make an outage worse.
///
/// Each retry takes tokens from two buckets: one per API token, and one that a client and all its clones
/// share. Successes and time refill them. While a bucket has too few tokens there are no retries: the call
/// fails after its first attempt, and the error's `retry_after` says when a retry would be possible again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// What a caller's bucket holds; 50.
    pub per_caller: u32,
    /// What the bucket of all callers holds; 500.
    pub in_all: u32,
    /// What an attempt costs after the service refused the one before for now; 5.
    pub declined_cost: u32,
    /// What an attempt costs after any other failure; 14.
    pub other_cost: u32,
    /// What a success gives back; 1.
    pub refund: u32,
    /// What a second gives back; 1.
    pub refill_per_second: u32,
}

impl Default for RetryBudget {
    /// 50 and 500 tokens; 5 for an attempt after a refusal, 14 for any other; 1 back for a success and for a
    /// second.
    fn default() -> Self {
        Self {
            per_caller: 50,
            in_all: 500,
            declined_cost: 5,
            other_cost: 14,
            refund: 1,
            refill_per_second: 1,
        }
    }
}

impl RetryBudget {
    /// Attempts that cost nothing.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { declined_cost: 0, other_cost: 0, ..Self::default() }
    }

    /// What another attempt costs after a failure that got so far.
    #[cfg(feature = "http")]
    pub(crate) fn cost(&self, stage: Stage) -> u32 {
        if stage == Stage::Declined { self.declined_cost } else { self.other_cost }
    }
}

/// A bucket of tokens that fills by itself.
#[cfg(feature = "http")]
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    capacity: f64,
    refill_per_second: f64,
    level: f64,
    at: Instant,
}

#[cfg(feature = "http")]
impl TokenBucket {
    /// A full one.
    pub(crate) fn new(capacity: u32, refill_per_second: u32, now: Instant) -> Self {
        let capacity = f64::from(capacity);
        Self { capacity, refill_per_second: f64::from(refill_per_second), level: capacity, at: now }
    }

    fn level(&self, now: Instant) -> f64 {
        let filled = now.saturating_duration_since(self.at).as_secs_f64() * self.refill_per_second;
        (self.level + filled).min(self.capacity)
    }

    /// How many whole tokens it holds.
    pub(crate) fn available(&self, now: Instant) -> u32 {
        self.level(now) as u32
    }

    /// Whether it is as good as a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.level(now) >= self.capacity
    }

    /// How long until it holds `cost`; nothing where it does.
    pub(crate) fn time_until(&self, cost: u32, now: Instant) -> Duration {
        /// Where it never does.
        const LONG: Duration = Duration::from_secs(3600);
        let missing = f64::from(cost) - self.level(now);
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.refill_per_second).unwrap_or(LONG).min(LONG)
    }

    /// Takes what it holds of `cost`.
    pub(crate) fn take(&mut self, cost: u32, now: Instant) {
        (self.level, self.at) = ((self.level(now) - f64::from(cost)).max(0.0), now);
    }

    /// Gives back, up to what it can hold.
    pub(crate) fn put(&mut self, tokens: u32, now: Instant) {
        (self.level, self.at) = ((self.level(now) + f64::from(tokens)).min(self.capacity), now);
    }
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use proptest::prelude::*;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_empty_bucket_says_when_it_will_do_and_does_then() {
        let mut bucket = TokenBucket::new(50, 1, Instant::now());
        for _ in 0..3 {
            assert_eq!(bucket.time_until(14, Instant::now()), Duration::ZERO);
            bucket.take(14, Instant::now());
        }
        assert_eq!(bucket.time_until(14, Instant::now()), Duration::from_secs(6));
        assert_eq!(bucket.time_until(5, Instant::now()), Duration::ZERO);
        bucket.put(1, Instant::now());
        assert_eq!(bucket.time_until(14, Instant::now()), Duration::from_secs(5));
        advance(Duration::from_secs(5)).await;
        assert_eq!(bucket.time_until(14, Instant::now()), Duration::ZERO);
        assert!(!bucket.is_full(Instant::now()));
        advance(Duration::from_secs(60)).await;
        assert!(bucket.is_full(Instant::now()));
        bucket.put(50, Instant::now());
        assert_eq!(bucket.time_until(50, Instant::now()), Duration::ZERO);
        assert_ne!(bucket.time_until(51, Instant::now()), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_never_fills_asks_for_an_hour() {
        let mut bucket = TokenBucket::new(5, 0, Instant::now());
        bucket.take(5, Instant::now());
        assert_eq!(bucket.time_until(5, Instant::now()), Duration::from_secs(3600));
    }

    proptest! {
        #[test]
        fn tokens_taken_never_exceed_those_there_were(
            steps in prop::collection::vec((0u64..3000, prop::bool::ANY, 1u32..20), 0..300),
        ) {
            let start = Instant::now();
            let (mut now, mut bucket) = (start, TokenBucket::new(50, 1, start));
            let (mut taken, mut given) = (0, 0);
            for (millis, success, cost) in steps {
                now += Duration::from_millis(millis);
                if success {
                    bucket.put(1, now);
                    given += 1;
                } else if bucket.time_until(cost, now).is_zero() {
                    bucket.take(cost, now);
                    taken += cost;
                } else {
                    let then = now + bucket.time_until(cost, now) + Duration::from_millis(1);
                    prop_assert!(bucket.time_until(cost, then).is_zero());
                }
            }
            let there_were = 50.0 + f64::from(given) + (now - start).as_secs_f64();
            prop_assert!(f64::from(taken) <= there_were + 0.001, "{taken} of {there_were}");
        }
    }
}
