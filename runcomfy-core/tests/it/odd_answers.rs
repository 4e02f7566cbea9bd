//! Answers that are slow, strange or new, and what is made of them.

use std::time::Duration;

use runcomfy_core::{
    ErrorKind, InferenceRequest, RunComfyApi as _, Wait, WaitEnd,
    client::Timeouts,
    deployment::{Include, ListDeployments},
    error::{Operation, Outcome},
    instance::{ProxyCall, ProxyPath, ProxyReply},
    request::RequestState,
    retry::RetryPolicy,
    wait::WaitPolicy,
};
use runcomfy_testkit::{Emulator, FakeRunComfy, Fault};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    canned::{Canned, Reply, TOKEN, builder},
    endpoints::{d1, r1},
    refusals::fail,
};

fn wait(api: &runcomfy_core::HttpApi, millis: u64) -> Wait<&runcomfy_core::HttpApi> {
    let mut policy = WaitPolicy::with_timeout(Duration::from_millis(millis));
    policy.shortest = Duration::from_millis(10);
    Wait::new(api, d1(), r1()).policy(policy)
}

#[tokio::test]
async fn a_good_status_with_a_body_of_no_use_is_a_protocol_error() {
    for body in ["", "null", "[]", "{}", "<html>", "in_queue", "{\"status\""] {
        for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
            let server = Canned::start(vec![Reply::with(200, &[], body); 3]).await;
            let error = fail(&server.api(), operation).await;
            assert_eq!(error.kind(), ErrorKind::UpstreamProtocol, "{body:?}");
            assert_eq!(error.outcome(), Outcome::Unknown, "{body:?}");
            assert_eq!(error.status_code(), Some(200));
        }
    }
}

#[tokio::test]
async fn a_wait_goes_on_after_an_answer_of_no_use() {
    let html = Reply::with(200, &["Content-Type: text/html"], "<html>");
    let answer = |status: &str| Reply::json(200, &json!({"request_id": "r1", "status": status}));
    let server =
        Canned::start([html.clone(), html.clone(), html, answer("completed"), answer("succeeded")]);
    let server = server.await;
    let end = wait(&server.api(), 60_000).finish().await.unwrap();
    let WaitEnd::Finished(run) = end else { panic!("{end:?}") };
    assert_eq!(run.result.unwrap().state(), RequestState::Succeeded);
}

#[tokio::test]
async fn fields_that_are_missing_null_or_new_pass_through() {
    let wire = json!({
        "id": "d1", "name": null, "hardware": ["BLACKWELL_9000"], "status": "hibernating",
        "min_instances": "many", "shards": {"a": [1, null]},
    });
    let server = Canned::start([Reply::json(200, &wire)]).await;
    let deployment = server.api().get_deployment(&d1(), Include::none()).await.unwrap();
    assert_eq!(deployment.name, None);
    assert_eq!(deployment.hardware.as_deref(), Some(&["BLACKWELL_9000".to_owned()][..]));
    assert_eq!(deployment.status.as_deref(), Some("hibernating"));
    assert_eq!(deployment.extra["min_instances"], json!("many"));
    assert_eq!(deployment.extra["shards"], wire["shards"]);
}

#[tokio::test]
async fn a_status_is_understood_in_any_spelling_and_shown_raw_in_none() {
    for (word, state) in [
        (json!("paused"), RequestState::Unknown),
        (json!("PROCESSING"), RequestState::Unknown),
        (json!(7), RequestState::Unknown),
        (json!(null), RequestState::Unknown),
        (json!("canceled"), RequestState::Cancelled),
        (json!("CANCELLED"), RequestState::Cancelled),
        (json!("Succeeded"), RequestState::Succeeded),
    ] {
        let wire = json!({"request_id": "r1", "status": word});
        let server = Canned::start([Reply::json(200, &wire)]).await;
        let status = server.api().get_request_status(&d1(), &r1()).await.unwrap();
        assert_eq!(status.state(), state, "{word}");
        assert_eq!(serde_json::to_value(&status).unwrap(), wire);
    }
}

#[tokio::test]
async fn only_a_code_that_says_something_is_an_error() {
    let check = async |code: Value, expected: Option<ErrorKind>| {
        let body = json!({"request_id": "r1", "status": "in_queue", "error_code": code});
        let server = Canned::start([Reply::json(200, &body)]).await;
        let answer = server.api().get_request_status(&d1(), &r1()).await;
        assert_eq!(answer.err().map(|error| error.kind()), expected, "{code}");
    };
    check(json!(10_002), Some(ErrorKind::DeploymentDisabled)).await;
    check(json!("10002"), Some(ErrorKind::DeploymentDisabled)).await;
    check(json!(0), None).await;
    check(json!(null), None).await;
}

