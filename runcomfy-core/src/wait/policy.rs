//! How long to wait, and how often to poll: arithmetic.

use std::time::Duration;

use crate::request::RequestState;

/// How long to wait, and how often to poll.
/// Polls are frequent while a run is young and rarer as it ages, so that the end of a short run is known within
///
/// Polls are frequent while a run is young and rarer as it ages, so that the end of a short run is known within
/// Intervals grow with the age of a run, so that the end of a short run is known within seconds and an hour
/// costs fewer than 300 polls.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WaitPolicy {
    /// When to stop waiting, kept exactly; `None` waits without end. Zero polls once, for as long as a single
    /// call may take.
    pub timeout: Option<Duration>,
    /// The shortest interval between polls while the durations of the deployment's runs are unknown.
    pub shortest: Duration,
    /// The shortest interval once [`SharedWaits`](super::SharedWaits) knows such durations.
    pub shortest_when_known: Duration,
    /// The shortest interval between polls while the run is in queue.
    pub shortest_in_queue: Duration,
    /// The longest interval between polls; doubled after half an hour.
    pub longest: Duration,
    /// The interval as a share of the time waited so far; while the run is in progress, of the time beyond the
    /// first 30 s.
    pub growth: f64,
    /// How far that is varied at random, as a share of it, so that many who wait don't poll together. The first
    /// poll of a wait that begins with the submit, half as far again.
    pub jitter: f64,
    /// How long "not found" is taken to mean that the service does not know the run yet.
    pub not_found_grace: Duration,
}

impl Default for WaitPolicy {
    /// 300 s; a poll after 2.9 s (2 s in queue, 500 ms where it is known how long runs take), then
    /// after a tenth of the time waited, at most 15 s, all varied by a fifth; 10 s of patience with "not
    /// found".
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(300)),
            // With the variation, an end is known as soon as by a poll every 3 s.
            shortest: Duration::from_millis(2900),
            shortest_when_known: Duration::from_millis(500),
            shortest_in_queue: Duration::from_secs(2),
            longest: Duration::from_secs(15),
            growth: 0.1,
            jitter: 0.2,
            not_found_grace: Duration::from_secs(10),
        }
    }
}

impl WaitPolicy {
    /// The default, with another time to stop.
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..Self::default() }
    }

    /// The time to the next poll where nothing is known of other runs, before jitter; never under 10 ms.
    #[must_use]
    pub fn interval(&self, waited: Duration, state: RequestState) -> Duration {
        // Most runs are over by then, and a machine that has to start takes minutes.
        const YOUNG: Duration = Duration::from_secs(30);
        let (shortest, old_for) = if state == RequestState::InQueue {
            (self.shortest_in_queue, waited)
        } else {
            (self.shortest, waited.saturating_sub(YOUNG))
        };
        let grown = scaled(old_for, self.growth.max(0.0));
        grown.min(self.longest(waited)).max(shortest).max(SHORTEST_EVER)
    }

    /// The longest time between two polls after so long a wait.
    pub(super) fn longest(&self, waited: Duration) -> Duration {
        const LONG: Duration = Duration::from_secs(30 * 60);
        if waited > LONG { self.longest.saturating_mul(2) } else { self.longest }
    }

    /// How old news may be that are called fresh, and how soon something is asked for again that should be
    /// there any moment.
    pub(super) fn briefly(&self) -> Duration {
        self.shortest.min(Duration::from_secs(1))
    }

    /// `interval` varied by `random`, a number from 0 to 1.
    pub(super) fn jittered(&self, interval: Duration, random: f64) -> Duration {
        scaled(interval, self.varied(random)).max(SHORTEST_EVER)
    }

    /// `interval`, the time to a first poll, varied by `random`, a number from 0 to 1.
    ///
    /// Wider than [`jittered`](Self::jittered), because the polls of runs that were submitted together then stay
    /// apart: the end of the shortest run is known sooner, and with it when to poll the others.
    pub(super) fn spread(&self, interval: Duration, random: f64) -> Duration {
        const WIDER: f64 = 1.5;
        let jitter = (self.jitter * WIDER).clamp(0.0, 0.9);
        scaled(interval, 1.0 + jitter * (2.0 * random - 1.0)).max(SHORTEST_EVER)
    }

    /// One, varied by `random`, a number from 0 to 1.
    pub(super) fn varied(&self, random: f64) -> f64 {
        let varied = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * random - 1.0);
        if varied.is_nan() { 1.0 } else { varied }
    }
}

/// Polls closer together than this would ask a service without end that responses at once.
const SHORTEST_EVER: Duration = Duration::from_millis(10);

/// `duration` times `factor`; what can't be held is as long as can be, what is no number is no change.
pub(super) fn scaled(duration: Duration, factor: f64) -> Duration {
    let factor = if factor.is_nan() { 1.0 } else { factor };
    let seconds = duration.as_secs_f64() * factor;
    if seconds <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many polls a run of this length takes, all of it in progress, without jitter.
    fn looks(seconds: u64) -> u32 {
        let (policy, mut waited, mut looks) = (WaitPolicy::default(), Duration::ZERO, 1);
        while waited < Duration::from_secs(seconds) {
            waited += policy.interval(waited, RequestState::InProgress);
            looks += 1;
        }
        looks
    }

    #[test]
    fn looks_grow_rarer_as_a_run_ages() {
        assert_eq!([looks(30), looks(300), looks(3600)], [12, 47, 207]);
    }

    #[test]
    fn looks_at_a_run_in_queue_grow_rarer_from_the_start() {
        let policy = WaitPolicy::default();
        assert_eq!(policy.interval(Duration::ZERO, RequestState::InQueue), Duration::from_secs(2));
        assert_eq!(
            [0, 30, 80].map(|age| {
                policy.interval(Duration::from_secs(age), RequestState::InProgress).as_millis()
            }),
            [2900, 2900, 5000]
        );
        assert_eq!(
            policy.interval(Duration::from_secs(100), RequestState::InQueue),
            Duration::from_secs(10)
        );
        assert_eq!(
            policy.interval(Duration::from_secs(7200), RequestState::InQueue),
            Duration::from_secs(30)
        );
    }

    #[test]
    fn looks_are_spread_over_a_fifth_to_either_side() {
        let (policy, ten) = (WaitPolicy::default(), Duration::from_secs(10));
        let spread = [0.0, 0.5, 1.0].map(|random| policy.jittered(ten, random).as_secs_f64());
        assert_eq!(spread, [8.0, 10.0, 12.0]);
    }
}
