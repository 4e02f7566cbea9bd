//! How fast is too fast: arithmetic, without a clock of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Rate;

/// When the next one is due by the rate (the generic cell rate algorithm): one instant is all there is to
/// remember.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gcra(Option<Instant>);

impl Gcra {
    /// Takes one, or says how long to wait for it.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let step = step(rate);
        let ahead = step * rate.burst.saturating_sub(1);
        let due = self.0.map_or(now, |due| due.max(now));
        let early = due.saturating_duration_since(now);
        if early > ahead {
            return Err(early - ahead);
        }
        self.0 = Some(due + step);
        Ok(())
    }

    /// How long to wait for the next one; nothing where it may be taken at once.
    pub(super) fn wait(self, rate: Rate, now: Instant) -> Option<Duration> {
        let mut copy = self;
        copy.take(rate, now).err()
    }
}

/// Between two, on average. A rate of none a second is one in a day: an operator's slip must not panic.
fn step(rate: Rate) -> Duration {
    const DAY: f64 = 86_400.0;
    let seconds = if rate.per_second > 0.0 { rate.per_second.recip().min(DAY) } else { DAY };
    Duration::from_secs_f64(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_second: 10.0, burst: 30 };

    #[test]
    fn a_burst_is_taken_at_once_and_the_next_is_told_when() {
        let (mut bucket, now) = (Gcra::default(), Instant::now());
        for _ in 0..30 {
            bucket.take(RATE, now).unwrap();
        }
        assert_eq!(bucket.take(RATE, now), Err(Duration::from_millis(100)));
        bucket.take(RATE, now + Duration::from_millis(100)).unwrap();
    }

    #[test]
    fn a_rate_that_makes_no_sense_lets_little_through() {
        for per_second in [0.0, -1.0, f64::NAN] {
            let (mut bucket, now) = (Gcra::default(), Instant::now());
            let rate = Rate { per_second, burst: 0 };
            bucket.take(rate, now).unwrap();
            assert!(bucket.take(rate, now).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_pattern_gets_more_than_the_burst_and_the_rate(gaps in prop::collection::vec(0_u64..400, 1..200)) {
            let (mut bucket, start) = (Gcra::default(), Instant::now());
            let (mut now, mut taken) = (start, 0_u32);
            for gap in gaps {
                now += Duration::from_millis(gap);
                match bucket.take(RATE, now) {
                    Ok(()) => taken += 1,
                    // The wait that was told is enough, and no longer than it must be.
                    Err(wait) => {
                        let mut later = bucket;
                        prop_assert!(later.take(RATE, now + wait).is_ok());
                        prop_assert!(bucket.wait(RATE, now + wait - Duration::from_millis(1)).is_some());
                    }
                }
            }
            let allowed = 30.0 + (now - start).as_secs_f64() * 10.0 + 0.01;
            prop_assert!(f64::from(taken) <= allowed, "{taken} in {:?}", now - start);
        }
    }
}
