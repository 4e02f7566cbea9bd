//! What is told after the program was killed, and what is not told again.

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
    // It takes only the first state until it is mended.
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
    // That this is told says that the one before was acknowledged.
    assert_eq!(receiver.told().await.payload["status"], "in_progress");
    // An answer to a submit is given when all that came before it is on the disk.
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
    // As often as it was refused, and once more: calls may still have been on their way at the kill.
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

/// Until so many were acknowledged since it started.
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
