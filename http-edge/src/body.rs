//! Reads request bodies within limits of size and speed, and within a memory budget for all of them.

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

use crate::settings::ConnectionSettings;

/// A limit on the bytes of request bodies in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    free: Arc<Semaphore>,
    total: usize,
}

/// One permit of the semaphore stands for this many bytes.
const UNIT: usize = 1024;

impl MemoryBudget {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let total = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(total)), total }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        (self.total.saturating_sub(self.free.available_permits()) * UNIT) as u64
    }

    fn has_free(&self, bytes: u64) -> bool {
        bytes.div_ceil(UNIT as u64) <= self.free.available_permits() as u64
    }
}

/// The part of a [`MemoryBudget`] that one body uses, until this is dropped or released.
#[derive(Debug, Default)]
pub struct MemoryPermit(Mutex<Option<OwnedSemaphorePermit>>);

impl MemoryPermit {
    /// Returns the memory to the budget, because the body is not needed any more although the request goes on.
    pub fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Raises the permit to this many bytes. `false` if the budget does not have them.
    fn grow(&self, budget: &MemoryBudget, bytes: usize) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(UNIT).saturating_sub(has);
        let Ok(missing) = u32::try_from(missing) else { return false };
        if missing == 0 {
            return true;
        }
        let Ok(more) = Arc::clone(&budget.free).try_acquire_many_owned(missing) else {
            return false;
        };
        match held.as_mut() {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        true
    }
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBodyError {
    /// It is larger than allowed.
    TooLarge,
    /// It arrived more slowly than allowed.
    TooSlow,
    /// The memory budget is used up.
    NoMemory,
    /// Its framing is wrong, or the peer disconnected.
    Incomplete,
}

/// Reads a body of at most `max_bytes`. `content_length` allows to refuse it before it is received.
///
/// # Errors
/// The body is too large, too slow or incomplete, or the budget is used up.
pub async fn read_body(
    body: Body,
    content_length: Option<u64>,
    max_bytes: usize,
    settings: &ConnectionSettings,
    budget: &MemoryBudget,
) -> Result<(Bytes, MemoryPermit), ReadBodyError> {
    if content_length.is_some_and(|length| length > max_bytes as u64) {
        return Err(ReadBodyError::TooLarge);
    }
    if !budget.has_free(content_length.unwrap_or(0)) {
        return Err(ReadBodyError::NoMemory);
    }
    // The permit grows with the bytes received, so that a large Content-Length alone uses no memory.
    let (started, permit, mut bytes) = (Instant::now(), MemoryPermit::default(), BytesMut::new());
    let mut body = std::pin::pin!(body);
    loop {
        let next = std::future::poll_fn(|context| body.as_mut().poll_frame(context));
        let deadline = started + allowed_time(bytes.len(), settings);
        let frame = match timeout_at(deadline, next).await {
            Err(_) => return Err(ReadBodyError::TooSlow),
            Ok(Some(frame)) => frame.map_err(|_| ReadBodyError::Incomplete)?,
            Ok(None) => return Ok((bytes.freeze(), permit)),
        };
        let Ok(data) = frame.into_data() else { continue };
        let total = bytes.len() + data.len();
        if total > max_bytes {
            return Err(ReadBodyError::TooLarge);
        }
        if !permit.grow(budget, total) {
            return Err(ReadBodyError::NoMemory);
        }
        bytes.extend_from_slice(&data);
    }
}

/// How long after its start the next byte of a body may arrive, after this many bytes.
fn allowed_time(received: usize, settings: &ConnectionSettings) -> Duration {
    let rate = f64::from(settings.body_bytes_per_second.max(1));
    let earned = settings.body_grace + Duration::from_secs_f64(received as f64 / rate);
    earned.min(settings.body)
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    fn settings() -> ConnectionSettings {
        ConnectionSettings::default()
    }

    #[test]
    fn each_byte_of_a_body_extends_its_deadline() {
        let seconds = |received| allowed_time(received, &settings()).as_secs_f64();
        assert_eq!((seconds(0), seconds(4096), seconds(40 * 4096)), (5.0, 6.0, 30.0));
    }

    /// A body that sends a piece of this size every second.
    fn slow_body(size: usize) -> Body {
        let ticks =
            stream::unfold(tokio::time::interval(Duration::from_secs(1)), |mut every| async {
                every.tick().await;
                Some(((), every))
            });
        Body::from_stream(ticks.map(move |()| Ok::<_, std::io::Error>(vec![b'x'; size])))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_too_slow_is_not_read_to_its_end() {
        for (size, after) in [(1, 5), (1000, 6), (5000, 30)] {
            let (started, budget) = (Instant::now(), MemoryBudget::new(1 << 20));
            let read = read_body(slow_body(size), None, 1 << 20, &settings(), &budget).await;
            assert_eq!(read.unwrap_err(), ReadBodyError::TooSlow);
            assert_eq!(started.elapsed().as_secs(), after, "{size} bytes a second");
        }
    }

    #[tokio::test]
    async fn all_bodies_share_one_memory_budget_and_return_what_they_used() {
        let budget = MemoryBudget::new(10 * 1024);
        let read = async |bytes: usize, length: Option<u64>| {
            read_body(Body::from(vec![b'x'; bytes]), length, 1 << 20, &settings(), &budget).await
        };
        let (_, first) = read(6 * 1024, None).await.unwrap();
        assert_eq!(read(5 * 1024, None).await.unwrap_err(), ReadBodyError::NoMemory);
        assert_eq!(read(0, Some(5 * 1024)).await.unwrap_err(), ReadBodyError::NoMemory);
        first.release();
        let second = read(10 * 1024, None).await.unwrap();
        assert!(!budget.has_free(1));
        drop(second);
        assert!(budget.has_free(10 * 1024));
    }

    #[tokio::test]
    async fn a_body_over_the_size_limit_is_not_read_to_its_end() {
        let budget = MemoryBudget::new(1 << 20);
        for (sent, content_length) in [(0, Some(101)), (101, None)] {
            let body = Body::from(vec![b'x'; sent]);
            assert_eq!(
                read_body(body, content_length, 100, &settings(), &budget).await.unwrap_err(),
                ReadBodyError::TooLarge
            );
        }
        assert!(
            read_body(Body::from(vec![b'x'; 100]), Some(100), 100, &settings(), &budget)
                .await
                .is_ok()
        );
    }
}
