//! Tests of the fake in memory with a paused clock.

use std::time::Duration;

use runcomfy_core::{
    DeploymentId, Error, ErrorKind, InferenceRequest, Overrides, RunComfyApi as _, Wait, WaitEnd,
    error::Operation,
    request::{RequestResult, RequestState},
    wait::WaitPolicy,
};
use runcomfy_testkit::{FakeRunComfy, Script};
use serde_json::json;
use tokio::time::{Instant, advance};

fn dep() -> DeploymentId {
    DeploymentId::new("dep_1").unwrap()
}

/// Waits until the run is over.
async fn finish(api: &FakeRunComfy, script: Script) -> RequestResult {
    api.next_request(script);
    let run = api.submit_request(&InferenceRequest::new(dep())).await.unwrap();
    let mut policy = WaitPolicy::default();
    policy.timeout = None;
    match Wait::new(api, dep(), run.request_id).policy(policy).finish().await.unwrap() {
        WaitEnd::Finished(finished) => finished.result.unwrap(),
        WaitEnd::TimedOut(_) => unreachable!("the wait has no timeout"),
    }
}

fn one() -> FakeRunComfy {
    FakeRunComfy::builder().empty().deployment("dep_1").build()
}

#[tokio::test(start_paused = true)]
async fn its_runs_are_those_that_were_accepted_whatever_responses_callers_got() {
    let api = one();
    let request = |text: &str| {
        InferenceRequest::new(dep()).overrides(Overrides::new().set("6", "text", text))
    };
    let told = api.submit_request(&request("answered")).await.unwrap();
    let error = || Error::new(Operation::SubmitRequest, ErrorKind::TimedOut);
    api.next_call_fails(Operation::SubmitRequest, error());
    api.submit_request(&request("withheld")).await.unwrap_err();
    api.next_answer_lost(Operation::SubmitRequest, error());
    api.submit_request(&request("lost")).await.unwrap_err();
    let runs = api.runs();
    let overrides: Vec<_> = runs.iter().map(|run| run.overrides.clone()).collect();
    let expected = [request("answered"), request("lost")].map(|request| request.overrides);
    assert_eq!(overrides, expected);
    assert_eq!(runs[0].request_id, told.request_id);
}

#[tokio::test(start_paused = true)]
async fn a_script_says_how_its_run_ends() {
    let api = one();
    let ended = finish(&api, Script::default()).await;
    assert_eq!(ended.state(), RequestState::Succeeded);
    assert_eq!(ended.output_files().len(), 1);
    let failed = finish(&api, Script::default().fails(json!({"type": "T", "message": "m"}))).await;
    assert_eq!(failed.state(), RequestState::Failed);
    assert_eq!(failed.failure().unwrap().message.as_deref(), Some("m"));
    let cancelled = finish(&api, Script::default().cancelled()).await;
    assert_eq!(cancelled.status.as_deref(), Some("cancelled"));
    let american = finish(&api, Script::default().cancelled().spelled_canceled()).await;
    assert_eq!(american.status.as_deref(), Some("canceled"));
    let empty = finish(&api, Script::default().completes_without_outputs()).await;
    assert_eq!((empty.state(), empty.outputs), (RequestState::Succeeded, Some(json!({}))));
}