#[tokio::test]
async fn a_run_whose_result_has_numbers_that_json_lacks_is_read_and_their_places_are_told() {
    let body = r#"{"request_id": "r1", "status": "succeeded", "outputs": {"9": {"scores": [0.5, NaN], "text": ["NaN"]}}}"#;
    let server = Canned::start([Reply::with(200, &[], body)]).await;
    let result = server.api().get_request_result(&d1(), &r1()).await.unwrap();
    assert_eq!(result.outputs, Some(json!({"9": {"scores": [0.5, null], "text": ["NaN"]}})));
    assert_eq!(result.non_finite.unwrap().paths(), ["outputs.9.scores[1]"]);
}

#[tokio::test]
async fn a_deployment_with_numbers_that_json_lacks_hides_no_other_one() {
    let list = r#"[{"id": "d1"}, {"id": "d2", "payload": {"workflow_api_json": {"1": {"is_changed": [NaN]}}}}]"#;
    for (body, expected) in [
        (list.to_owned(), "payload.workflow_api_json.1.is_changed[0]"),
        (format!(r#"{{"deployments": {list}}}"#), "payload.workflow_api_json.1.is_changed[0]"),
    ] {
        let server = Canned::start([Reply::with(200, &[], &body)]).await;
        let found = server.api().list_deployments(&ListDeployments::all()).await.unwrap();
        assert_eq!((found.len(), &found[0].non_finite), (2, &None));
        assert_eq!(found[1].non_finite.as_ref().unwrap().paths(), [expected]);
        let payload = found[1].payload.as_ref().unwrap();
        payload.as_json().to_value().unwrap();
    }
}

#[tokio::test]
async fn node_errors_with_numbers_that_json_lacks_are_not_lost() {
    let body = r#"{"error_code": 422001, "error_message": "bad", "detail": [{"input": "cfg", "max": Infinity}]}"#;
    let server = Canned::start([Reply::with(422, &[], body)]).await;
    let error = fail(&server.api(), Operation::SubmitRequest).await;
    assert_eq!(error.detail(), Some(&json!([{"input": "cfg", "max": null}])));
    assert_eq!(error.non_finite().unwrap().paths(), ["detail[0].max"]);
}

#[tokio::test]
async fn an_answer_of_comfyui_with_numbers_that_json_lacks_is_json() {
    let server = Canned::start([Reply::with(200, &[], r#"{"KSampler": {"max": Infinity}}"#)]).await;
    let call = ProxyCall::new(d1(), "i1".parse().unwrap(), ProxyPath::new("object_info").unwrap());
    let reply = server.api().call_instance_proxy(&call).await.unwrap();
    let ProxyReply::JsonWithNulls { value, non_finite } = reply else { panic!("{reply:?}") };
    assert_eq!(value, json!({"KSampler": {"max": null}}));
    assert_eq!(non_finite.paths(), ["KSampler.max"]);
}

#[tokio::test]
async fn five_hundred_details_are_twenty() {
    let detail: Vec<_> = (0..500).map(|n| json!({"loc": ["body", n], "msg": "bad"})).collect();
    let body = json!({"error_code": 422_001, "error_message": "bad", "detail": detail});
    let server = Canned::start([Reply::json(422, &body)]).await;
    let error = fail(&server.api(), Operation::SubmitRequest).await;
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidRequest, 1));
    assert_eq!(error.detail().unwrap().as_array().unwrap().len(), 20);
}

/// What a call comes to that meets a fault of the emulator each time, and how long it takes.
async fn under(fault: &str, submit: bool) -> (ErrorKind, Outcome, u32, Duration) {
    let fake = FakeRunComfy::builder().deployment("d1").build();
    let emulator = Emulator::start(fake).await.unwrap();
    emulator.inject(fault.parse::<Fault>().unwrap());
    let mut timeouts = Timeouts::default();
    timeouts.read_attempt = Duration::from_millis(200);
    (timeouts.read_total, timeouts.write_attempt) =
        (Duration::from_millis(500), Duration::from_millis(300));
    let mut retry = RetryPolicy::default();
    retry.base = Duration::from_millis(1);
    let api = builder(emulator.url().as_str().trim_end_matches('/')).timeouts(timeouts);
    let api = api.retry(retry).token(TOKEN.parse().unwrap()).build().unwrap();
    let start = Instant::now();
    let error = if submit {
        api.submit_request(&InferenceRequest::new(d1())).await.unwrap_err()
    } else {
        api.list_deployments(&ListDeployments::all()).await.unwrap_err()
    };
    let seen = emulator.counters().totals.calls_of(error.operation());
    assert!(!submit || seen == 1, "{fault}: {seen} submits");
    (error.kind(), error.outcome(), error.attempts(), start.elapsed())
}

#[tokio::test]
async fn what_never_ends_is_ended_by_the_total_time() {
    for fault in ["stall", "trickle(bytes=1,every_ms=20)", "informational_flood"] {
        let (kind, outcome, attempts, took) = under(fault, true).await;
        assert_eq!(
            (kind, outcome, attempts),
            (ErrorKind::TimedOut, Outcome::Unknown, 1),
            "{fault}"
        );
        assert!(took < Duration::from_millis(1500), "{fault} {took:?}");
        let (kind, _, attempts, took) = under(fault, false).await;
        assert_eq!(kind, ErrorKind::TimedOut, "{fault}");
        assert!(attempts > 1, "{fault}");
        assert!(took < Duration::from_millis(1500), "{fault} {took:?}");
    }
}

#[tokio::test]
async fn a_change_of_protocol_that_nobody_asked_for_is_a_protocol_error() {
    let switch = Reply::Bytes(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_vec(),
    );
    for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
        let server = Canned::start(vec![switch.clone(); 3]).await;
        let error = fail(&server.api(), operation).await;
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::UpstreamProtocol, Outcome::Unknown)
        );
        assert!(operation == Operation::GetRequestStatus || server.seen().len() == 1);
    }
}

