//! Tests of the emulator's HTTP API as documented.

mod access;
mod deployments;
mod files;
mod ids;
mod names;
mod page;
mod queue;

use std::time::Duration;

use runcomfy_testkit::{Emulator, FakeRunComfy};
use serde_json::Value;

use crate::http::{Reply, call, call_as};

const TEXT_TO_IMAGE: &str = "a1b2c3d4-0000-4000-8000-000000000001";
const PAUSED: &str = "a1b2c3d4-0000-4000-8000-000000000011";
const BROKEN: &str = "a1b2c3d4-0000-4000-8000-000000000010";

/// Runs that end at once.
fn quick() -> FakeRunComfy {
    FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::ZERO).build()
}

/// Runs that never start.
fn stuck() -> FakeRunComfy {
    FakeRunComfy::builder().cold_start(Duration::from_secs(86_400)).build()
}

/// Runs that start at once and never end.
fn endless() -> FakeRunComfy {
    FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::from_secs(86_400)).build()
}

async fn serve(fake: FakeRunComfy) -> Emulator {
    Emulator::start(fake).await.unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Submits a run and returns its id.
async fn submit(emulator: &Emulator, deployment: &str, body: Value) -> String {
    let path = format!("POST /prod/v1/deployments/{deployment}/inference");
    let reply = call(emulator, &path, Some(body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["request_id"].as_str().unwrap().to_owned()
}

async fn ask(emulator: &Emulator, deployment: &str, request: &str, action: &str) -> Reply {
    let method = if action == "cancel" { "POST" } else { "GET" };
    let path = format!("{method} /prod/v1/deployments/{deployment}/requests/{request}/{action}");
    call(emulator, &path, None).await
}

/// Gets a URL from a response, without a token.
async fn fetch(emulator: &Emulator, url: &Value) -> Reply {
    let origin = emulator.url().as_str().trim_end_matches('/');
    let path = url.as_str().unwrap().strip_prefix(origin).unwrap();
    call_as(emulator, None, &format!("GET {path}"), None).await
}

/// The status and the error code of an error response.
fn refusal(reply: &Reply) -> (u16, i64) {
    let body = reply.json();
    assert!(body["error_message"].is_string(), "{body}");
    (reply.status, body["error_code"].as_i64().unwrap())
}
