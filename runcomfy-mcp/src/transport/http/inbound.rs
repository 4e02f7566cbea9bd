//! Reading a message: so large, so slow and so many at once, and no more.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::ConnectionSettings;

/// Bytes of messages in memory, of everyone's.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    room: Arc<Semaphore>,
    most: usize,
}

/// A permit is for this many bytes.
const UNIT: usize = 1024;

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let most = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(most)), most }
    }

    /// Bytes in use.
    pub(super) fn taken(&self) -> u64 {
        (self.most.saturating_sub(self.room.available_permits()) * UNIT) as u64
    }

    fn has_room_for(&self, bytes: u64) -> bool {
        bytes.div_ceil(UNIT as u64) <= self.room.available_permits() as u64
    }
}

/// What a message holds of the budget, until nobody needs the message any more.
#[derive(Debug, Default)]
pub(crate) struct Load(Mutex<Option<OwnedSemaphorePermit>>);

impl Load {
    /// Gives it back: the message has been dealt with, though its call may go on.
    pub(crate) fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Makes it large enough for so many bytes; `false` where the budget has no more.
    fn grow(&self, budget: &Budget, bytes: usize) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(UNIT).saturating_sub(has);
        let Ok(missing) = u32::try_from(missing) else { return false };
        if missing == 0 {
            return true;
        }
        let Ok(more) = Arc::clone(&budget.room).try_acquire_many_owned(missing) else {
            return false;
        };
        match held.as_mut() {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        true
    }
}

/// Why a message was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    NoRoom,
    /// Its own framing is wrong, or the peer went away.
    Broken,
}

/// Reads a body whose length may have been told.
pub(super) async fn read(
    body: Body,
    length: Option<u64>,
    most: usize,
    times: &ConnectionSettings,
    budget: &Budget,
) -> Result<(Bytes, Load), Unread> {
    if length.is_some_and(|length| length > most as u64) {
        return Err(Unread::TooLarge);
    }
    if !budget.has_room_for(length.unwrap_or(0)) {
        return Err(Unread::NoRoom);
    }
    // What is held is what came: a peer that promises much and sends little holds little.
    let (started, load, mut bytes) = (Instant::now(), Load::default(), BytesMut::new());
    let mut body = std::pin::pin!(body);
    loop {
        let next = std::future::poll_fn(|context| body.as_mut().poll_frame(context));
        let by = started + patience(bytes.len(), times);
        let frame = match timeout_at(by, next).await {
            Err(_) => return Err(Unread::TooSlow),
            Ok(Some(frame)) => frame.map_err(|_| Unread::Broken)?,
            Ok(None) => return Ok((bytes.freeze(), load)),
        };
        let Ok(data) = frame.into_data() else { continue };
        let total = bytes.len() + data.len();
        if total > most {
            return Err(Unread::TooLarge);
        }
        if !load.grow(budget, total) {
            return Err(Unread::NoRoom);
        }
        bytes.extend_from_slice(&data);
    }
}

/// How long after its start a body may be without more bytes, if so many have come.
fn patience(received: usize, times: &ConnectionSettings) -> Duration {
    let rate = f64::from(times.body_bytes_per_second.max(1));
    let earned = times.body_grace + Duration::from_secs_f64(received as f64 / rate);
    earned.min(times.body)
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    fn times() -> ConnectionSettings {
        ConnectionSettings::default()
    }

    #[test]
    fn a_body_earns_time_by_coming() {
        let seconds = |received| patience(received, &times()).as_secs_f64();
        assert_eq!((seconds(0), seconds(4096), seconds(40 * 4096)), (5.0, 6.0, 30.0));
    }

    /// A body of pieces of this size, each a second after the one before.
    fn dribble(size: usize) -> Body {
        let ticks =
            stream::unfold(tokio::time::interval(Duration::from_secs(1)), |mut every| async {
                every.tick().await;
                Some(((), every))
            });
        Body::from_stream(ticks.map(move |()| Ok::<_, std::io::Error>(vec![b'x'; size])))
    }

    #[tokio::test(start_paused = true)]
    async fn p08_a_body_that_dribbles_is_given_up() {
        for (size, after) in [(1, 5), (1000, 6), (5000, 30)] {
            let (started, budget) = (Instant::now(), Budget::new(1 << 20));
            let read = read(dribble(size), None, 1 << 20, &times(), &budget).await;
            assert_eq!(read.unwrap_err(), Unread::TooSlow);
            assert_eq!(started.elapsed().as_secs(), after, "{size} bytes a second");
        }
    }

    #[tokio::test]
    async fn r01_the_budget_is_what_came_of_all_and_it_is_given_back() {
        let budget = Budget::new(10 * 1024);
        let read = async |bytes: usize, length: Option<u64>| {
            read(Body::from(vec![b'x'; bytes]), length, 1 << 20, &times(), &budget).await
        };
        let (_, first) = read(6 * 1024, None).await.unwrap();
        assert_eq!(read(5 * 1024, None).await.unwrap_err(), Unread::NoRoom);
        assert_eq!(read(0, Some(5 * 1024)).await.unwrap_err(), Unread::NoRoom);
        first.release();
        let second = read(10 * 1024, None).await.unwrap();
        assert!(!budget.has_room_for(1));
        drop(second);
        assert!(budget.has_room_for(10 * 1024));
    }

    #[tokio::test]
    async fn p06_a_body_over_the_limit_is_not_read_to_its_end() {
        let budget = Budget::new(1 << 20);
        for (sent, told) in [(0, Some(101)), (101, None)] {
            let body = Body::from(vec![b'x'; sent]);
            assert_eq!(
                read(body, told, 100, &times(), &budget).await.unwrap_err(),
                Unread::TooLarge
            );
        }
        assert!(read(Body::from(vec![b'x'; 100]), Some(100), 100, &times(), &budget).await.is_ok());
    }
}
