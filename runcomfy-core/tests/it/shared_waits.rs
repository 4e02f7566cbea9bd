//! Many who wait for one run, over a mock and a paused clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all};
use runcomfy_core::{
    Error, ErrorKind, MockRunComfyApi, Wait, WaitEnd,
    error::Operation,
    request::{RequestResult, RequestState, RequestStatus},
    wait::{SharedWaits, WaitEvent, WaitPolicy},
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::wait::{d1, in_state, r1, secs, succeeded};

type Api = Arc<MockRunComfyApi>;

/// A service whose run is, `after` so long, as `look` says, with a result for whoever asks. Counts looks.
fn service(
    look: impl Fn(Duration) -> Result<RequestStatus, Error> + Send + 'static,
) -> (Api, Arc<AtomicU32>) {
    let (mut api, looks, start) = (MockRunComfyApi::new(), Arc::default(), Instant::now());
    let counter: Arc<AtomicU32> = Arc::clone(&looks);
    api.expect_get_request_status().returning(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        look(start.elapsed())
    });
    api.expect_get_request_result().returning(|_, _| succeeded());
    (Arc::new(api), looks)
}

/// A run that is over after so long.
fn takes(time: Duration) -> (Api, Arc<AtomicU32>) {
    service(move |after| in_state(if after < time { "in_progress" } else { "completed" }))
}

fn wait(api: &Api, timeout: Option<Duration>) -> Wait<Api> {
    let mut policy = WaitPolicy::default();
    (policy.timeout, policy.jitter) = (timeout, 0.0);
    Wait::new(Arc::clone(api), d1(), r1()).policy(policy)
}

/// Waits among others; how it ended.
async fn end(waits: &SharedWaits<u8>, caller: u8, wait: Wait<Api>) -> Result<WaitEnd, Error> {
    let mut events = std::pin::pin!(waits.events(caller, wait));
    while let Some(event) = events.next().await {
        if let WaitEvent::Ended(end) = event? {
            assert!(events.next().await.is_none(), "an end is the last");
            return Ok(end);
        }
    }
    panic!("no end");
}

fn is_finished(end: &WaitEnd) -> bool {
    matches!(end, WaitEnd::Finished(finished) if finished.result.is_ok())
}

