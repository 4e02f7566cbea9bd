//! No warning over and over: whoever can cause one could fill a disk with it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Event, Level, Metadata, callsite::Identifier};
use tracing_subscriber::layer::{Context, Filter};

/// So many of each warning in so much time; of errors too, which are as good to repeat.
const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Whence lines come of calls that may have been billed.
const WRITES: &str = "runcomfy_mcp::writes";

/// Lets some of each warning through. Lines of calls are not its matter: there are as many as calls.
pub(super) struct Flood {
    /// By the place in the code, of which there are few.
    places: Mutex<HashMap<Identifier, CallSite>>,
    /// Says how many lines were left out.
    tell: Box<dyn Fn(u64) + Send + Sync>,
}

struct CallSite {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum FloodVerdict {
    Shown,
    /// The first of a new window, after so many were left out.
    ShownAfter(u64),
    Placeholders,
}

impl Flood {
    pub(super) fn new(tell: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { places: Mutex::default(), tell: Box::new(tell) }
    }

    fn judge(&self, place: Identifier, now: Instant) -> FloodVerdict {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(place).or_insert(CallSite { since: now, lines: 0, left_out: 0 });
        let mut verdict = FloodVerdict::Shown;
        if now.saturating_duration_since(place.since) >= WINDOW {
            if place.left_out > 0 {
                verdict = FloodVerdict::ShownAfter(place.left_out);
            }
            *place = CallSite { since: now, lines: 0, left_out: 0 };
        }
        place.lines += 1;
        if place.lines > MOST {
            place.left_out += 1;
            return FloodVerdict::Placeholders;
        }
        verdict
    }
}

impl<S> Filter<S> for Flood {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // What may have been billed is said each time.
        if *metadata.level() > Level::WARN || metadata.target() == WRITES {
            return true;
        }
        match self.judge(metadata.callsite(), Instant::now()) {
            FloodVerdict::Shown => true,
            FloodVerdict::Placeholders => false,
            FloodVerdict::ShownAfter(lines) => {
                (self.tell)(lines);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;
    use tracing_subscriber::{Layer, fmt::MakeWriter, layer::SubscriberExt};

    use super::*;

    /// Counts lines.
    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        fn count(&self, what: &str) -> usize {
            String::from_utf8_lossy(&self.0.lock().unwrap()).matches(what).count()
        }
    }

    #[test]
    fn a_warning_that_repeats_itself_is_cut_and_another_is_not() {
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines.clone());
        let log = tracing_subscriber::registry().with(layer.with_filter(Flood::new(|_| ())));
        tracing::subscriber::with_default(log, || {
            for call in 0..10_000 {
                tracing::warn!(call, "the same again");
                tracing::info!(call, "a call has ended");
                tracing::warn!(target: "runcomfy_mcp::writes", call, "a paid call");
            }
            tracing::error!("something else");
        });
        assert_eq!(lines.count("the same again"), MOST as usize);
        assert_eq!(lines.count("a call has ended"), 10_000);
        assert_eq!(lines.count("a paid call"), 10_000);
        assert_eq!(lines.count("something else"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_left_out_is_told_with_the_next() {
        struct Here;
        impl Callsite for Here {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                unreachable!("nobody looks")
            }
        }
        static HERE: Here = Here;
        let (flood, place) = (Flood::new(|_| ()), Identifier(&HERE));
        let shown =
            (0..50).filter(|_| flood.judge(place.clone(), Instant::now()) == FloodVerdict::Shown);
        assert_eq!(shown.count(), MOST as usize);
        tokio::time::advance(WINDOW).await;
        assert_eq!(flood.judge(place.clone(), Instant::now()), FloodVerdict::ShownAfter(30));
        assert_eq!(flood.judge(place, Instant::now()), FloodVerdict::Shown);
    }
}
