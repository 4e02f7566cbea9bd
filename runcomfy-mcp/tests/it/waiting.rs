//! Waiting through `submit_request`: progress, time, and what is never lost.

use std::time::Duration;

use runcomfy_core::{Error, ErrorKind, error::Operation};
use runcomfy_testkit::{FakeRunComfy, Script};
use serde_json::json;
use tokio::time::Instant;

use runcomfy_mcp::Settings;

use crate::harness::{Session, call_without_progress, connect, connect_with, texts};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn fake(script: Script) -> FakeRunComfy {
    FakeRunComfy::builder().empty().deployment("dep_1").next_request(script).build()
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_at_once_on_each_change_and_at_least_every_fifteen_seconds() {
    let session = connect(fake(Script::default().queued(seconds(40)).running(seconds(5)))).await;
    session
        .data("submit_request", json!({"deployment_id": "dep_1", "wait_for_completion": true}))
        .await;
    let told = session.progress();
    assert_eq!(told[0], "submitting");
    assert!(told[1].starts_with("submitted request "), "{told:?}");
    assert!(told[2].contains("in queue"), "{told:?}");
    assert!(told.iter().filter(|line| line.ends_with(" s so far")).count() >= 3, "{told:?}");
    // Ids of instances say nothing to a person.
    assert!(told.iter().any(|line| line == "in progress"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_runs_out_ends_on_time_with_all_that_is_needed_to_go_on() {
    for timeout in [1, 45, 240] {
        let session = connect(fake(Script::default().queued(seconds(86_400)))).await;
        let started = Instant::now();
        let arguments = json!({"deployment_id": "dep_1", "wait_for_completion": true, "timeout_seconds": timeout});
        let result = session.call("submit_request", arguments).await;
        assert_eq!(started.elapsed(), seconds(timeout));
        assert_eq!(result.is_error, Some(false));
        let data = result.structured_content.as_ref().unwrap();
        assert_eq!(data["timed_out"], true);
        assert_eq!(data["finished"], false);
        assert!(is_next(data), "{data}");
        assert_eq!(data["status"]["status"], "in_queue");
        assert!(data["note"].is_string(), "why it waits: {data}");
        assert!(data["request_id"].is_string() && data["retry_after_seconds"].is_u64(), "{data}");
        assert!(texts(&result)[0].contains(data["request_id"].as_str().unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_longer_than_the_clients_that_give_up_first_take() {
    let session = connect(fake(Script::default().queued(seconds(86_400)))).await;
    let started = Instant::now();
    let submit = json!({"deployment_id": "dep_1", "wait_for_completion": true});
    let data = session.data("submit_request", submit).await;
    assert_eq!((started.elapsed(), &data["timed_out"]), (seconds(240), &json!(true)));
    assert!(data["request_id"].is_string(), "{data}");
}

#[tokio::test(start_paused = true)]
async fn who_hears_no_progress_and_names_no_time_waits_for_less_than_a_minute() {
    for (asked, waited) in [(None, 50), (Some(120), 120), (Some(600), 240)] {
        let api = fake(Script::default().queued(seconds(86_400)));
        let mut submit = json!({"deployment_id": "dep_1", "wait_for_completion": true});
        if let Some(asked) = asked {
            submit["timeout_seconds"] = asked.into();
        }
        let started = Instant::now();
        let data = call_without_progress(api, "submit_request", submit).await;
        assert_eq!(started.elapsed(), seconds(waited));
        assert!(data["request_id"].is_string() && data["timed_out"] == true, "{data}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_knows_is_asked_for_once_more_and_not_again() {
    let api = fake(Script::default());
    let session = connect(api.clone()).await;
    let ids = json!({"deployment_id": "dep_1", "request_id": "no-such", "wait_seconds": 45});
    let started = Instant::now();
    let fault = session.fault("get_request_result", ids).await;
    assert_eq!(fault["kind"], "not_found");
    assert!(started.elapsed() < seconds(2), "{:?}", started.elapsed());
    assert_eq!(api.calls_of(Operation::GetRequestStatus), 2);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_says_first_that_nothing_new_was_started() {
    let session = connect(fake(Script::default().running(seconds(5)))).await;
    let submit =
        json!({"deployment_id": "dep_1", "wait_for_completion": true, "idempotency_key": "one"});
    session.data("submit_request", submit.clone()).await;
    let again = session.call("submit_request", submit).await;
    assert!(texts(&again)[0].starts_with("Earlier run, nothing new was started"), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_does_not_end_the_wait() {
    let api = fake(Script::default().running(seconds(30)));
    for _ in 0..3 {
        api.next_call_fails(
            Operation::GetRequestStatus,
            Error::new(Operation::GetRequestStatus, ErrorKind::UpstreamUnavailable),
        );
    }
    let session = connect(api).await;
    let data = session
        .data("submit_request", json!({"deployment_id": "dep_1", "wait_for_completion": true}))
        .await;
    assert_eq!(data["state"], "succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_token_revoked_while_waiting_does_not_lose_the_run() {
    let api = fake(Script::default().running(seconds(30)));
    let error =
        Error::new(Operation::GetRequestStatus, ErrorKind::Unauthenticated).with_status_code(401);
    api.next_call_fails(Operation::GetRequestStatus, error);
    let session = connect(api).await;
    let data = session
        .fault("submit_request", json!({"deployment_id": "dep_1", "wait_for_completion": true}))
        .await;
    assert_eq!(data["kind"], "unauthenticated");
    assert_eq!((&data["outcome"], &data["retryable"]), (&json!("applied"), &json!(false)));
    assert!(
        data["request_id"].is_string() && data["submission"]["request_id"].is_string(),
        "{data}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_fetched_still_comes_with_ids_and_status() {
    let api = fake(Script::default().running(seconds(3)));
    api.next_call_fails(
        Operation::GetRequestResult,
        Error::new(Operation::GetRequestResult, ErrorKind::UpstreamProtocol),
    );
    let session = connect(api).await;
    let data = session
        .fault("submit_request", json!({"deployment_id": "dep_1", "wait_for_completion": true}))
        .await;
    assert_eq!(data["outcome"], "applied");
    assert_eq!(data["status"]["status"], "completed");
    assert!(data["finished"] == true && is_next(&data), "{data}");
    assert!(!data["message"].as_str().unwrap().contains("goes on"), "{data}");
    assert!(data["request_id"].is_string(), "{data}");
}

#[tokio::test(start_paused = true)]
async fn a_submit_that_fails_is_not_sent_again_by_the_server() {
    let api = fake(Script::default());
    api.next_call_fails(
        Operation::SubmitRequest,
        Error::new(Operation::SubmitRequest, ErrorKind::TimedOut),
    );
    let session = connect(api.clone()).await;
    session
        .fault("submit_request", json!({"deployment_id": "dep_1", "wait_for_completion": true}))
        .await;
    assert_eq!(api.calls_of(Operation::SubmitRequest), 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_no_time_at_all_looks_once() {
    let api = fake(Script::default().queued(seconds(60)));
    let session = connect(api.clone()).await;
    let arguments =
        json!({"deployment_id": "dep_1", "wait_for_completion": true, "timeout_seconds": 0});
    let data = session.data("submit_request", arguments).await;
    assert_eq!(data["timed_out"], true);
    assert_eq!(api.calls_of(Operation::GetRequestStatus), 1);
}

#[tokio::test(start_paused = true)]
async fn who_submits_and_waits_does_not_look_before_there_can_be_news() {
    let api = fake(Script::default().queued(seconds(60)));
    let session = connect(api.clone()).await;
    let arguments = json!({
        "deployment_id": "dep_1", "wait_for_completion": true, "timeout_seconds": 1, "idempotency_key": "one",
    });
    session.data("submit_request", arguments.clone()).await;
    // The last, shortly before the deadline.
    assert_eq!(api.calls_of(Operation::GetRequestStatus), 1);
    // Of a run that was there before there may be news: at once, and in the end.
    let again = session.data("submit_request", arguments).await;
    assert_eq!(again["replayed"], true);
    assert_eq!(api.calls_of(Operation::GetRequestStatus), 3);
}

#[tokio::test(start_paused = true)]
async fn waits_for_one_run_ask_together() {
    let looks = async |many: usize| {
        let api = fake(Script::default().queued(seconds(20)).running(seconds(40)));
        let session = connect(api.clone()).await;
        let arguments = json!({
            "deployment_id": "dep_1", "wait_for_completion": true, "idempotency_key": "one",
        });
        let waits = (0..many).map(|_| session.data("submit_request", arguments.clone()));
        for answer in futures_util::future::join_all(waits).await {
            assert_eq!(answer["state"], "succeeded");
        }
        assert_eq!(api.calls_of(Operation::SubmitRequest), 1);
        api.calls_of(Operation::GetRequestStatus)
    };
    let (one, many) = (looks(1).await, looks(60).await);
    // Chance moves each look a little.
    assert!(many <= one + 4, "{many} looks of sixty, {one} of one");
}

/// Whether the next step is the one there is.
fn is_next(data: &serde_json::Value) -> bool {
    data["next"].as_str().is_some_and(|next| next.starts_with("get_request_result with "))
}

/// A run that somebody has submitted.
async fn submitted(session: &Session) -> serde_json::Value {
    let data = session.data("submit_request", json!({"deployment_id": "dep_1"})).await;
    json!({"deployment_id": "dep_1", "request_id": data["request_id"]})
}

fn for_seconds(ids: &serde_json::Value, wait: u64) -> serde_json::Value {
    let mut arguments = ids.clone();
    arguments["wait_seconds"] = wait.into();
    arguments
}

#[tokio::test(start_paused = true)]
async fn a_look_that_waits_answers_when_the_state_changes_and_not_at_every_step() {
    let api = fake(Script::default().queued(seconds(60)).running(seconds(20)));
    let session = connect(api).await;
    let ids = submitted(&session).await;
    let began = Instant::now();
    let look = || session.data("get_request_status", for_seconds(&ids, 300));
    let running = look().await;
    assert_eq!((&running["state"], &running["finished"]), (&json!("in_progress"), &json!(false)));
    assert!((60..70).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let finished = look().await;
    assert!(finished["state"] == "completed" && is_next(&finished), "{finished}");
    assert!((80..90).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    // There is nothing more to wait for.
    let (again, now) = (look().await, Instant::now());
    assert_eq!((&again["state"], now.elapsed()), (&json!("completed"), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_waits_in_vain_ends_on_time_and_says_what_to_do() {
    let session = connect(fake(Script::default().queued(seconds(86_400)))).await;
    let ids = submitted(&session).await;
    for tool in ["get_request_status", "get_request_result"] {
        let began = Instant::now();
        let data = session.data(tool, for_seconds(&ids, 45)).await;
        assert_eq!(began.elapsed(), seconds(45), "{tool}");
        assert_eq!((&data["state"], &data["timed_out"]), (&json!("in_queue"), &json!(true)));
        assert!(data["finished"] == false && is_next(&data), "{data}");
        assert!(data["retry_after_seconds"].is_u64() && data["status"].is_object(), "{data}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_waited_for_comes_as_soon_as_there_is_one() {
    let session = connect(fake(Script::default().queued(seconds(20)).running(seconds(10)))).await;
    let ids = submitted(&session).await;
    let began = Instant::now();
    let data = session.data("get_request_result", for_seconds(&ids, 300)).await;
    assert_eq!((&data["state"], &data["finished"]), (&json!("succeeded"), &json!(true)));
    assert!(data["output_urls"].as_array().is_some_and(|urls| !urls.is_empty()), "{data}");
    // The machine takes 30 s to start, the run ten.
    assert!((40..46).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_the_operator_lets_them() {
    let mut settings = Settings::default();
    settings.longest_wait = seconds(30);
    let session = connect_with(fake(Script::default().queued(seconds(86_400))), settings).await;
    let ids = submitted(&session).await;
    let began = Instant::now();
    let data = session.data("get_request_status", for_seconds(&ids, 3600)).await;
    assert_eq!((began.elapsed(), &data["timed_out"]), (seconds(30), &json!(true)));
    let waited =
        json!({"deployment_id": "dep_1", "wait_for_completion": true, "timeout_seconds": 3600});
    let data = session.data("submit_request", waited).await;
    assert_eq!((began.elapsed(), &data["timed_out"]), (seconds(60), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_run_that_there_is_not_is_an_error_that_names_it() {
    let session = connect(fake(Script::default())).await;
    let ids = json!({"deployment_id": "dep_1", "request_id": "no-such"});
    for tool in ["get_request_status", "get_request_result"] {
        let data = session.fault(tool, for_seconds(&ids, 300)).await;
        assert_eq!((&data["kind"], &data["request_id"]), (&json!("not_found"), &json!("no-such")));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_state_does_not_wait_for_the_result() {
    let api = fake(Script::default().running(seconds(5)));
    let session = connect(api.clone()).await;
    let ids = submitted(&session).await;
    session.data("get_request_result", for_seconds(&ids, 300)).await;
    for _ in 0..2 {
        let error = Error::new(Operation::GetRequestResult, ErrorKind::UpstreamUnavailable);
        api.next_call_fails(Operation::GetRequestResult, error);
    }
    let data = session.data("get_request_status", for_seconds(&ids, 300)).await;
    assert_eq!((&data["state"], &data["finished"]), (&json!("completed"), &json!(true)));
    let fault = session.fault("get_request_result", for_seconds(&ids, 300)).await;
    assert_eq!(fault["request_id"], ids["request_id"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_in_queue_is_said_why_and_one_that_works_is_not() {
    let api = fake(Script::default().queued(seconds(60)).running(seconds(60)));
    let session = connect(api.clone()).await;
    let run = session.data("submit_request", json!({"deployment_id": "dep_1"})).await;
    let ids = json!({"deployment_id": "dep_1", "request_id": run["request_id"]});
    let starting = session.data("get_request_status", ids.clone()).await["note"].clone();
    let pause = json!({"deployment_id": "dep_1", "is_enabled": false});
    session.data("update_deployment", pause).await;
    let paused = session.data("get_request_status", ids.clone()).await["note"].clone();
    assert!(starting.is_string() && paused.is_string() && starting != paused, "{paused}");
    let resume = json!({"deployment_id": "dep_1", "is_enabled": true});
    session.data("update_deployment", resume).await;
    let mut wait = ids.clone();
    wait["wait_seconds"] = json!(90);
    session.data("get_request_status", wait.clone()).await;
    let looks = api.calls_of(Operation::GetDeployment);
    let working = session.data("get_request_status", ids).await;
    assert_eq!((&working["state"], &working["note"]), (&json!("in_progress"), &json!(null)));
    assert_eq!(api.calls_of(Operation::GetDeployment), looks);
    // What was known of the queue is no news once it works.
    wait["wait_seconds"] = json!(5);
    let waited = session.data("get_request_result", wait).await;
    assert_eq!((&waited["timed_out"], &waited["note"]), (&json!(true), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_asked_for_every_quarter_of_a_minute_and_not_with_every_look() {
    let api = fake(Script::default().queued(seconds(600)));
    let session = connect(api.clone()).await;
    let run = session.data("submit_request", json!({"deployment_id": "dep_1"})).await;
    let ids = json!({"deployment_id": "dep_1", "request_id": run["request_id"]});
    for looks in [1, 1, 1, 2] {
        let seen = session.data("get_request_status", ids.clone()).await;
        assert!(seen["note"].is_string(), "{seen}");
        assert_eq!(api.calls_of(Operation::GetDeployment), looks);
        tokio::time::advance(seconds(6)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn why_a_run_was_in_queue_is_no_news_once_it_works() {
    let api = fake(Script::default().queued(seconds(59)).running(seconds(60)));
    let session = connect(api.clone()).await;
    let run = session.data("submit_request", json!({"deployment_id": "dep_1"})).await;
    let last =
        json!({"deployment_id": "dep_1", "request_id": run["request_id"], "wait_seconds": 60});
    let waited = session.data("get_request_result", last).await;
    assert_eq!((&waited["state"], &waited["note"]), (&json!("in_progress"), &json!(null)));
    // It was found out all the same.
    assert_eq!(api.calls_of(Operation::GetDeployment), 1);
}
