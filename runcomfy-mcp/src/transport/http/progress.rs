//! How far a connection has come, as its socket and its requests know it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::watch, time::Instant};

use super::head::Head;
use crate::{ConnectionSettings, pipeline::idempotency::Delivery};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request's head is coming, since then.
    Head(Instant),
    /// A request is being answered: its own timers count.
    Busy,
    /// Nothing is asked, since then.
    Idle(Instant),
}

/// Shared by the socket, which sees bytes, and the requests, which see beginnings and ends.
#[derive(Debug)]
pub(super) struct Progress {
    phase: watch::Sender<Phase>,
    head: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    head: Head,
    /// Whether the request before came with bytes of the next behind it.
    crowded: bool,
    /// Whether the request before was read to its end, and no further.
    clean: bool,
    /// An answer whose body has ended, but whose last bytes the socket may not have taken yet. It is lost if the
    /// connection, and this with it, ends before.
    leaving: Option<Delivery>,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        let phase = watch::Sender::new(Phase::Head(Instant::now()));
        Arc::new(Self { phase, head: Mutex::default() })
    }

    /// Bytes came in.
    pub(super) fn read(&self, bytes: &[u8]) {
        self.seen().head.feed(bytes);
        self.phase.send_if_modified(|phase| {
            let begins = matches!(phase, Phase::Idle(_));
            if begins {
                *phase = Phase::Head(Instant::now());
            }
            begins
        });
    }

    /// Bytes went out: a peer that still takes the last answer is not idle.
    pub(super) fn wrote(&self) {
        self.phase.send_if_modified(|phase| {
            let idle = matches!(phase, Phase::Idle(_));
            if idle {
                *phase = Phase::Idle(Instant::now());
            }
            idle
        });
    }

    /// The body of an answer has ended: it is delivered with the next flush.
    pub(super) fn leaves(&self, delivery: Delivery) {
        // Dropped when nothing is locked, as below: whoever is told takes locks.
        let before = self.seen().leaving.replace(delivery);
        drop(before);
    }

    /// The socket has taken all bytes that there were.
    pub(super) fn flushed(&self) {
        let left = self.seen().leaving.take();
        if let Some(delivery) = left {
            delivery.done();
        }
    }

    /// A request begins. Says whether its head came whole, line by line, and after the last answer.
    pub(super) fn begin(&self) -> bool {
        self.phase.send_replace(Phase::Busy);
        let seen = self.seen();
        seen.head.is_sound() && !seen.crowded
    }

    /// How much has come behind the request's head.
    pub(super) fn received(&self) -> u64 {
        self.seen().head.beyond()
    }

    /// A request with a body of this length is answered.
    pub(super) fn end(&self, body: u64) {
        let mut seen = self.seen();
        seen.crowded |= seen.head.beyond() > body;
        seen.clean = seen.head.beyond() == body;
        seen.head = Head::default();
        drop(seen);
        self.phase.send_replace(Phase::Idle(Instant::now()));
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        *self.phase.borrow() == Phase::Busy
    }

    /// Whether nothing of the peer's can still be on its way, as far as that can be known.
    pub(super) fn is_clean(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Idle(_)) && self.seen().clean
    }

    /// Returns when the peer has used up its time.
    pub(super) async fn overdue(&self, times: &ConnectionSettings) -> &'static str {
        let mut phase = self.phase.subscribe();
        loop {
            let (deadline, why) = match *phase.borrow_and_update() {
                Phase::Head(since) => (Some(since + times.header), "its headers took too long"),
                Phase::Idle(since) => (Some(since + times.idle), "it was idle too long"),
                Phase::Busy => (None, ""),
            };
            let up = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = up => return why,
                // The sender lives as long as `self`.
                changed = phase.changed() => if changed.is_err() { return "it is gone" },
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing that can panic is done under it.
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn times() -> ConnectionSettings {
        let mut times = ConnectionSettings::default();
        (times.header, times.idle) = (Duration::from_secs(10), Duration::from_secs(60));
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_has_ten_seconds_for_a_head_and_a_minute_between_two() {
        let (progress, started) = (Progress::new(), Instant::now());
        progress.overdue(&times()).await;
        assert_eq!(started.elapsed().as_secs(), 10);
        progress.end(0);
        let started = Instant::now();
        progress.overdue(&times()).await;
        assert_eq!(started.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_does_not_buy_a_head_more_time() {
        let (progress, started, times) = (Progress::new(), Instant::now(), times());
        progress.end(0);
        let dribble = async {
            let mut every = tokio::time::interval(Duration::from_secs(5));
            loop {
                every.tick().await;
                progress.read(b"P");
            }
        };
        tokio::select! {
            () = dribble => {}
            _ = progress.overdue(&times) => {}
        }
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_not_overdue() {
        let progress = Progress::new();
        progress.begin();
        let day = Duration::from_secs(86_400);
        let settings = times();
        assert!(tokio::time::timeout(day, progress.overdue(&settings)).await.is_err());
    }

    #[test]
    fn a_request_that_came_along_with_the_one_before_is_told_from_one_that_waited() {
        let progress = Progress::new();
        progress.read(HEAD);
        progress.read(b"{}");
        assert!(progress.begin());
        progress.end(2);
        progress.read(HEAD);
        assert!(progress.begin(), "it waited for its turn");
        progress.read(HEAD);
        progress.end(0);
        assert!(!progress.begin(), "it came along");
    }

    #[test]
    fn a_head_of_which_a_part_came_along_with_the_request_before_is_not_sound() {
        let progress = Progress::new();
        let (unseen, rest) = HEAD.split_at(9);
        progress.read(HEAD);
        assert!(progress.begin());
        progress.read(unseen);
        progress.end(0);
        progress.read(rest);
        assert!(!progress.begin());
    }
}
