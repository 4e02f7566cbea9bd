//! H-13, M-3, M-6, M-7, R-1, R-4, R-9: what one caller, and all of them, may take.

use std::time::Duration;

use runcomfy_core::error::Operation;
use runcomfy_mcp::{Limits, Rate, Settings};
use runcomfy_testkit::{Fault, FaultKind, FaultRule};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use crate::over_http::{Server, list, listing, post_head, read_one, settings};

const SOON: Duration = Duration::from_secs(30);

fn limited(change: impl FnOnce(&mut Limits)) -> Settings {
    let (mut settings, mut limits) = (settings(), Limits::hosted());
    (limits.rate, limits.paid_rate) = (None, None);
    change(&mut limits);
    settings.limits = Some(limits);
    settings
}

/// A deployment of this account.
async fn deployment(server: &Server, token: &str) -> Value {
    let all = server.call(token, "list_deployments", json!({})).await;
    all["deployments"][0]["id"].clone()
}

#[tokio::test]
async fn a_token_that_was_refused_is_not_tried_again_at_once_and_no_other_suffers() {
    let server = Server::start().await;
    server.emulator.inject(FaultRule::new(Fault::new(FaultKind::TokenRevoked)).token("alice"));
    let first = server.call("alice", "list_deployments", json!({})).await;
    assert_eq!((&first["kind"], &first["status_code"]), (&json!("unauthenticated"), &json!(401)));
    let asked = server.emulator.counters().totals.faults_of(FaultKind::TokenRevoked);
    assert_eq!(asked, 1);
    let second = server.call("alice", "list_deployments", json!({})).await;
    assert_eq!(
        (&second["kind"], &second["outcome"]),
        (&json!("unauthenticated"), &json!("not_sent"))
    );
    assert_eq!(second["hint"], first["hint"]);
    assert!(second["retry_after_ms"].as_u64().is_some_and(|ms| (1..=30_000).contains(&ms)));
    let again = server.emulator.counters().totals.faults_of(FaultKind::TokenRevoked);
    assert_eq!(again, asked, "it was asked again");
    assert_eq!(server.call("bob", "list_deployments", json!({})).await["ok"], true);
}

#[tokio::test]
async fn a_token_that_is_refused_beside_a_tool_call_is_remembered_too() {
    let reference = json!({"type": "ref/prompt", "name": "generate"});
    let argument = json!({"name": "deployment_id", "value": ""});
    for (method, params) in [
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": "runcomfy://deployments"})),
        ("completion/complete", json!({"ref": reference, "argument": argument})),
    ] {
        let server = Server::start().await;
        server.emulator.inject(FaultRule::new(Fault::new(FaultKind::TokenRevoked)).token("alice"));
        let question = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params});
        let answer = server.post(&["Authorization: Bearer alice"], &question).await;
        assert_eq!(answer.status, 200, "{method}: {}", answer.body);
        let asked = server.emulator.counters().totals.faults_of(FaultKind::TokenRevoked);
        assert_eq!(asked, 1);
        let call = server.call("alice", "list_deployments", json!({})).await;
        assert_eq!(call["kind"], "unauthenticated", "{method}: {call}");
        let again = server.emulator.counters().totals.faults_of(FaultKind::TokenRevoked);
        assert_eq!(again, asked, "{method}: it was asked again");
    }
}

#[tokio::test]
async fn tokens_that_take_turns_on_one_connection_are_not_mixed_up() {
    let server = Server::start().await;
    let workflow =
        server.call("alice", "list_deployments", json!({})).await["deployments"][0]["workflow_id"]
            .clone();
    let own = json!({"name": "alices-own", "workflow_id": workflow, "workflow_version": "v1"});
    server.call("alice", "create_deployment", own).await;
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "list_deployments", "arguments": {}}}).to_string();
    let mut stream = server.open("").await;
    for turn in 0..10 {
        let token = ["alice", "bob"][turn % 2];
        let head = post_head(&format!(
            "Authorization: Bearer {token}\r\nContent-Length: {}\r\n",
            body.len()
        ));
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let answer = read_one(&mut stream).await;
        assert_eq!(answer.contains("alices-own"), token == "alice", "turn {turn}");
    }
}

#[tokio::test]
async fn who_calls_too_fast_is_told_when_to_come_back_and_nobody_else_is() {
    let slow = Rate { per_second: 0.01, burst: 3 };
    let server = Server::start_with(limited(|limits| limits.rate = Some(slow))).await;
    for _ in 0..3 {
        assert_eq!(server.call("alice", "list_deployments", json!({})).await["ok"], true);
    }
    let told = server.call("alice", "list_deployments", json!({})).await;
    assert_eq!((&told["kind"], &told["outcome"]), (&json!("rate_limited"), &json!("not_sent")));
    assert_eq!(told["retryable"], true);
    assert!(told["retry_after_ms"].as_u64().unwrap() > 50_000, "{told}");
    // What goes far beyond is not even read.
    let mut last = 200;
    for _ in 0..10 {
        let answer = server.post(&["Authorization: Bearer alice"], &list()).await;
        last = answer.status;
        if last == 429 {
            assert!(answer.head.contains("retry-after: "), "{}", answer.head);
            break;
        }
    }
    assert_eq!(last, 429);
    assert_eq!(server.call("bob", "list_deployments", json!({})).await["ok"], true);
}

