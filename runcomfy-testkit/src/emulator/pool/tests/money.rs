//! Tests of the cost of runs and of their webhooks.

use axum::{Router, routing::post};
use tokio::sync::mpsc;

use super::*;

/// High enough to measure the shortest run.
const DOLLARS_PER_HOUR: f64 = 3600.0 * 10.0;

async fn balance(caller: &Caller) -> i64 {
    let reply = caller.call("GET prod/v2/balance", None).await.json();
    reply["balance_microdollars"].as_i64().unwrap()
}

fn time(value: &Value) -> chrono::DateTime<chrono::FixedOffset> {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap()
}

/// From its start to its end, exactly.
#[tokio::test]
async fn a_run_costs_what_its_time_on_the_server_costs() {
    let mut server = held("invert", "executing");
    server.add("invert");
    server.kill();
    let account = FakeRunComfy::builder().price_usd_per_hour("AMPERE_48", DOLLARS_PER_HOUR);
    let emulator = behind(account, &[&server]).start().await.unwrap();
    let caller = Caller::of(&emulator);
    let full = balance(&caller).await;
    let requests = [caller.submit("invert").await, caller.submit("invert").await];
    caller.servers(&["unreachable"]).await;
    assert_eq!(balance(&caller).await, full, "nothing for waiting");

    server.restart().await;
    (0..2).for_each(|_| server.add("invert"));
    server.called("(held)", 1).await;
    requests[0].is("in_progress").await;
    let (first, second) = (balance(&caller).await, balance(&caller).await);
    assert!(full > first && first > second, "{full} {first} {second}");
    server.release();
    for request in &requests {
        request.succeeds().await;
    }
    let left = balance(&caller).await;
    assert_eq!(balance(&caller).await, left, "nothing for what is over");
    let mut milliseconds = 0;
    for request in caller.overview().await["accounts"][0]["requests"].as_array().unwrap() {
        let ran = time(&request["finished_at"]) - time(&request["started_at"]);
        milliseconds += ran.num_milliseconds();
    }
    // A cent per millisecond. Timestamps are truncated to milliseconds, twice for each.
    let spent = (full - left) / 10_000;
    assert!((spent - milliseconds).abs() <= 2, "{spent} for {milliseconds} ms");
}

/// Runs in progress finish and are billed; new ones are refused.
#[tokio::test]
async fn a_balance_that_runs_out_ends_no_run() {
    let server = held("invert", "executing");
    let account =
        FakeRunComfy::builder().price_usd_per_hour("AMPERE_48", DOLLARS_PER_HOUR).balance_usd(0.01);
    let emulator = behind(account, &[&server]).start().await.unwrap();
    let caller = Caller::of(&emulator);
    let request = caller.submit("invert").await;
    request.is("in_progress").await;
    let broke = async { while balance(&caller).await > 0 {} };
    tokio::time::timeout(PATIENCE, broke).await.unwrap();
    let path = format!("POST prod/v1/deployments/{DEPLOYMENT}/inference");
    let reply = caller.call(&path, Some(&recorded("invert"))).await;
    assert_eq!(reply.service_error(), (200, Some(10_001)));
    server.release();
    request.succeeds().await;
}

/// A webhook receiver and the payloads that it got.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Value>) {
    let (sender, told) = mpsc::unbounded_channel();
    let answer = move |body: String| {
        let _ = sender.send(serde_json::from_str(&body).unwrap());
        std::future::ready(())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/told", listener.local_addr().unwrap());
    let router = Router::new().route("/told", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, told)
}

#[tokio::test]
async fn a_webhook_is_told_when_a_run_begins_and_what_it_made() {
    let server = held("invert", "executing");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let (url, mut told) = receiver().await;
    let mut next = async || tokio::time::timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    let path = format!(
        "POST prod/v1/deployments/{DEPLOYMENT}/inference?webhook={url}&webhook_intermediate_status=true"
    );
    let reply = caller.call(&path, Some(&recorded("invert"))).await.json();
    assert_eq!(next().await["status"], "in_queue");
    let running = next().await;
    assert_eq!(running["status"], "in_progress", "{running}");
    assert_eq!(running["request_id"], reply["request_id"]);
    server.release();
    let end = next().await;
    assert_eq!(end["status"], "succeeded", "{end}");
    assert!(end.to_string().contains("invert_00001_.png"), "{end}");
}
