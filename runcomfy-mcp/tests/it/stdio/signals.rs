//! The end of input, or a signal, in the middle of a submit: the shipped binary on a service that is slow to
//! answer.

use std::time::Duration;

use runcomfy_core::error::Operation;
use runcomfy_testkit::{Emulator, Fault, FaultKind, FaultRule};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use super::{Raw, program};

const SOON: Duration = Duration::from_secs(30);

/// A session in which a submit has been taken on, and its answer has not come yet.
async fn half_way(emulator: &Emulator) -> Raw {
    let mut program = program(&["--base-url", emulator.url().as_str()]);
    let mut child = program.env("RUNCOMFY_API_KEY", "CANARY-tok").spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut raw = Raw { child, lines };
    raw.hello("2025-06-18").await;
    let deployments = raw.call("list_deployments", json!({})).await;
    let trickle = Fault::new(FaultKind::Trickle).with("bytes", 20).unwrap();
    let trickle = trickle.with("every_ms", 30).unwrap();
    emulator.inject(FaultRule::new(trickle).operation(Operation::SubmitRequest).times(1));
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "submit_request", "arguments": {"deployment_id": deployments["deployments"][0]["id"]},
    }});
    raw.send(&call.to_string()).await;
    let accepted = async {
        while emulator.counters().totals.submits.accepted == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, accepted).await.unwrap();
    raw
}

#[tokio::test]
async fn a_submit_whose_client_has_gone_is_made_and_its_id_is_told_to_the_log() {
    let emulator = Emulator::builder().start().await.unwrap();
    let raw = half_way(&emulator).await;
    let (code, _, said) = timeout(SOON, raw.end()).await.unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(emulator.counters().totals.submits.confirmed, 1);
    assert!(said.contains("submitted request "), "{said}");
}

#[tokio::test]
async fn who_closes_the_pipe_abandons_a_wait_and_its_run_where_the_operator_wants_it() {
    for wants in [true, false] {
        let emulator = Emulator::builder().start().await.unwrap();
        let arguments = ["--base-url", emulator.url().as_str(), "--cancel-abandoned"];
        let mut program = program(&arguments[..if wants { 3 } else { 2 }]);
        let mut child = program.env("RUNCOMFY_API_KEY", "CANARY-tok").spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut raw = Raw { child, lines };
        raw.hello("2025-06-18").await;
        let deployments = raw.call("list_deployments", json!({})).await;
        let id = &deployments["deployments"][0]["id"];
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "submit_request", "arguments": {"deployment_id": id, "wait_for_completion": true},
        }});
        raw.send(&call.to_string()).await;
        let submitted = async {
            while emulator.counters().totals.submits.confirmed == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, submitted).await.unwrap();
        let (code, ..) = timeout(SOON, raw.end()).await.unwrap();
        assert_eq!(code, Some(0));
        let cancelled = emulator.counters().totals.calls_of(Operation::CancelRequest);
        assert_eq!(cancelled, u64::from(wants));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_request_to_end_lets_a_submit_be_answered() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut raw = half_way(&emulator).await;
    crate::program::signal(&raw.child, "-TERM").await;
    let answer = timeout(SOON, raw.read()).await.unwrap();
    assert!(answer["result"]["structuredContent"]["request_id"].is_string(), "{answer}");
    let status = timeout(SOON, raw.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_thousand_waits_at_once_are_all_answered() {
    const WAITS: u64 = 1_000;
    let fake = runcomfy_testkit::FakeRunComfy::builder().deployment("d");
    let emulator = Emulator::builder()
        .account(fake.cold_start(Duration::ZERO).run_time(Duration::from_secs(3600)))
        .start()
        .await
        .unwrap();
    let mut program = program(&["--base-url", emulator.url().as_str(), "--log", "error"]);
    let mut child = program.env("RUNCOMFY_API_KEY", "CANARY-tok").spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut raw = Raw { child, lines };
    raw.hello("2025-06-18").await;
    let started = async {
        for number in 0..WAITS {
            // Only so many may be submitting at a time.
            while number - emulator.counters().totals.submits.confirmed.min(number) > 40 {
                tokio::task::yield_now().await;
            }
            let call = json!({"jsonrpc": "2.0", "id": number + 1, "method": "tools/call", "params": {
                "name": "submit_request",
                "arguments": {"deployment_id": "d", "wait_for_completion": true, "timeout_seconds": 10},
            }});
            raw.send(&call.to_string()).await;
        }
    };
    timeout(SOON, started).await.unwrap();
    for _ in 0..WAITS {
        let answer = timeout(SOON, raw.read()).await.unwrap();
        assert_eq!(answer["result"]["structuredContent"]["timed_out"], true, "{answer}");
    }
    assert!(raw.peak_mib() < 150, "{} MiB", raw.peak_mib());
}

#[tokio::test]
async fn what_a_client_says_stays_on_one_line_of_the_log() {
    let mut raw = Raw::start(&["--emulator", "--log", "debug", "--log-format", "json"]).await;
    let evil = "x\n{\"level\":\"INFO\",\"forged\":true}\u{1b}[31m";
    for call in [
        json!({"jsonrpc": "2.0", "id": 1, "method": evil}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": evil, "arguments": {evil: evil}}}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "get_deployment", "arguments": {"deployment_id": evil}}}),
    ] {
        raw.send(&call.to_string()).await;
        raw.read().await;
    }
    let (_, _, said) = raw.end().await;
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line.get("forged"), None, "{line}");
    }
    assert!(!said.contains('\u{1b}'));
}
