//! What a connection is doing now, as its socket and its requests report it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::watch, time::Instant};

use crate::{delivery::Delivery, framing::FramingCheck, settings::ConnectionSettings};

/// Which timer applies to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request's header section is being received since this time.
    Header(Instant),
    /// A request is being answered, which has timers of its own.
    Busy,
    /// There is no request since this time.
    Idle(Instant),
}

/// Shared by the socket, which sees bytes, and the requests, which see where they start and end.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    phase: watch::Sender<Phase>,
    observed: Mutex<Observed>,
}

#[derive(Debug, Default)]
struct Observed {
    framing: FramingCheck,
    /// Whether bytes of another request came behind the previous one, before its response.
    pipelined: bool,
    /// Whether the previous request was read to its end, with nothing behind it.
    fully_read: bool,
    /// A response whose body has ended, although the socket may still have to take its last bytes. It is lost if
    /// the connection, and this with it, is dropped before.
    unflushed: Option<Delivery>,
}

impl ConnectionState {
    pub(crate) fn new() -> Arc<Self> {
        let phase = watch::Sender::new(Phase::Header(Instant::now()));
        Arc::new(Self { phase, observed: Mutex::default() })
    }

    /// The socket has read bytes.
    pub(crate) fn on_read(&self, bytes: &[u8]) {
        self.observed().framing.feed(bytes);
        self.phase.send_if_modified(|phase| {
            let starts = matches!(phase, Phase::Idle(_));
            if starts {
                *phase = Phase::Header(Instant::now());
            }
            starts
        });
    }

    /// The socket has written bytes: a peer that still receives the last response is not idle.
    pub(crate) fn on_write(&self) {
        self.phase.send_if_modified(|phase| {
            let idle = matches!(phase, Phase::Idle(_));
            if idle {
                *phase = Phase::Idle(Instant::now());
            }
            idle
        });
    }

    /// The body of a response has ended: it is delivered with the next flush.
    pub(crate) fn on_body_end(&self, delivery: Delivery) {
        // Dropped without the lock, because callbacks of its receipt take locks.
        let before = self.observed().unflushed.replace(delivery);
        drop(before);
    }

    /// The socket has taken all bytes that were written.
    pub(crate) fn on_flush(&self) {
        let unflushed = self.observed().unflushed.take();
        if let Some(delivery) = unflushed {
            delivery.done();
        }
    }

    /// A request starts. Returns whether its framing is valid and it was sent after the previous response.
    pub(crate) fn begin_request(&self) -> bool {
        self.phase.send_replace(Phase::Busy);
        let observed = self.observed();
        observed.framing.is_valid() && !observed.pipelined
    }

    /// Bytes received behind the request's header section.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.observed().framing.body_bytes()
    }

    /// A request with a body of this length has been answered.
    pub(crate) fn end_request(&self, body_length: u64) {
        let mut observed = self.observed();
        observed.pipelined |= observed.framing.body_bytes() > body_length;
        observed.fully_read = observed.framing.body_bytes() == body_length;
        observed.framing = FramingCheck::default();
        drop(observed);
        self.phase.send_replace(Phase::Idle(Instant::now()));
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        *self.phase.borrow() == Phase::Busy
    }

    /// Whether everything that the peer sent has been read, as far as the server can tell.
    pub(crate) fn is_fully_read(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Idle(_)) && self.observed().fully_read
    }

    /// Completes with the reason when the peer has exceeded a timeout.
    pub(crate) async fn timed_out(&self, settings: &ConnectionSettings) -> &'static str {
        let mut phase = self.phase.subscribe();
        loop {
            let (deadline, reason) = match *phase.borrow_and_update() {
                Phase::Header(since) => {
                    (Some(since + settings.header), "its headers took too long")
                }
                Phase::Idle(since) => (Some(since + settings.idle), "it was idle too long"),
                Phase::Busy => (None, ""),
            };
            let expired = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = expired => return reason,
                // The sender lives as long as `self`.
                changed = phase.changed() => if changed.is_err() { return "it is gone" },
            }
        }
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        // Nothing that can panic runs under this lock.
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn settings() -> ConnectionSettings {
        let mut settings = ConnectionSettings::default();
        (settings.header, settings.idle) = (Duration::from_secs(10), Duration::from_secs(60));
        settings
    }

    #[tokio::test(start_paused = true)]
    async fn headers_have_ten_seconds_and_an_idle_connection_a_minute() {
        let (state, started) = (ConnectionState::new(), Instant::now());
        state.timed_out(&settings()).await;
        assert_eq!(started.elapsed().as_secs(), 10);
        state.end_request(0);
        let started = Instant::now();
        state.timed_out(&settings()).await;
        assert_eq!(started.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn headers_get_no_more_time_for_sending_a_byte_now_and_then() {
        let (state, started, settings) = (ConnectionState::new(), Instant::now(), settings());
        state.end_request(0);
        let trickle = async {
            let mut interval = tokio::time::interval(Duration::from_secs(5));
            loop {
                interval.tick().await;
                state.on_read(b"P");
            }
        };
        tokio::select! {
            () = trickle => {}
            _ = state.timed_out(&settings) => {}
        }
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_does_not_time_out() {
        let state = ConnectionState::new();
        state.begin_request();
        let day = Duration::from_secs(86_400);
        let settings = settings();
        assert!(tokio::time::timeout(day, state.timed_out(&settings)).await.is_err());
    }

    #[test]
    fn a_pipelined_request_is_told_from_one_that_was_sent_after_the_response() {
        let state = ConnectionState::new();
        state.on_read(HEAD);
        state.on_read(b"{}");
        assert!(state.begin_request());
        state.end_request(2);
        state.on_read(HEAD);
        assert!(state.begin_request(), "it was sent after the response");
        state.on_read(HEAD);
        state.end_request(0);
        assert!(!state.begin_request(), "it was pipelined");
    }

    #[test]
    fn headers_of_which_a_part_was_pipelined_are_not_valid() {
        let state = ConnectionState::new();
        let (unseen, rest) = HEAD.split_at(9);
        state.on_read(HEAD);
        assert!(state.begin_request());
        state.on_read(unseen);
        state.end_request(0);
        state.on_read(rest);
        assert!(!state.begin_request());
    }
}
