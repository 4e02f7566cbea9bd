//! Waits for runs that were submitted just now, over a mock and a paused clock.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt as _;
use runcomfy_core::{
    MockRunComfyApi, Wait, WaitEnd,
    wait::{SharedWaits, WaitEvent, WaitPolicy},
};
use tokio::time::{Instant, sleep_until};

use crate::wait::{d1, in_state, r1, secs, succeeded};

type Looks = Arc<Mutex<Vec<Duration>>>;

/// A service whose run goes on until `over`, and when it was looked at.
fn service(over: Duration) -> (Arc<MockRunComfyApi>, Looks) {
    let (mut api, looks, start) = (MockRunComfyApi::new(), Looks::default(), Instant::now());
    let seen = Arc::clone(&looks);
    api.expect_get_request_status().returning(move |_, _| {
        seen.lock().unwrap().push(start.elapsed());
        in_state(if start.elapsed() < over { "in_progress" } else { "completed" })
    });
    api.expect_get_request_result().returning(|_, _| succeeded());
    (Arc::new(api), looks)
}

fn wait(api: &Arc<MockRunComfyApi>, timeout: Duration) -> Wait<Arc<MockRunComfyApi>> {
    let policy = WaitPolicy::with_timeout(timeout);
    Wait::new(Arc::clone(api), d1(), r1()).policy(policy).just_submitted()
}

async fn end(waits: &SharedWaits<u8>, wait: Wait<Arc<MockRunComfyApi>>) -> WaitEnd {
    let mut events = std::pin::pin!(waits.events(1, wait));
    loop {
        if let WaitEvent::Ended(end) = events.next().await.unwrap().unwrap() {
            return end;
        }
    }
}

/// When a run is looked at that does not end, by itself and among others.
async fn looks(timeout: Duration) -> [Vec<Duration>; 2] {
    let (api, alone) = service(Duration::MAX);
    wait(&api, timeout).finish().await.unwrap();
    let (api, shared) = service(Duration::MAX);
    end(&SharedWaits::new(), wait(&api, timeout)).await;
    [alone, shared].map(|looks| looks.lock().unwrap().clone())
}

#[tokio::test(start_paused = true)]
async fn the_first_look_comes_after_a_while() {
    for looks in looks(secs(60)).await {
        assert!((secs(2)..secs(4)).contains(&looks[0]), "{looks:?}");
        assert!(looks.len() > 15, "{looks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_looks_once_and_shortly_before_its_deadline() {
    for millis in [150, 500, 1000, 2000] {
        let timeout = Duration::from_millis(millis);
        for looks in looks(timeout).await {
            assert_eq!(looks, [timeout - Duration::from_millis(100)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_too_short_for_that_looks_at_once() {
    for millis in [0, 1, 100] {
        for looks in looks(Duration::from_millis(millis)).await {
            assert_eq!(looks, [Duration::ZERO], "{millis}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_look_finds_an_end_before_the_first_was_due() {
    let (api, _) = service(Duration::from_millis(800));
    let ended = end(&SharedWaits::new(), wait(&api, secs(1))).await;
    assert!(matches!(ended, WaitEnd::Finished(_)));
    let (api, _) = service(Duration::from_millis(800));
    let ended = wait(&api, secs(1)).finish().await.unwrap();
    assert!(matches!(ended, WaitEnd::Finished(_)));
}

#[tokio::test(start_paused = true)]
async fn who_comes_to_it_without_having_submitted_is_told_at_once() {
    let (api, looks) = service(Duration::MAX);
    let (waits, start) = (SharedWaits::new(), Instant::now());
    let half = Duration::from_millis(500);
    tokio::join!(end(&waits, wait(&api, secs(60))), async {
        sleep_until(start + half).await;
        let late = Wait::new(Arc::clone(&api), d1(), r1());
        let mut events = std::pin::pin!(waits.events(1, late));
        assert!(matches!(events.next().await, Some(Ok(WaitEvent::Changed(_)))));
        assert_eq!(start.elapsed(), half);
    });
    assert_eq!(looks.lock().unwrap()[0], half);
}