#[tokio::test]
async fn who_comes_without_a_token_again_and_again_is_told_to_stay_away() {
    let server = Server::start().await;
    for n in 0..12 {
        let answer = server.post(&[], &list()).await;
        assert_eq!(answer.status, if n < 10 { 401 } else { 429 }, "the {n}th");
        assert_eq!(answer.head.contains("retry-after: 6\r\n"), n >= 10, "{}", answer.head);
    }
}

#[tokio::test]
async fn messages_beyond_the_memory_for_them_are_refused_until_there_is_room() {
    let mut settings = limited(|_| {});
    settings.connections.body_bytes_in_flight = 1 << 20;
    let server = Server::start_with(settings).await;
    let head = |length: usize| {
        post_head(&format!("Authorization: Bearer CANARY-tok\r\nContent-Length: {length}\r\n"))
    };
    // Eight messages that are all there but for their last byte hold all of it.
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(server.open(&(head(128 << 10) + &"x".repeat((128 << 10) - 1))).await);
    }
    let refused = async {
        loop {
            let answer = server
                .raw(listing("CANARY-tok").replace("\r\nAuth", "\r\nConnection: close\r\nAuth"))
                .await;
            if answer.starts_with("HTTP/1.1 503") {
                break answer.to_ascii_lowercase();
            }
        }
    };
    let answer = timeout(SOON, refused).await.expect("no room is left");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    drop(held);
    let served = async {
        while !server
            .raw(listing("CANARY-tok").replace("\r\nAuth", "\r\nConnection: close\r\nAuth"))
            .await
            .starts_with("HTTP/1.1 200")
        {}
    };
    timeout(SOON, served).await.expect("it was given back");
}

/// Submits and waits, without taking the answer.
async fn wait(server: &Server, token: &str, deployment: &Value) -> tokio::net::TcpStream {
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {
        "name": "submit_request",
        "arguments": {"deployment_id": deployment, "wait_for_completion": true},
    }})
    .to_string();
    let head = format!("Authorization: Bearer {token}\r\nContent-Length: {}\r\n", body.len());
    server.open(&(post_head(&head) + &body)).await
}

/// Returns once so many runs have been taken on.
async fn accepted(server: &Server, runs: u64) {
    let reached = async {
        while server.emulator.counters().totals.submits.accepted < runs {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, reached).await.unwrap();
}

#[tokio::test]
async fn a_wait_too_many_is_refused_before_anything_is_sent() {
    let server = Server::start_with(limited(|limits| {
        (limits.calls_per_caller, limits.waits_per_caller, limits.waits) = (1, 2, 3);
    }))
    .await;
    let (hers, his) = (deployment(&server, "alice").await, deployment(&server, "bob").await);
    let mut waits = Vec::new();
    for run in 1..=2 {
        // More wait than may be under way: a wait has given its place back.
        waits.push(wait(&server, "alice", &hers).await);
        accepted(&server, run).await;
    }
    let submit = json!({"deployment_id": hers, "wait_for_completion": true});
    let told = async {
        // The second has been taken on, but may not have sat down yet.
        loop {
            let told = server.call("alice", "submit_request", submit.clone()).await;
            if told["kind"] == "overloaded" {
                break told;
            }
        }
    };
    let told = timeout(SOON, told).await.unwrap();
    assert_eq!((&told["outcome"], &told["retryable"]), (&json!("not_sent"), &json!(true)));
    assert!(told["retry_after_ms"].is_u64());
    waits.push(wait(&server, "bob", &his).await);
    accepted(&server, 3).await;
    let carols = deployment(&server, "carol").await;
    let told = server
        .call(
            "carol",
            "submit_request",
            json!({"deployment_id": carols, "wait_for_completion": true}),
        )
        .await;
    assert_eq!(told["kind"], "overloaded", "no place is left for anybody");
    assert_eq!(server.emulator.counters().totals.submits.seen, 3);
    // Those who don't wait are served.
    let told = server.call("alice", "submit_request", json!({"deployment_id": hers})).await;
    assert_eq!(told["ok"], true, "{told}");
}

#[tokio::test]
async fn calls_to_a_service_that_never_answers_are_bounded_and_end() {
    let limits = limited(|limits| limits.calls_per_caller = 4);
    let server = Server::start_patient(limits, Duration::from_millis(500)).await;
    let stall = FaultRule::new(Fault::new(FaultKind::Stall)).operation(Operation::ListDeployments);
    server.emulator.inject(stall);
    let started = Instant::now();
    let calls = (0..100).map(|_| server.call("alice", "list_deployments", json!({})));
    let told = futures_util::future::join_all(calls).await;
    let count = |kind: &str| told.iter().filter(|data| data["kind"] == kind).count();
    assert_eq!(count("overloaded") + count("timed_out"), 100, "{told:?}");
    assert!(count("timed_out") >= 4 && count("overloaded") > 0);
    assert!(started.elapsed() < SOON);
    server.emulator.clear_faults();
    assert_eq!(server.call("alice", "list_deployments", json!({})).await["ok"], true);
}
