//! The end of input, or a signal, in the middle of a submit: the shipped binary on a service that is slow to
//! answer.

use std::time::Duration;

use runcomfy_core::Operation;
use runcomfy_testkit::{Emulator, Fault, FaultKind, FaultRule};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::{Raw, program};

const SOON: Duration = Duration::from_secs(30);

/// A session in which a submit has been taken on, and its answer has not come yet.
async fn half_way(emulator: &Emulator) -> Raw {
    let mut program = program(&["--base-url", emulator.url().as_str()]);
    let mut child = program.env("RUNCOMFY_API_KEY", "tok").spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut raw = Raw { child, lines };
    raw.hello().await;
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
async fn s08_a_submit_whose_client_has_gone_is_made_and_its_id_is_told_to_the_log() {
    let emulator = Emulator::builder().start().await.unwrap();
    let raw = half_way(&emulator).await;
    let (code, _, said) = timeout(SOON, raw.end()).await.unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(emulator.counters().totals.submits.confirmed, 1);
    assert!(said.contains("submitted request "), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn s10_a_request_to_end_lets_a_submit_be_answered() {
    let emulator = Emulator::builder().start().await.unwrap();
    let mut raw = half_way(&emulator).await;
    let pid = raw.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let answer = timeout(SOON, raw.read()).await.unwrap();
    assert!(answer["result"]["structuredContent"]["request_id"].is_string(), "{answer}");
    let status = timeout(SOON, raw.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}
