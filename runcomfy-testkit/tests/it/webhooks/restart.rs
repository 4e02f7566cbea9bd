//! Tests of webhooks after the program was killed.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::{Receiver, TEXT_TO_IMAGE};
use crate::{http::raw_at, program::Running};

fn start(state: &Path) -> Running {
    let times = ["--time-scale", "100", "--cold-start", "1", "--run-time", "1"];
    Running::start(&[&["--state", state.to_str().unwrap()][..], &times].concat())
}

async fn submit(running: &Running, query: &str) -> String {
    let what = format!("POST /prod/v2/deployments/{TEXT_TO_IMAGE}/inference?{query}");
    let reply = raw_at(&running.url, Some("Bearer me"), &what, "{}").await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["request_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_kill_loses_nothing_and_repeats_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    // It acknowledges only the first state until it is repaired.
    let mended = Arc::new(AtomicBool::new(false));
    let takes = mended.clone();
    let mut receiver = Receiver::start(move |payload| {
        let taken = takes.load(Ordering::SeqCst) || payload["status"] == "in_queue";
        if taken { 200 } else { 500 }
    })
    .await;
    let query = receiver.query("/", "&webhook_intermediate_status=true");

    let running = start(&state);
    let request = submit(&running, &query).await;
    assert_eq!(receiver.told().await.payload["status"], "in_queue");
    // The state before was acknowledged.
    assert_eq!(receiver.told().await.payload["status"], "in_progress");
    // A submit is answered once all earlier events are on disk.
    submit(&running, "").await;
    running.kill();

    mended.store(true, Ordering::SeqCst);
    let running = start(&state);
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "succeeded") {
        let payload = receiver.told().await.payload;
        assert_eq!(payload["request_id"], *request);
        told.push(payload["status"].as_str().unwrap().to_owned());
    }
    // Calls may have been in progress at the kill, so there can be one more.
    told.dedup();
    assert_eq!(told, ["in_progress", "succeeded"]);
    delivered(&running, 2).await;
    submit(&running, "").await;
    running.kill();

    let running = start(&state);
    let other = submit(&running, &query).await;
    for status in ["in_queue", "in_progress", "succeeded"] {
        let told = receiver.told().await.payload;
        assert_eq!((&told["request_id"], &told["status"]), (&json!(other), &json!(status)));
    }
}

/// Waits until this many were acknowledged since the start.
async fn delivered(running: &Running, count: u64) {
    let all = async {
        loop {
            let overview = raw_at(&running.url, None, "GET /_emulator/overview", "").await.unwrap();
            if overview.json()["counters"]["webhooks_delivered"] == count {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
}
