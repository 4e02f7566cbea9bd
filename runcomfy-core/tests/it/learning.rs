//! What earlier runs of a deployment teach of the next.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use runcomfy_core::{
    Wait, WaitEnd,
    wait::{SharedWaits, WaitEvent, WaitPolicy},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    runs::{Run, Service, Waited},
    wait::{d1, secs},
};

/// A service five of whose runs took a minute each, and who waited for them as caller 1.
async fn after_five(run: Run) -> (Service, SharedWaits<u8>) {
    fastrand::seed(1);
    let (service, waits) = (Service::new(true), SharedWaits::new());
    for _ in 0..5 {
        service.run(&waits, 1, run).await;
    }
    (service, waits)
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_like_the_last_ones_is_known_at_once_and_for_few_looks() {
    let minute = Run::takes(secs(60));
    let (service, waits) = after_five(minute).await;
    let Waited { delay, looks } = service.run(&waits, 1, minute).await;
    assert!(delay < secs(1) && looks <= 7, "{delay:?} {looks}");
    // Time in queue is no work.
    let queued = Run { queued: secs(100), ..minute };
    assert!(service.run(&waits, 1, queued).await.delay < secs(8));
}

#[tokio::test(start_paused = true)]
async fn callers_learn_nothing_from_each_other() {
    let minute = Run::takes(secs(60));
    let (service, waits) = after_five(minute).await;
    assert!(service.run(&waits, 2, minute).await.looks > 15);
    assert!(service.run(&waits, 1, minute).await.looks <= 7);
}

#[tokio::test(start_paused = true)]
async fn runs_that_did_not_succeed_teach_nothing() {
    for end in ["failed", "cancelled"] {
        let minute = Run { end, ..Run::takes(secs(60)) };
        let (service, waits) = after_five(minute).await;
        assert!(service.run(&waits, 1, minute).await.looks > 15, "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_over_sooner_than_any_before_is_noticed_in_time() {
    let (service, waits) = after_five(Run::takes(secs(600))).await;
    for seconds in [3, 10, 30, 100, 300] {
        let (service, waits) = (&service, &waits);
        let Waited { delay, .. } = service.run(waits, 1, Run::takes(secs(seconds))).await;
        assert!(delay <= secs(15), "{seconds} {delay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_longer_than_any_before_is_looked_at_ever_more_rarely() {
    let (service, waits) = after_five(Run::takes(secs(10))).await;
    let Waited { delay, looks } = service.run(&waits, 1, Run::takes(secs(3600))).await;
    assert!(delay <= secs(36) && (100..300).contains(&looks), "{delay:?} {looks}");
}

#[tokio::test(start_paused = true)]
async fn the_first_end_that_is_known_tells_those_who_wait_already() {
    let (mut alone, mut together) = (Duration::ZERO, Duration::ZERO);
    // Looks at a run of five minutes are a quarter of a minute apart, unless somebody knows better.
    let (first, second) = (Run::takes(secs(300)), Run::takes(secs(315)));
    for seed in 0..20 {
        fastrand::seed(seed);
        let service = Service::new(true);
        alone += service.run(&SharedWaits::new(), 1, second).await.delay;
        let waits = SharedWaits::new();
        let (_, known) =
            tokio::join!(service.run(&waits, 1, first), service.run(&waits, 1, second));
        together += known.delay;
    }
    println!("{:?} {:?}", alone / 20, together / 20);
    assert!(together < alone * 8 / 10, "{:?} {:?}", alone / 20, together / 20);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waited_long_in_queue_is_looked_at_as_if_it_was_young() {
    let (service, run) = (Service::new(true), Run { queued: secs(1200), ..Run::takes(secs(60)) });
    let policy = WaitPolicy::with_timeout(secs(3600));
    for seed in 0..20 {
        fastrand::seed(seed);
        let Waited { delay, .. } = service.run(&SharedWaits::new(), 1, run).await;
        assert!(delay < secs(4), "{delay:?}");
        let wait = Wait::new(Arc::clone(&service.api), d1(), service.submit(run));
        let ended = wait.policy(policy.clone()).finish().await.unwrap();
        let WaitEnd::Finished(ended) = ended else { panic!("{ended:?}") };
        assert!(ended.waited < secs(1264), "{:?}", ended.waited);
    }
}

#[tokio::test(start_paused = true)]
async fn news_do_not_put_off_a_last_look() {
    let (service, waits, start) = (Service::new(true), SharedWaits::new(), Instant::now());
    let millis = Duration::from_millis;
    let mut policy = WaitPolicy::default();
    policy.jitter = 0.0;
    let mut wait = |run, timeout| {
        policy.timeout = Some(timeout);
        let wait = Wait::new(Arc::clone(&service.api), d1(), service.submit(run));
        waits.events(1, wait.policy(policy.clone()).just_submitted())
    };
    // The end of the first is known after 5.423 s, which is when the second looks for the last time.
    let first = wait(Run::takes(millis(5000)), secs(60)).collect::<Vec<_>>();
    let second = async {
        sleep_until(start + secs(1)).await;
        wait(Run::takes(millis(4250)), millis(4523)).collect::<Vec<_>>().await
    };
    let (_, second) = tokio::join!(first, second);
    let Some(Ok(WaitEvent::Ended(WaitEnd::Finished(ended)))) = second.last() else {
        panic!("{second:?}");
    };
    assert_eq!(ended.waited, millis(4423));
}
