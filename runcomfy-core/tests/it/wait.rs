//! Waits, over a mock and a paused clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, pin_mut};
use runcomfy_core::{
    DeploymentId, Error, ErrorKind, MockRunComfyApi, RequestId, Wait, WaitEnd,
    error::Operation,
    request::{RequestResult, RequestState, RequestStatus},
    wait::{FinishedRun, TimedOutWait, WaitEvent, WaitPolicy},
};
use tokio::time::{Instant, timeout};

pub(crate) fn d1() -> DeploymentId {
    DeploymentId::new("d1").unwrap()
}

pub(crate) fn r1() -> RequestId {
    RequestId::new("r1").unwrap()
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn failed(kind: ErrorKind) -> Result<RequestStatus, Error> {
    Err(Error::new(Operation::GetRequestStatus, kind))
}

pub(crate) fn in_state(word: &str) -> Result<RequestStatus, Error> {
    Ok(RequestStatus::new(r1(), word))
}

/// A service whose run is, `after` so long, as `look` says. Counts looks; knows no result yet.
fn service(
    look: impl Fn(Duration) -> Result<RequestStatus, Error> + Send + 'static,
) -> (MockRunComfyApi, Arc<AtomicU32>) {
    let (mut api, looks, start) = (MockRunComfyApi::new(), Arc::default(), Instant::now());
    let counter: Arc<AtomicU32> = Arc::clone(&looks);
    api.expect_get_request_status().returning(move |deployment, run| {
        assert_eq!((deployment, run), (&d1(), &r1()));
        counter.fetch_add(1, Ordering::Relaxed);
        look(start.elapsed())
    });
    (api, looks)
}

/// Adds the result, to be fetched exactly once.
fn with_result(api: &mut MockRunComfyApi, result: fn() -> Result<RequestResult, Error>) {
    api.expect_get_request_result().times(1).returning(move |_, _| result());
}

pub(crate) fn succeeded() -> Result<RequestResult, Error> {
    Ok(RequestResult::new(r1(), "succeeded"))
}

fn wait(api: &MockRunComfyApi, timeout: Option<Duration>) -> Wait<&MockRunComfyApi> {
    let mut policy = WaitPolicy::default();
    policy.timeout = timeout;
    Wait::new(api, d1(), r1()).policy(policy)
}

async fn finished(wait: Wait<&MockRunComfyApi>) -> Box<FinishedRun> {
    match wait.finish().await.unwrap() {
        WaitEnd::Finished(finished) => finished,
        WaitEnd::TimedOut(_) => panic!("timed out"),
    }
}

async fn timed_out(wait: Wait<&MockRunComfyApi>) -> Box<TimedOutWait> {
    match wait.finish().await.unwrap() {
        WaitEnd::Finished(_) => panic!("finished"),
        WaitEnd::TimedOut(timed_out) => timed_out,
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_exactly() {
    for millis in [1, 99, 500, 1000, 2500, 300_000, 3_600_000] {
        let (api, looks) = service(|_| in_state("in_progress"));
        let (start, timeout) = (Instant::now(), Duration::from_millis(millis));
        let end = timed_out(wait(&api, Some(timeout))).await;
        assert_eq!((start.elapsed(), end.waited), (timeout, timeout));
        assert_eq!(end.last_status.unwrap().state(), RequestState::InProgress);
        assert!(end.last_error.is_none());
        assert_eq!(end.polls, looks.load(Ordering::Relaxed));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_look_is_shortly_before_the_deadline() {
    let (mut api, _) =
        service(|after| in_state(if after >= secs(9) { "completed" } else { "in_progress" }));
    with_result(&mut api, succeeded);
    // The look that would come next is past the deadline; without another the end would be missed.
    let end = finished(wait(&api, Some(Duration::from_millis(9200)))).await;
    assert_eq!(end.result.unwrap().state(), RequestState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn an_hours_wait_costs_under_three_hundred_looks() {
    let (api, looks) = service(|_| in_state("in_progress"));
    timed_out(wait(&api, Some(secs(3600)))).await;
    let looks = looks.load(Ordering::Relaxed);
    assert!((100..300).contains(&looks), "{looks}");
}

#[tokio::test(start_paused = true)]
async fn looks_that_fail_do_not_end_a_wait() {
    for kind in [
        ErrorKind::ProxyUnavailable,
        ErrorKind::ProxyUnusable,
        ErrorKind::RateLimited,
        ErrorKind::TimedOut,
        ErrorKind::UpstreamProtocol,
        ErrorKind::UpstreamTls,
        ErrorKind::UpstreamUnavailable,
    ] {
        let (mut api, _) =
            service(
                move |after| {
                    if after < secs(60) { failed(kind) } else { in_state("completed") }
                },
            );
        with_result(&mut api, succeeded);
        let end = finished(wait(&api, None)).await;
        assert_eq!(end.result.unwrap().state(), RequestState::Succeeded);
        assert!(end.waited < secs(60 + 31), "{kind:?} {:?}", end.waited);
        assert!(end.polls < 60, "{kind:?} {}", end.polls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_without_a_good_look_ends_at_its_deadline_with_the_reason() {
    let (api, _) = service(|_| failed(ErrorKind::UpstreamUnavailable));
    let start = Instant::now();
    let end = timed_out(wait(&api, Some(secs(120)))).await;
    assert_eq!(start.elapsed(), secs(120));
    assert_eq!(end.last_status, None);
    let error = end.last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::UpstreamUnavailable);
    assert_eq!((error.deployment_id(), error.request_id()), (Some(&d1()), Some(&r1())));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_ends_a_wait_at_once_with_the_ids() {
    for kind in [ErrorKind::Unauthenticated, ErrorKind::PermissionDenied] {
        let (api, _) =
            service(move |after| if after < secs(5) { in_state("in_queue") } else { failed(kind) });
        let start = Instant::now();
        let error = wait(&api, None).finish().await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!((error.deployment_id(), error.request_id()), (Some(&d1()), Some(&r1())));
        assert!(start.elapsed() < secs(8), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lasting_not_found_ends_a_wait_after_ten_seconds() {
    let (api, _) = service(|_| failed(ErrorKind::NotFound));
    let start = Instant::now();
    let error = wait(&api, None).finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.request_id(), Some(&r1()));
    // Not before the patience is over, and with the next look after that.
    assert!((secs(10)..=secs(10 + 30)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_passing_not_found_does_not_end_a_wait() {
    let (mut api, _) = service(|after| match after.as_secs() {
        0..9 => failed(ErrorKind::NotFound),
        9..40 => in_state("in_progress"),
        // The patience begins anew.
        40..43 => failed(ErrorKind::NotFound),
        _ => in_state("completed"),
    });
    with_result(&mut api, succeeded);
    finished(wait(&api, None)).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_no_time_looks_once() {
    let start = Instant::now();
    let (api, looks) = service(|_| in_state("in_queue"));
    let end = timed_out(wait(&api, Some(Duration::ZERO))).await;
    assert_eq!(end.last_status.unwrap().state(), RequestState::InQueue);
    assert_eq!((looks.load(Ordering::Relaxed), end.polls), (1, 1));

    let (mut api, looks) = service(|_| in_state("completed"));
    with_result(&mut api, succeeded);
    finished(wait(&api, Some(Duration::ZERO))).await;
    assert_eq!(looks.load(Ordering::Relaxed), 1);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_result_is_fetched_once_at_the_end_in_any_spelling_of_it() {
    for word in ["completed", "cancelled", "canceled", "Succeeded", "failed"] {
        let (mut api, _) =
            service(move |after| in_state(if after < secs(20) { "in_progress" } else { word }));
        with_result(&mut api, succeeded);
        let end = finished(wait(&api, None)).await;
        assert_eq!(end.status.status.as_deref(), Some(word));
        assert!((secs(20)..secs(25)).contains(&end.waited), "{:?}", end.waited);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_not_ready_yet_is_asked_for_again() {
    let (mut api, _) = service(|_| in_state("completed"));
    let mut tries = 0;
    api.expect_get_request_result().times(3).returning(move |_, _| {
        tries += 1;
        Ok(RequestResult::new(r1(), if tries < 3 { "in_progress" } else { "succeeded" }))
    });
    let end = finished(wait(&api, None)).await;
    assert_eq!(end.result.unwrap().state(), RequestState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_can_not_be_fetched_leaves_the_status_and_the_ids() {
    let (mut api, _) = service(|_| in_state("completed"));
    with_result(&mut api, || {
        Err(Error::new(Operation::GetRequestResult, ErrorKind::UpstreamUnavailable))
    });
    let end = finished(wait(&api, None)).await;
    assert_eq!(end.status.state(), RequestState::Completed);
    let error = end.result.unwrap_err();
    assert_eq!(error.operation(), Operation::GetRequestResult);
    assert_eq!(error.kind(), ErrorKind::UpstreamUnavailable);
    assert_eq!((error.deployment_id(), error.request_id()), (Some(&d1()), Some(&r1())));
}

#[tokio::test(start_paused = true)]
async fn a_word_that_nobody_knows_is_not_the_end() {
    let (api, _) = service(|_| in_state("paused"));
    let end = timed_out(wait(&api, Some(secs(60)))).await;
    assert_eq!(end.last_status.unwrap().status.as_deref(), Some("paused"));
}

#[tokio::test(start_paused = true)]
async fn not_found_lasts_only_while_nothing_else_is_heard() {
    let (mut api, _) = service(|after| match after.as_secs() {
        0..90 | 130..220 => failed(ErrorKind::NotFound),
        90..130 => failed(ErrorKind::UpstreamUnavailable),
        _ => in_state("completed"),
    });
    with_result(&mut api, succeeded);
    let mut policy = WaitPolicy::default();
    (policy.timeout, policy.not_found_grace) = (None, secs(100));
    finished(Wait::new(&api, d1(), r1()).policy(policy)).await;
}

/// The events of a wait in short: the status with its place, the failed look, or the end.
async fn told(wait: Wait<&MockRunComfyApi>) -> Vec<String> {
    let (mut told, events) = (Vec::new(), wait.events());
    pin_mut!(events);
    while let Some(event) = events.next().await {
        told.push(match event {
            Ok(WaitEvent::Changed(status)) => match status.queue_position {
                Some(place) => format!("{} {place}", status.state()),
                None => status.state().to_string(),
            },
            Ok(WaitEvent::PollFailed(error)) => error.kind().as_str().to_owned(),
            Ok(WaitEvent::Ended(WaitEnd::Finished(_))) => "finished".to_owned(),
            Ok(WaitEvent::Ended(WaitEnd::TimedOut(_))) => "timed out".to_owned(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => format!("error {}", error.kind().as_str()),
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_stream_shows_each_change_once_and_the_end_last() {
    let (mut api, looks) = service(|after| match after.as_secs() {
        0..30 => {
            let mut status = RequestStatus::new(r1(), "in_queue");
            status.queue_position = Some(if after < secs(15) { 2 } else { 1 });
            Ok(status)
        }
        30..100 => in_state("in_progress"),
        _ => in_state("completed"),
    });
    with_result(&mut api, succeeded);
    let told = told(wait(&api, None)).await;
    assert_eq!(told, ["in queue 2", "in queue 1", "in progress", "finished"]);
    assert!(looks.load(Ordering::Relaxed) > 10);
}

#[tokio::test(start_paused = true)]
async fn a_stream_shows_failed_looks_and_ends_with_the_first_final_error() {
    let (api, _) = service(|after| match after.as_secs() {
        0..3 => in_state("in_progress"),
        3 => failed(ErrorKind::UpstreamUnavailable),
        4..9 => in_state("in_progress"),
        _ => failed(ErrorKind::Unauthenticated),
    });
    let mut told = told(wait(&api, None)).await;
    told.dedup();
    assert_eq!(told.first().unwrap(), "in progress");
    assert_eq!(told.last().unwrap(), "error unauthenticated");
    assert!(told.len() <= 3, "{told:?}");

    let (api, _) = service(|_| in_state("in_progress"));
    let told = self::told(wait(&api, Some(secs(5)))).await;
    assert_eq!(told, ["in progress", "timed out"]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_makes_no_further_calls() {
    let (api, looks) = service(|_| in_state("in_progress"));
    timeout(secs(20), wait(&api, None).finish()).await.unwrap_err();
    {
        let events = wait(&api, None).events();
        pin_mut!(events);
        events.next().await.unwrap().unwrap();
    }
    let made = looks.load(Ordering::Relaxed);
    assert!(made > 5);
    tokio::time::advance(secs(600)).await;
    assert_eq!(looks.load(Ordering::Relaxed), made);
}

#[tokio::test(start_paused = true)]
async fn time_asked_for_is_left_before_the_next_look() {
    let asked = || {
        Err(Error::new(Operation::GetRequestStatus, ErrorKind::RateLimited)
            .with_retry_after(secs(20)))
    };
    let (mut api, _) =
        service(move |after| if after < secs(1) { asked() } else { in_state("completed") });
    with_result(&mut api, succeeded);
    let end = finished(wait(&api, None)).await;
    assert_eq!((end.polls, end.waited), (2, secs(20)));
}

#[tokio::test(start_paused = true)]
async fn no_policy_makes_a_wait_panic_or_spin() {
    let mut odd = WaitPolicy::with_timeout(secs(5));
    (odd.shortest, odd.shortest_in_queue) = (Duration::ZERO, Duration::ZERO);
    for (growth, jitter, longest) in [
        (f64::NAN, 2.0, Duration::MAX),
        (f64::INFINITY, f64::NAN, secs(15)),
        (-1.0, -1.0, Duration::ZERO),
    ] {
        (odd.growth, odd.jitter, odd.longest) = (growth, jitter, longest);
        let (api, looks) = service(|_| in_state("in_queue"));
        let start = Instant::now();
        let end = Wait::new(&api, d1(), r1()).policy(odd.clone()).finish().await.unwrap();
        assert!(matches!(end, WaitEnd::TimedOut(_)), "{odd:?}");
        assert_eq!(start.elapsed(), secs(5), "{odd:?}");
        assert!(looks.load(Ordering::Relaxed) <= 1000, "{odd:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_can_live_in_a_task_of_its_own() {
    let (mut api, _) = service(|_| in_state("completed"));
    with_result(&mut api, succeeded);
    let api: Arc<dyn runcomfy_core::RunComfyApi> = Arc::new(api);
    let end = tokio::spawn(Wait::new(api, d1(), r1()).finish()).await.unwrap().unwrap();
    assert!(matches!(end, WaitEnd::Finished(_)));
}
