//! The emulated service's own time: as fast as real time, or faster.

use std::time::Duration;

use tokio::time::Instant;

/// Tells how long the service has been there. Read twice, it never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// What it said at its origin.
    offset: Duration,
    scale: f64,
}

impl Clock {
    /// Goes on from `offset`, `scale` times as fast as real time.
    pub(crate) fn start(offset: Duration, scale: f64) -> Self {
        Self { origin: Instant::now(), offset, scale }
    }

    pub(crate) fn now(&self) -> Duration {
        self.offset.saturating_add(scaled(self.origin.elapsed(), self.scale))
    }

    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// When it will say this, in real time. Past where it already does.
    pub(crate) fn instant_of(&self, at: Duration) -> Instant {
        // A month is for ever here, and no clock overflows by it.
        const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
        let wait = scaled(at.saturating_sub(self.offset), 1.0 / self.scale).min(LONGEST);
        // One more, as what is rounded down comes too early.
        self.origin + wait + Duration::from_nanos(1)
    }
}

/// As long as it takes at so many times the speed of real time.
pub(crate) fn scaled(time: Duration, scale: f64) -> Duration {
    // Exact where nothing is scaled.
    if scale == 1.0 {
        return time;
    }
    Duration::try_from_secs_f64(time.as_secs_f64() * scale).unwrap_or(Duration::MAX)
}