/// Lets all that is ready run.
async fn settle() {
    tokio::time::advance(Duration::from_millis(1)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waits_for_one_run_ask_as_often_as_one() {
    let count = async |many: usize| {
        let (api, looks) = takes(secs(60));
        let waits = SharedWaits::new();
        let all = (0..many).map(|_| end(&waits, 1, wait(&api, Some(secs(120)))));
        assert!(join_all(all).await.iter().all(|end| is_finished(end.as_ref().unwrap())));
        assert_eq!(waits.pollers(), 0);
        assert_eq!(waits.polls(), u64::from(looks.load(Ordering::Relaxed)));
        looks.load(Ordering::Relaxed)
    };
    let alone = count(1).await;
    assert_eq!(count(1000).await, alone);
    assert!((15..40).contains(&alone), "{alone}");
}

#[tokio::test(start_paused = true)]
async fn waits_of_two_callers_share_nothing() {
    let (mine, my_looks) = takes(secs(30));
    let (theirs, their_looks) =
        service(|_| Err(Error::new(Operation::GetRequestStatus, ErrorKind::Unauthenticated)));
    let waits = SharedWaits::new();
    let (mine, theirs) =
        tokio::join!(end(&waits, 1, wait(&mine, None)), end(&waits, 2, wait(&theirs, None)),);
    assert!(is_finished(&mine.unwrap()));
    assert_eq!(theirs.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert_eq!(their_looks.load(Ordering::Relaxed), 1);
    assert!(my_looks.load(Ordering::Relaxed) > 10);
}

#[tokio::test(start_paused = true)]
async fn once_the_last_has_left_nobody_looks() {
    let (api, looks) = takes(secs(3600));
    let waits = SharedWaits::new();
    let mut all: Vec<_> = (0..3).map(|_| Box::pin(waits.events(1, wait(&api, None)))).collect();
    for events in &mut all {
        events.next().await;
    }
    all.truncate(1);
    settle().await;
    assert_eq!(waits.pollers(), 1);
    all.clear();
    settle().await;
    assert_eq!(waits.pollers(), 0);
    let seen = looks.load(Ordering::Relaxed);
    tokio::time::advance(secs(600)).await;
    settle().await;
    assert_eq!(looks.load(Ordering::Relaxed), seen);
    // Whoever comes then is served as the first was.
    assert!(is_finished(&end(&waits, 1, wait(&api, None)).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn six_hours_with_the_link_down_in_three_of_every_ten_minutes_end_well() {
    const END: u64 = 6 * 3600;
    let (api, looks) = service(|after| {
        if after.as_secs() % 600 >= 420 {
            Err(Error::new(Operation::GetRequestStatus, ErrorKind::UpstreamUnavailable))
        } else {
            in_state(if after < secs(END) { "in_progress" } else { "completed" })
        }
    });
    let (waits, began) = (SharedWaits::new(), Instant::now());
    let ended = end(&waits, 1, wait(&api, None)).await.unwrap();
    assert!(is_finished(&ended));
    // At most a look's pause after the end.
    assert!(began.elapsed() <= secs(END + 40), "{:?}", began.elapsed());
    // Half an hour at 15 s and the rest at 30 s make 780; minutes of failure, twice as many at most.
    let looks = looks.load(Ordering::Relaxed);
    assert!((600..1300).contains(&looks), "{looks}");
}

#[tokio::test(start_paused = true)]
async fn each_has_a_deadline_of_its_own_and_a_look_shortly_before_it() {
    let (api, _) = takes(Duration::from_millis(9_050));
    let waits = SharedWaits::new();
    let ended = async |timeout: u64| {
        let (began, timeout) = (Instant::now(), Duration::from_millis(timeout));
        let ended = end(&waits, 1, wait(&api, Some(timeout))).await.unwrap();
        (is_finished(&ended), began.elapsed().as_millis())
    };
    let (soon, later, last) = tokio::join!(ended(500), ended(4_000), ended(9_200));
    assert_eq!((soon, later), ((false, 500), (false, 4_000)));
    // The look that would come next is past the deadline; without another the end would be missed.
    assert_eq!(last, (true, 9_100));
}

#[tokio::test(start_paused = true)]
async fn many_with_one_deadline_share_the_last_look() {
    let (api, looks) = takes(secs(3600));
    let (waits, took) = (SharedWaits::new(), secs(10));
    join_all((0..100).map(|_| end(&waits, 1, wait(&api, Some(took))))).await;
    assert!(looks.load(Ordering::Relaxed) <= 12, "{looks:?}");
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_is_told_what_is_true_now_and_at_once() {
    let (api, looks) =
        service(|after| in_state(if after < secs(1000) { "in_queue" } else { "in_progress" }));
    let waits = SharedWaits::new();
    let first = tokio::spawn({
        let (waits, wait) = (waits.clone(), wait(&api, Some(secs(2000))));
        async move { end(&waits, 1, wait).await }
    });
    // The first looks every 15 s by now, and has not seen the change yet.
    sleep_until(Instant::now() + secs(1001)).await;
    let before = looks.load(Ordering::Relaxed);
    let mut late = Box::pin(waits.events(1, wait(&api, None)));
    let told = timeout(Duration::from_millis(1), late.next()).await.unwrap();
    let Some(Ok(WaitEvent::Changed(status))) = told else { panic!("{told:?}") };
    assert_eq!(status.state(), RequestState::InProgress);
    assert_eq!(looks.load(Ordering::Relaxed), before + 1);
    // A young wait looks often again.
    assert!(timeout(secs(5), late.next()).await.is_err());
    assert_eq!(looks.load(Ordering::Relaxed), before + 2);
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn that_a_run_is_over_is_told_before_its_result_is_there() {
    let mut api = MockRunComfyApi::new();
    api.expect_get_request_status().returning(|_, _| in_state("completed"));
    api.expect_get_request_result().returning(|_, _| Ok(RequestResult::new(r1(), "in_progress")));
    let waits = SharedWaits::new();
    let mut events = Box::pin(waits.events(1, wait(&Arc::new(api), None)));
    let told = timeout(Duration::from_millis(1), events.next()).await.unwrap();
    let Some(Ok(WaitEvent::Changed(status))) = told else { panic!("{told:?}") };
    assert_eq!(status.state(), RequestState::Completed);
    let Some(Ok(WaitEvent::Ended(WaitEnd::Finished(_)))) = events.next().await else {
        panic!("no end");
    };
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_all_and_names_the_run() {
    let (api, looks) = service(|after| {
        if after < secs(20) {
            return in_state("in_queue");
        }
        Err(Error::new(Operation::GetRequestStatus, ErrorKind::PermissionDenied))
    });
    let waits = SharedWaits::new();
    let all = join_all((0..5).map(|_| end(&waits, 1, wait(&api, None)))).await;
    for ended in all {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.request_id(), Some(&r1()));
    }
    let before = looks.load(Ordering::Relaxed);
    assert!(end(&waits, 1, wait(&api, None)).await.is_err());
    assert_eq!(looks.load(Ordering::Relaxed), before + 1);
}

#[tokio::test(start_paused = true)]
async fn who_asks_to_be_left_alone_is_however_many_come() {
    let (api, looks) = service(|_| {
        Err(Error::new(Operation::GetRequestStatus, ErrorKind::RateLimited)
            .with_retry_after(secs(25)))
    });
    let waits = SharedWaits::new();
    let all = (0..20).map(|late| {
        let waits = &waits;
        let wait = wait(&api, Some(secs(20)));
        async move {
            sleep_until(Instant::now() + Duration::from_millis(200 * late)).await;
            end(waits, 1, wait).await
        }
    });
    for ended in join_all(all).await {
        let WaitEnd::TimedOut(ended) = ended.unwrap() else { panic!("nothing was seen") };
        assert_eq!(ended.last_error.unwrap().kind(), ErrorKind::RateLimited);
    }
    assert_eq!(looks.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn looks_that_break_off_leave_nobody_waiting() {
    let (api, _) = service(|after| {
        assert!(after < secs(10), "the service's client is broken");
        in_state("in_progress")
    });
    let waits = SharedWaits::new();
    let all = join_all((0..3).map(|_| end(&waits, 1, wait(&api, None)))).await;
    assert!(all.iter().all(|ended| ended.as_ref().is_err_and(|e| e.request_id() == Some(&r1()))));
    assert_eq!(waits.pollers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn coming_and_going_at_any_moment_loses_nobody() {
    let began = Instant::now();
    let mut api = MockRunComfyApi::new();
    api.expect_get_request_status().returning(move |_, _| {
        let over = began.elapsed() > Duration::from_millis(300);
        in_state(if over { "completed" } else { "in_progress" })
    });
    api.expect_get_request_result().returning(|_, _| succeeded());
    let (api, waits) = (Arc::new(api), SharedWaits::new());
    let mut quick = WaitPolicy::default();
    (quick.shortest, quick.growth, quick.timeout) = (Duration::from_millis(10), 0.0, None);
    let all = (0..8).map(|_| {
        let (api, waits, policy) = (Arc::clone(&api), waits.clone(), quick.clone());
        tokio::spawn(async move {
            let (mut finished, mut left) = (0, 0);
            while finished < 200 {
                let wait = Wait::new(Arc::clone(&api), d1(), r1()).policy(policy.clone());
                if fastrand::bool() {
                    assert!(is_finished(&end(&waits, 1, wait).await.unwrap()));
                    finished += 1;
                } else {
                    let brief = Duration::from_micros(fastrand::u64(..500));
                    // Leaves, mostly.
                    let _ = timeout(brief, end(&waits, 1, wait)).await;
                    left += 1;
                }
            }
            left
        })
    });
    let left = timeout(secs(30), join_all(all)).await.unwrap();
    assert!(left.into_iter().map(Result::unwrap).sum::<u32>() > 400);
    timeout(secs(5), async {
        while waits.pollers() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