#[tokio::test(start_paused = true)]
async fn a_script_says_when_its_run_starts_and_how_long_it_takes() {
    let script = Script::default().queued(Duration::from_secs(90)).running(Duration::from_secs(7));
    let api = FakeRunComfy::builder().empty().deployment("dep_1").next_request(script).build();
    let run = api.submit_request(&InferenceRequest::new(dep())).await.unwrap();
    for (wait, state) in [
        (0, RequestState::InQueue),
        (89, RequestState::InQueue),
        (1, RequestState::InProgress),
        (6, RequestState::InProgress),
        (1, RequestState::Completed),
    ] {
        advance(Duration::from_secs(wait)).await;
        let status = api.get_request_status(&dep(), &run.request_id).await.unwrap();
        assert_eq!(status.state(), state, "{wait}");
    }
    let result = api.get_request_result(&dep(), &run.request_id).await.unwrap();
    assert_eq!(result.created_at.as_deref(), Some("2026-04-16T03:40:52.093Z"));
    assert_eq!(result.finished_at.as_deref(), Some("2026-04-16T03:42:29.093Z"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_to_fail_fails_once_and_has_no_effect() {
    let api = one();
    let refused = || Error::new(Operation::SubmitRequest, ErrorKind::RateLimited);
    api.next_call_fails(Operation::SubmitRequest, refused());
    api.get_deployment(&dep(), runcomfy_core::deployment::Include::none()).await.unwrap();
    let request = InferenceRequest::new(dep());
    let error = api.submit_request(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    let run = api.submit_request(&request).await.unwrap();
    let status = api.get_request_status(&dep(), &run.request_id).await.unwrap();
    assert_eq!(status.queue_position, Some(0));
    assert_eq!(api.calls_of(Operation::SubmitRequest), 2);
    assert_eq!(api.submits_seen(), [request.clone(), request]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_call_that_took_effect() {
    let lost = Error::new(Operation::SubmitRequest, ErrorKind::TimedOut);
    let api = FakeRunComfy::builder()
        .empty()
        .deployment("dep_1")
        .next_answer_lost(Operation::SubmitRequest, lost)
        .build();
    let request = InferenceRequest::new(dep());
    let error = api.submit_request(&request).await.unwrap_err();
    assert_eq!((error.kind(), api.runs_started()), (ErrorKind::TimedOut, 1));
    let run = api.submit_request(&request).await.unwrap();
    let status = api.get_request_status(&dep(), &run.request_id).await.unwrap();
    assert_eq!((status.queue_position, api.runs_started()), (Some(1), 2));
}

#[tokio::test(start_paused = true)]
async fn only_submits_that_were_accepted_count_as_runs() {
    let api = one();
    let nowhere = InferenceRequest::new(DeploymentId::new("dep_2").unwrap());
    let refused = api.submit_request(&nowhere).await.unwrap_err();
    assert_eq!((refused.kind(), api.runs_started()), (ErrorKind::NotFound, 0));
    // The call is refused, so there is no response to lose.
    let lost = Error::new(Operation::SubmitRequest, ErrorKind::TimedOut);
    api.next_answer_lost(None, lost);
    let refused = api.submit_request(&nowhere).await.unwrap_err();
    assert_eq!((refused.kind(), api.runs_started()), (ErrorKind::NotFound, 0));
    api.submit_request(&InferenceRequest::new(dep())).await.unwrap();
    assert_eq!((api.runs_started(), api.calls_of(Operation::SubmitRequest)), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn results_go_with_their_deployment() {
    let api = one();
    let ended = finish(&api, Script::default()).await;
    api.delete_deployment(&dep()).await.unwrap();
    let gone = api.get_request_result(&dep(), &ended.request_id.unwrap()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_ids() {
    let run = async |seed| {
        let api = FakeRunComfy::builder().empty().deployment("dep_1").seed(seed).build();
        api.submit_request(&InferenceRequest::new(dep())).await.unwrap().request_id
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

#[tokio::test(start_paused = true)]
async fn minutes_pass_in_no_time() {
    let (api, started) = (one(), Instant::now());
    finish(&api, Script::default().running(Duration::from_secs(3600))).await;
    assert!(started.elapsed() >= Duration::from_secs(3630));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_calls_are_remembered_but_all_are_counted() {
    let api = FakeRunComfy::builder().empty().deployment("dep_1").remember_calls(3).build();
    for _ in 0..5 {
        api.submit_request(&InferenceRequest::new(dep())).await.unwrap();
    }
    assert_eq!((api.calls().len(), api.calls_of(Operation::SubmitRequest)), (3, 5));
}
