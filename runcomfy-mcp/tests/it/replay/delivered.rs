//! Answers that arrive, in either form: the same submit again is another run. And answers that don't.

use std::time::Duration;

use runcomfy_core::HttpApi;
use runcomfy_testkit::{Emulator, FakeRunComfy, FaultKind, FaultRule};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use super::DEPLOYMENT;
use crate::over_http::{Server, post_head, settings};

const SOON: Duration = Duration::from_secs(30);

/// A server that looks often after runs of this length.
async fn server(run_time: Duration) -> Server {
    let account = FakeRunComfy::builder()
        .empty()
        .deployment(DEPLOYMENT)
        .cold_start(Duration::ZERO)
        .run_time(run_time)
        .balance_usd(1e6);
    let emulator = Emulator::builder().account(account).start().await.unwrap();
    let api = HttpApi::builder().base_url(emulator.url().as_str());
    let mut settings = settings();
    let soon = Duration::from_millis(5);
    (settings.wait.shortest, settings.wait.shortest_in_queue) = (soon, soon);
    Server::serve(emulator, api, settings).await
}

/// A submit that waits and listens: its answer is a stream of events.
fn listening(token: &str) -> String {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "submit_request",
        "arguments": {"deployment_id": DEPLOYMENT, "wait_for_completion": true, "timeout_seconds": 60},
        "_meta": {"progressToken": "p1"},
    }})
    .to_string();
    let head = format!("Authorization: Bearer {token}\r\nContent-Length: {}\r\n", body.len());
    post_head(&head) + &body
}

/// Reads until the answer has this in it.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&answer).contains(end) {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed");
        }
    };
    timeout(SOON, read).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// What the stream of events answers, read to its last chunk.
async fn read_events(stream: &mut TcpStream) -> Value {
    let answer = read_until(stream, "\r\n0\r\n\r\n").await;
    assert!(answer.to_ascii_lowercase().contains("content-type: text/event-stream"), "{answer}");
    let last = answer.lines().rev().find_map(|line| line.strip_prefix("data: "));
    let last: Value = serde_json::from_str(last.unwrap()).unwrap();
    last["result"]["structuredContent"].clone()
}

fn runs(server: &Server) -> u64 {
    server.emulator.counters().totals.submits.accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_submits_whose_event_streams_are_read_are_a_thousand_runs() {
    const CALLERS: usize = 20;
    const EACH: usize = 50;
    let server = server(Duration::ZERO).await;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let address = server.address;
        callers.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..EACH {
                let request = listening(&format!("caller-{caller}"));
                stream.write_all(request.as_bytes()).await.unwrap();
                let answer = read_events(&mut stream).await;
                assert_eq!(answer.get("replayed"), None, "{answer}");
            }
        });
    }
    callers.join_all().await;
    assert_eq!(runs(&server), (CALLERS * EACH) as u64);
}

#[tokio::test]
async fn a_failed_run_whose_event_stream_was_read_is_not_the_answer_to_the_next_try() {
    let server = server(Duration::ZERO).await;
    server.emulator.inject(FaultRule::new(FaultKind::FailedRun).times(1));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut states = Vec::new();
    for _ in 0..2 {
        stream.write_all(listening("me").as_bytes()).await.unwrap();
        states.push(read_events(&mut stream).await["state"].clone());
    }
    assert_eq!(states, ["failed", "succeeded"]);
    assert_eq!(runs(&server), 2);
}

#[tokio::test]
async fn a_client_that_hangs_up_with_the_answering_event_has_the_answer() {
    let server = server(Duration::ZERO).await;
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(listening("me").as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "\"result\":").await;
        assert!(!answer.contains("\"replayed\":true"), "{answer}");
    }
    assert_eq!(runs(&server), 50);
}

#[tokio::test]
async fn an_event_stream_that_is_closed_before_its_end_is_handed_out_once() {
    let server = server(Duration::from_secs(3600)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(listening("me").as_bytes()).await.unwrap();
    read_until(&mut stream, "submitted request").await;
    drop(stream);
    let submit = json!({"deployment_id": DEPLOYMENT});
    let again = server.call("me", "submit_request", submit.clone()).await;
    assert_eq!((&again["replayed"], runs(&server)), (&json!(true), 1), "{again}");
    let later = server.call("me", "submit_request", submit).await;
    assert_eq!((later.get("replayed"), runs(&server)), (None, 2), "{later}");
}
