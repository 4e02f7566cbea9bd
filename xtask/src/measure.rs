//! Real time, and what of it a number of calls took.

use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "this measures real time, and no test pauses it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time within which so many of a hundred were answered.
pub(crate) fn percentile(sorted: &[u32], hundredths: usize) -> Duration {
    let place = (sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1));
    Duration::from_micros(sorted.get(place).copied().unwrap_or_default().into())
}
