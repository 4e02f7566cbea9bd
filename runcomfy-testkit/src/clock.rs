//! `Clock`: the simulated service's time, which can run faster than real time.

use std::time::Duration;

use tokio::time::Instant;

/// The time since the service started. It never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// The time at the origin.
    offset: Duration,
    scale: f64,
}

impl Clock {
    /// Starts at `offset` and runs `scale` times as fast as real time.
    pub(crate) fn start(offset: Duration, scale: f64) -> Self {
        Self { origin: Instant::now(), offset, scale }
    }

    pub(crate) fn now(&self) -> Duration {
        self.offset.saturating_add(scaled(self.origin.elapsed(), self.scale))
    }

    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// The real time at which the clock shows `at`; in the past if it already has.
    pub(crate) fn instant_of(&self, at: Duration) -> Instant {
        // A longer wait could overflow, and no caller waits for more than a month.
        const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
        let longest = self.origin.elapsed().saturating_add(LONGEST);
        let wait = scaled(at.saturating_sub(self.offset), 1.0 / self.scale).min(longest);
        // One nanosecond more, because the conversion rounds down.
        self.origin + wait + Duration::from_nanos(1)
    }
}

/// Multiplies a duration by `scale`.
pub(crate) fn scaled(time: Duration, scale: f64) -> Duration {
    // Exact if there is no scaling.
    if scale == 1.0 {
        return time;
    }
    Duration::try_from_secs_f64(time.as_secs_f64() * scale).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_to_come_is_ahead_however_long_the_clock_has_run() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        for scale in [0.001, 1.0, 60.0, 1e6] {
            let clock = Clock::start(DAY, scale);
            for _ in 0..3 {
                tokio::time::advance(20 * DAY).await;
                for ahead in [DAY, 100 * 365 * DAY, Duration::MAX] {
                    let at = clock.now().saturating_add(ahead);
                    assert!(clock.instant_of(at) > Instant::now(), "{scale} {ahead:?}");
                }
                assert!(clock.instant_of(clock.now() - DAY) <= Instant::now(), "{scale}");
            }
        }
    }
}
