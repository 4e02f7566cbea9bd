//! Callers who go away in the middle of a submit, and come back.

use std::time::Duration;

use runcomfy_core::error::Operation;
use runcomfy_testkit::{Emulator, Fault, FaultKind, FaultRule};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::over_http::{Server, post_head};

const SOON: Duration = Duration::from_secs(30);

/// The answer to the next submit takes its time; what is asked for is done at once.
fn slow_answer(emulator: &Emulator) {
    let trickle = Fault::new(FaultKind::Trickle).with("bytes", 20).unwrap();
    let trickle = trickle.with("every_ms", 20).unwrap();
    emulator.inject(FaultRule::new(trickle).operation(Operation::SubmitRequest).times(1));
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.unwrap();
}

async fn first_deployment(server: &Server) -> Value {
    server.call("CANARY-tok", "list_deployments", json!({})).await["deployments"][0]["id"].clone()
}

/// Sends a submit, and returns when RunComfy has it but the answer is not there.
async fn half_way(server: &Server, arguments: &Value) -> TcpStream {
    slow_answer(&server.emulator);
    let before = server.emulator.counters().totals.submits.accepted;
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "submit_request", "arguments": arguments,
    }})
    .to_string();
    let head = format!("Authorization: Bearer CANARY-tok\r\nContent-Length: {}\r\n", body.len());
    let stream = server.open(&(post_head(&head) + &body)).await;
    until(|| server.emulator.counters().totals.submits.accepted > before).await;
    stream
}

#[tokio::test]
async fn a_submit_whose_caller_hung_up_is_answered_when_it_is_made_again() {
    for how in ["close", "reset", "half-close"] {
        let server = Server::start().await;
        let arguments = json!({"deployment_id": first_deployment(&server).await});
        let mut stream = half_way(&server, &arguments).await;
        match how {
            "reset" => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
            "half-close" => stream.shutdown().await.unwrap(),
            _ => {}
        }
        let _kept = (how == "half-close").then_some(stream);
        let again = server.call("CANARY-tok", "submit_request", arguments.clone()).await;
        assert_eq!(again["replayed"], true, "{how}: {again}");
        assert!(again["request_id"].is_string(), "{how}");
        assert_eq!(server.emulator.counters().totals.submits.accepted, 1, "{how}");
        // Once: who asks for it after that wants another.
        let third = server.call("CANARY-tok", "submit_request", arguments).await;
        assert_eq!(third.get("replayed"), None, "{how}");
        assert_eq!(server.emulator.counters().totals.submits.accepted, 2, "{how}");
    }
}

#[tokio::test]
async fn a_wait_that_was_hung_up_on_goes_on_with_the_same_run() {
    let server = Server::start().await;
    let id = first_deployment(&server).await;
    let waits = json!({"deployment_id": id, "wait_for_completion": true, "timeout_seconds": 600});
    drop(half_way(&server, &waits).await);
    let looks = json!({"deployment_id": id, "wait_for_completion": true, "timeout_seconds": 0});
    let again = server.call("CANARY-tok", "submit_request", looks).await;
    assert_eq!((&again["replayed"], &again["timed_out"]), (&json!(true), &json!(true)), "{again}");
    assert_eq!(server.emulator.counters().totals.submits.accepted, 1);
}

#[tokio::test]
async fn other_words_and_other_callers_get_a_run_of_their_own() {
    let server = Server::start().await;
    let id = first_deployment(&server).await;
    let arguments = json!({"deployment_id": id});
    drop(half_way(&server, &arguments).await);
    let other = json!({"deployment_id": id, "extra_data": {"a": 1}});
    assert_eq!(server.call("CANARY-tok", "submit_request", other).await.get("replayed"), None);
    let theirs = server.call("other", "submit_request", arguments).await;
    assert_eq!(theirs.get("replayed"), None);
    assert_eq!(server.emulator.counters().totals.submits.accepted, 3);
}

#[tokio::test]
async fn a_submit_that_is_cancelled_over_stdio_is_made_and_found_again() {
    let emulator = Emulator::builder().start().await.unwrap();
    let api = runcomfy_core::HttpApi::builder()
        .base_url(emulator.url().as_str())
        .token(runcomfy_core::Token::new("CANARY-tok").unwrap())
        .build()
        .unwrap();
    let all =
        runcomfy_core::RunComfyApi::list_deployments(&api, &Default::default()).await.unwrap();
    let callers = runcomfy_mcp::AuthMode::One(std::sync::Arc::new(api));
    let server = runcomfy_mcp::RunComfyMcp::new(callers, runcomfy_mcp::Settings::default());
    let (near, far) = tokio::io::duplex(1 << 20);
    let serving = async {
        let running = rmcp::ServiceExt::serve(server, far).await.unwrap();
        running.waiting().await.unwrap();
    };
    tokio::spawn(serving);
    let (reads, mut writes) = tokio::io::split(near);
    let mut lines = BufReader::new(reads).lines();
    let mut say = async |message: Value| {
        writes.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    };
    say(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    }}))
    .await;
    say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let submit = |id: u32| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
            "name": "submit_request", "arguments": {"deployment_id": all[0].id.as_str()},
        }})
    };
    slow_answer(&emulator);
    say(submit(1)).await;
    until(|| emulator.counters().totals.submits.accepted == 1).await;
    say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    say(submit(2)).await;
    let answer = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            let message: Value = serde_json::from_str(&line).unwrap();
            assert_ne!(message["id"], 1, "a cancelled call is not answered");
            if message["id"] == 2 {
                return message;
            }
        }
    };
    let answer = timeout(SOON, answer).await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["replayed"], true, "{answer}");
    assert_eq!(emulator.counters().totals.submits.accepted, 1);
}
