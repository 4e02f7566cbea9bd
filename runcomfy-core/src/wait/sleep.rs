//! Sleeping until a time, and noticing that the machine was suspended meanwhile.

use std::time::{Duration, SystemTime};

use tokio::time::{self, Instant};

/// How long a sleep goes on before it checks the wall clock.
const SLICE: Duration = Duration::from_secs(5);
/// How far that clock may run ahead in a slice before something is behind it.
const GAP: Duration = Duration::from_secs(5);

/// Sleeps until `time`, or until just after the machine woke from a sleep of its own: timers stand still
/// in those on some systems, while the run that is waited for goes on.
pub(super) async fn sleep_until(time: Instant, wall: fn() -> SystemTime) {
    loop {
        let (before, began) = (wall(), Instant::now());
        let slice = began.checked_add(SLICE).map_or(time, |end| end.min(time));
        time::sleep_until(slice).await;
        if slice == time || gap(wall().duration_since(before).ok(), began.elapsed()) {
            return;
        }
    }
}

/// Whether the clock on the wall ran ahead. One that was put back tells nothing.
fn gap(on_the_wall: Option<Duration>, counted: Duration) -> bool {
    on_the_wall.is_some_and(|on_the_wall| on_the_wall > counted + GAP)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A clock that is an hour ahead each time somebody polls.
    fn leaping() -> SystemTime {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let hours = LOOKS.fetch_add(1, Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + HOUR * u32::try_from(hours).unwrap()
    }

    fn still() -> SystemTime {
        SystemTime::UNIX_EPOCH + HOUR
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_is_noticed_within_seconds() {
        let began = Instant::now();
        sleep_until(began + HOUR, leaping).await;
        assert_eq!(began.elapsed(), SLICE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_put_back_or_stands_moves_no_deadline() {
        let began = Instant::now();
        sleep_until(began + HOUR, still).await;
        assert_eq!(began.elapsed(), HOUR);
        assert!(!gap(None, SLICE));
    }

    #[test]
    fn a_slice_that_was_late_is_no_gap() {
        assert!(!gap(Some(SLICE + GAP), SLICE));
        assert!(gap(Some(SLICE + GAP + Duration::from_millis(1)), SLICE));
    }
}