#[tokio::test]
async fn json_beyond_measure_is_an_error_and_no_crash() {
    let deep = format!(r#"{{"request_id":"r1","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let server = Canned::start(vec![Reply::with(200, &[], deep); 3]).await;
    let error = fail(&server.api(), Operation::SubmitRequest).await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::UpstreamProtocol, Outcome::Unknown));

    let twice = r#"{"request_id":"r9","status":"x","status":"in_queue","request_id":"r1"}"#;
    let digits = r#"{"request_id":"r1","queue_position":1234567890123456789012345678901234567890}"#;
    let server = Canned::start([twice, digits].map(|body| Reply::with(200, &[], body))).await;
    let api = server.api();
    let status = api.get_request_status(&d1(), &r1()).await.unwrap();
    assert_eq!(status.state(), RequestState::InQueue);
    let status = api.get_request_status(&d1(), &r1()).await.unwrap();
    assert_eq!(status.queue_position, None);
    assert!(status.extra.contains_key("queue_position"));
}

#[tokio::test]
async fn a_place_in_the_queue_passes_through_whatever_it_is() {
    for place in [-5_i64, 1_000_000_000_000] {
        let wire = json!({"request_id": "r1", "status": "in_queue", "queue_position": place});
        let server = Canned::start([Reply::json(200, &wire)]).await;
        let status = server.api().get_request_status(&d1(), &r1()).await.unwrap();
        assert_eq!(status.queue_position, Some(place));
    }
}

#[tokio::test]
async fn a_run_that_was_once_over_stays_so() {
    let answer = |status: &str| Reply::json(200, &json!({"request_id": "r1", "status": status}));
    let server =
        Canned::start([answer("completed"), answer("in_progress"), answer("succeeded")]).await;
    let end = wait(&server.api(), 60_000).finish().await.unwrap();
    let WaitEnd::Finished(run) = end else { panic!("{end:?}") };
    assert_eq!((run.status.state(), run.polls), (RequestState::Completed, 1));
    assert_eq!(run.result.unwrap().state(), RequestState::Succeeded);
}

#[tokio::test]
async fn a_result_that_fails_twice_is_fetched_and_one_that_goes_on_failing_is_told() {
    let answer = |status: &str| Reply::json(200, &json!({"request_id": "r1", "status": status}));
    let failing = || Reply::with(500, &[], "");
    let server =
        Canned::start([answer("completed"), failing(), failing(), answer("succeeded")]).await;
    let end = wait(&server.api(), 60_000).finish().await.unwrap();
    let WaitEnd::Finished(run) = end else { panic!("{end:?}") };
    assert_eq!(run.result.unwrap().state(), RequestState::Succeeded);

    let server = Canned::start([answer("completed"), failing(), failing(), failing()]).await;
    let end = wait(&server.api(), 60_000).finish().await.unwrap();
    let WaitEnd::Finished(run) = end else { panic!("{end:?}") };
    assert_eq!(run.status.state(), RequestState::Completed);
    let error = run.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamUnavailable);
    assert_eq!((error.deployment_id(), error.request_id()), (Some(&d1()), Some(&r1())));
}
