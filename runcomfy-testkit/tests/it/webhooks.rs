//! Tests of webhooks over real sockets.

mod receiver;
mod restart;

use std::time::Duration;

use runcomfy_testkit::{Emulator, EmulatorBuilder, FakeRunComfy, Fault};
use serde_json::{Value, json};

use crate::http::{Reply, call};
use receiver::{Receiver, Told};

const TEXT_TO_IMAGE: &str = "a1b2c3d4-0000-4000-8000-000000000001";
const BROKEN: &str = "a1b2c3d4-0000-4000-8000-000000000010";

/// A cold start of 10 ms, runs of 5 ms, and 10 ms before the first retry.
fn fast() -> EmulatorBuilder {
    let account = FakeRunComfy::builder()
        .time_scale(100.0)
        .cold_start(Duration::from_secs(1))
        .run_time(Duration::from_millis(500))
        .cancel_latency(Duration::ZERO);
    Emulator::builder().account(account)
}

/// Runs start at once and never end.
fn endless() -> EmulatorBuilder {
    let day = Duration::from_secs(86_400);
    Emulator::builder()
        .account(FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(day).time_scale(100.0))
}

/// Submits with these query parameters and returns the request's id.
async fn submit(emulator: &Emulator, deployment: &str, query: &str, body: Value) -> String {
    let path = format!("POST /prod/v2/deployments/{deployment}/inference?{query}");
    let reply = call(emulator, &path, Some(body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["request_id"].as_str().unwrap().to_owned()
}

async fn ask(emulator: &Emulator, deployment: &str, request: &str, action: &str) -> Reply {
    let method = if action == "cancel" { "POST" } else { "GET" };
    let path = format!("{method} /prod/v2/deployments/{deployment}/requests/{request}/{action}");
    call(emulator, &path, None).await
}

async fn result(emulator: &Emulator, deployment: &str, request: &str) -> Value {
    ask(emulator, deployment, request, "result").await.json()
}

/// The payload of an intermediate state.
fn on_the_way(request: &str, status: &str) -> Value {
    json!({"request_id": request, "deployment_id": TEXT_TO_IMAGE, "status": status})
}

#[tokio::test]
async fn every_state_is_told_in_order_as_documented() {
    let (mut receiver, emulator) = (Receiver::start(|_| 200).await, fast().start().await.unwrap());
    let query = receiver.query("/hook?key=1", "&webhook_intermediate_status=true");
    let request = submit(&emulator, TEXT_TO_IMAGE, &query, json!({})).await;
    for expected in ["in_queue", "in_progress"] {
        let told = receiver.told().await;
        assert_eq!(told.payload, on_the_way(&request, expected));
    }
    let Told { target, content_type, authorization, payload } = receiver.told().await;
    let result = result(&emulator, TEXT_TO_IMAGE, &request).await;
    assert!(result["outputs"]["9"]["images"][0]["url"].is_string(), "{result}");
    assert_eq!(
        payload,
        json!({
            "request_id": request, "deployment_id": TEXT_TO_IMAGE, "status": "succeeded",
            "created_at": result["created_at"], "finished_at": result["finished_at"],
            "outputs": result["outputs"],
        })
    );
    assert_eq!(
        (target.as_str(), content_type.as_deref(), authorization),
        ("/hook?key=1", Some("application/json"), None)
    );
}

#[tokio::test]
async fn without_states_on_the_way_only_the_end_is_told() {
    for parameter in ["", "&webhook_intermediate_status=false"] {
        let (mut receiver, emulator) =
            (Receiver::start(|_| 200).await, fast().start().await.unwrap());
        let request =
            submit(&emulator, TEXT_TO_IMAGE, &receiver.query("/", parameter), json!({})).await;
        let told = receiver.told().await.payload;
        assert_eq!(told["status"], "succeeded", "{parameter:?}: {told}");
        assert_eq!(told["request_id"], *request);
    }
}

#[tokio::test]
async fn what_a_receiver_refused_is_told_again_before_what_comes_next() {
    let mut answers = [200, 500, 503, 404].into_iter();
    let receiver = Receiver::start(move |_| answers.next().unwrap_or(200)).await;
    let (mut receiver, emulator) = (receiver, fast().start().await.unwrap());
    let query = receiver.query("/", "&webhook_intermediate_status=true");
    submit(&emulator, TEXT_TO_IMAGE, &query, json!({})).await;
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "succeeded") {
        told.push(receiver.told().await.payload["status"].as_str().unwrap().to_owned());
    }
    let progress = ["in_progress"; 4];
    assert_eq!(told, [&["in_queue"][..], &progress, &["succeeded"]].concat());
}

#[tokio::test]
async fn of_a_run_that_failed_type_and_message_are_told() {
    let (mut receiver, emulator) = (Receiver::start(|_| 200).await, fast().start().await.unwrap());
    let request = submit(&emulator, BROKEN, &receiver.query("/", ""), json!({})).await;
    let told = receiver.told().await.payload;
    let result = result(&emulator, BROKEN, &request).await;
    let error = &result["error"];
    assert!(error["type"].is_string() && error["message"].is_string(), "{result}");
    assert_eq!(
        told,
        json!({
            "request_id": request, "deployment_id": BROKEN, "status": "failed",
            "created_at": result["created_at"], "finished_at": result["finished_at"],
            "error": {"type": error["type"], "message": error["message"]},
        })
    );
}

#[tokio::test]
async fn an_error_that_is_a_list_is_told_as_it_is() {
    let fault: Fault = "failed_run(error=array)".parse().unwrap();
    let emulator = fast().fault(fault).start().await.unwrap();
    let mut receiver = Receiver::start(|_| 200).await;
    let request = submit(&emulator, TEXT_TO_IMAGE, &receiver.query("/", ""), json!({})).await;
    let told = receiver.told().await.payload;
    let result = result(&emulator, TEXT_TO_IMAGE, &request).await;
    assert!(result["error"][0]["errorCode"].is_i64(), "{result}");
    assert_eq!(told["error"], result["error"]);
}

#[tokio::test]
async fn of_a_run_that_was_cancelled_the_time_is_told() {
    let emulator = endless().start().await.unwrap();
    let mut receiver = Receiver::start(|_| 200).await;
    let query = receiver.query("/", "");
    let mut requests = Vec::new();
    for state in ["in_progress", "in_progress", "in_queue"] {
        let request = submit(&emulator, TEXT_TO_IMAGE, &query, json!({})).await;
        let status = ask(&emulator, TEXT_TO_IMAGE, &request, "status").await;
        assert_eq!(status.json()["status"], state);
        requests.push(request);
    }
    // The waiting one first, so that it does not start.
    for request in requests.iter().rev() {
        let cancelled = ask(&emulator, TEXT_TO_IMAGE, request, "cancel").await;
        assert_eq!(cancelled.json()["outcome"], "cancelled");
        let told = receiver.told().await.payload;
        let result = result(&emulator, TEXT_TO_IMAGE, request).await;
        assert_eq!(
            told,
            json!({
                "request_id": request, "deployment_id": TEXT_TO_IMAGE, "status": "cancelled",
                "finished_at": result["finished_at"],
            })
        );
    }
}

#[tokio::test]
async fn copies_are_the_same_again_and_the_order_stays() {
    let mut receiver = Receiver::start(|_| 200).await;
    let emulator = fast().webhook_copies(3).start().await.unwrap();
    let query = receiver.query("/", "&webhook_intermediate_status=true");
    submit(&emulator, TEXT_TO_IMAGE, &query, json!({})).await;
    for status in ["in_queue", "in_progress", "succeeded"] {
        let first = receiver.told().await.payload;
        assert_eq!(first["status"], status);
        for _ in 1..3 {
            assert_eq!(receiver.told().await.payload, first);
        }
    }
}

#[tokio::test]
async fn the_body_may_name_the_webhook_and_the_query_goes_before_it() {
    let (mut receiver, emulator) = (Receiver::start(|_| 200).await, fast().start().await.unwrap());
    let fields =
        |path: &str| json!({"webhook": receiver.url(path), "webhook_intermediate_status": true});
    let (by_body, by_both) = (fields("/body"), fields("/overruled"));
    submit(&emulator, TEXT_TO_IMAGE, "", by_body).await;
    for status in ["in_queue", "in_progress", "succeeded"] {
        let told = receiver.told().await;
        assert_eq!((told.target.as_str(), &told.payload["status"]), ("/body", &json!(status)));
    }
    let query = receiver.query("/query", "&webhook_intermediate_status=false");
    submit(&emulator, TEXT_TO_IMAGE, &query, by_both).await;
    let told = receiver.told().await;
    assert_eq!((told.target.as_str(), &told.payload["status"]), ("/query", &json!("succeeded")));
}

#[tokio::test]
async fn a_webhook_in_the_body_that_is_none_is_refused_where_it_stands() {
    let emulator = endless().start().await.unwrap();
    let path = format!("POST /prod/v1/deployments/{TEXT_TO_IMAGE}/inference");
    for (field, value) in [
        ("webhook", json!("ftp://example.com/")),
        ("webhook", json!(7)),
        ("webhook_intermediate_status", json!("sometimes")),
    ] {
        let reply = call(&emulator, &path, Some(json!({field: value}))).await;
        assert_eq!(reply.status, 422);
        assert_eq!(reply.json()["detail"][0]["loc"], json!(["body", field]));
    }
}
