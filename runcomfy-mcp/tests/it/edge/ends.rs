//! P-16, and how the server ends; on the shipped binary.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{ChildStderr, Command},
    time::{Instant, timeout},
};

use crate::over_http::{Server, list, listing, post_head, read_all, read_one, settings};
use crate::program::{Program, SERVE};

const SOON: Duration = Duration::from_secs(30);

/// A submit that waits, without its answer taken.
async fn waiting(server: &Server) -> TcpStream {
    let all = server.call("CANARY-tok", "list_deployments", json!({})).await;
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {
        "name": "submit_request",
        "arguments": {"deployment_id": all["deployments"][0]["id"], "wait_for_completion": true},
    }})
    .to_string();
    let head = format!("Authorization: Bearer CANARY-tok\r\nContent-Length: {}\r\n", body.len());
    let confirmed = || server.emulator.counters().totals.submits.confirmed;
    let before = confirmed();
    let stream = server.open(&(post_head(&head) + &body)).await;
    until(|| confirmed() == before + 1).await;
    stream
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, wait).await.unwrap();
}

#[tokio::test]
async fn who_hangs_up_during_a_wait_frees_its_place_and_the_run_goes_on() {
    let mut limits = runcomfy_mcp::Limits::hosted();
    (limits.waits, limits.rate, limits.paid_rate) = (1, None, None);
    let mut settings = settings();
    settings.limits = Some(limits);
    for how in ["close", "reset", "half-close"] {
        let server = Server::start_with(settings.clone()).await;
        let mut stream = waiting(&server).await;
        match how {
            "reset" => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
            "half-close" => stream.shutdown().await.unwrap(),
            _ => {}
        }
        let _kept = (how == "half-close").then_some(stream);
        // The only place there is.
        let all = server.call("CANARY-tok", "list_deployments", json!({})).await;
        let submit = json!({"deployment_id": all["deployments"][0]["id"], "wait_for_completion": true, "timeout_seconds": 0});
        let gone = Instant::now();
        let freed = async {
            while server.call("CANARY-tok", "submit_request", submit.clone()).await["kind"]
                == "overloaded"
            {}
        };
        timeout(SOON, freed).await.expect("the place is freed");
        assert!(gone.elapsed() < Duration::from_secs(3), "{how}: {:?}", gone.elapsed());
        let cancelled = server
            .emulator
            .counters()
            .totals
            .calls_of(runcomfy_core::error::Operation::CancelRequest);
        assert_eq!(cancelled, 0, "{how}");
    }
}

#[tokio::test]
async fn where_the_operator_wants_it_an_abandoned_run_is_cancelled_and_the_end_abandons_none() {
    let cancelled = |server: &Server| {
        server.emulator.counters().totals.calls_of(runcomfy_core::error::Operation::CancelRequest)
    };
    let mut settings = settings();
    settings.cancel_abandoned = true;
    let server = Server::start_with(settings.clone()).await;
    drop(waiting(&server).await);
    until(|| cancelled(&server) == 1).await;
    // Who submits the same again wants a run, not the one that was cancelled.
    drop(waiting(&server).await);
    // The server's own end is not the client's wish.
    let server = Server::start_with(settings).await;
    let _kept = waiting(&server).await;
    server.stop.cancel();
    timeout(SOON, server.task).await.unwrap().unwrap();
    let totals = server.emulator.counters().totals;
    assert_eq!(totals.calls_of(runcomfy_core::error::Operation::CancelRequest), 0);
}

#[tokio::test]
async fn a_server_that_is_told_to_end_says_so_while_it_lingers_and_answers_what_is_under_way() {
    let mut settings = settings();
    settings.linger = Duration::from_secs(3600);
    let server = Server::start_with(settings).await;
    let mut wait = waiting(&server).await;
    server.stop.cancel();
    // A wait is answered at once, with what is known, and its connection ends.
    let answer = timeout(SOON, read_all(&mut wait)).await.unwrap();
    assert!(answer.to_ascii_lowercase().contains("connection: close\r\n"), "{answer}");
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let data = &body["result"]["structuredContent"];
    assert!(data["interrupted"] == true && data["request_id"].is_string(), "{data}");
    // Load balancers see it, and what they have sent meanwhile is served.
    let ready = server.send("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1", "").await;
    assert!(ready.status == 503 && ready.body.contains("draining"), "{ready:?}");
    assert!(ready.head.contains("cache-control: no-store"));
    assert_eq!(server.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1", "").await.status, 200);
    assert_eq!(server.post(&["Authorization: Bearer CANARY-tok"], &list()).await.status, 200);
}

#[tokio::test]
async fn the_end_lets_reads_finish_for_a_while_and_writes_for_longer() {
    let mut settings = settings();
    settings.drain_reads = Duration::from_millis(200);
    settings.drain = SOON;
    let server = Server::start_with(settings).await;
    let id = server.call("CANARY-tok", "list_deployments", json!({})).await["deployments"][0]["id"]
        .clone();
    let slow = runcomfy_testkit::Fault::new(runcomfy_testkit::FaultKind::Stall);
    server.emulator.inject(slow);
    let read = server.call("CANARY-tok", "list_deployments", json!({}));
    let write = server.call("CANARY-tok", "submit_request", json!({"deployment_id": id}));
    let end = async {
        until(|| server.emulator.counters().totals.calls == 3).await;
        server.stop.cancel();
    };
    let cut = async {
        let (read, ()) = tokio::join!(read, end);
        assert_eq!((&read["kind"], &read["retryable"]), (&json!("shutting_down"), &json!(true)));
    };
    let mut write = std::pin::pin!(write);
    tokio::select! {
        () = cut => {}
        write = &mut write => panic!("the write was cut, too: {write}"),
    }
    assert!(futures_util::poll!(write).is_pending(), "the write is still under way");
}

#[tokio::test]
async fn a_second_request_to_end_ends_it_at_once() {
    let mut program = Program::start(&format!("{SERVE} --linger 3600")).await;
    program.signal("-TERM").await;
    let draining = async {
        loop {
            let mut stream = program.open().await;
            stream
                .write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            if read_all(&mut stream).await.starts_with("HTTP/1.1 503") {
                break;
            }
        }
    };
    timeout(SOON, draining).await.unwrap();
    program.signal("-TERM").await;
    let ended = timeout(SOON, program.child.wait()).await.expect("it ends at once").unwrap();
    assert_eq!(ended.code(), Some(143));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_descriptors_it_waits_and_recovers() {
    let program = Program::start(&format!("ulimit -n 64; {SERVE}")).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(program.open().await);
    }
    let mut late = program.open().await;
    late.write_all(listing("CANARY-tok").as_bytes()).await.unwrap();
    // Nobody is let in, and it does not spin: a second of waiting costs next to nothing.
    let ticks = || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", program.child.id().unwrap())).unwrap();
        let fields: Vec<_> =
            stat.rsplit_once(')').unwrap().1.split_whitespace().map(str::to_owned).collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    let waited = timeout(Duration::from_secs(1), late.read(&mut [0; 16])).await;
    assert!(waited.is_err(), "there were descriptors left");
    assert!(ticks() - before < 15, "it spins: {} ticks in a second", ticks() - before);
    drop(held);
    let answer = timeout(SOON, read_one(&mut late)).await.expect("it recovers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_stop_it_and_no_line_is_long() {
    // The pipe fills up: nobody reads from it past the first line.
    let mut program = Program::start(&format!("{SERVE} --log trace")).await;
    let call = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "list_deployments", "arguments": {}}}).to_string();
    let head = post_head(&format!("Content-Length: {}\r\n", call.len()));
    let request = head + &call;
    let mut stream = program.open().await;
    for _ in 0..1500 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = timeout(SOON, read_one(&mut stream)).await.expect("the server goes on");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let method = json!({"jsonrpc": "2.0", "id": 0, "method": "x".repeat(2_000_000)}).to_string();
    let head = post_head(&format!("Connection: close\r\nContent-Length: {}\r\n", method.len()));
    stream.write_all((head + &method).as_bytes()).await.unwrap();
    assert!(read_all(&mut stream).await.contains("-32601"));
    program.signal("-TERM").await;
    let mut said = String::new();
    let mut rest = [0; 64 * 1024];
    while let Ok(n @ 1..) = program.said.read(&mut rest).await {
        said.push_str(std::str::from_utf8(&rest[..n]).unwrap_or_default());
    }
    assert!(said.contains("list_deployments"));
    assert!(said.lines().all(|line| line.len() <= 512), "{:?}", said.lines().map(str::len).max());
    assert_eq!(program.child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_closed_log_does_not_stop_it() {
    let mut program = Program::start(&format!("{SERVE} --log trace")).await;
    // Its other end is gone from here on.
    let said = std::mem::replace(&mut program.said, BufReader::new(nothing().await));
    drop(said);
    let call = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "list_deployments", "arguments": {}}}).to_string();
    let request = post_head(&format!("Content-Length: {}\r\n", call.len())) + &call;
    let mut stream = program.open().await;
    for _ in 0..10 {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(timeout(SOON, read_one(&mut stream)).await.unwrap().starts_with("HTTP/1.1 200"));
    }
    program.signal("-TERM").await;
    assert_eq!(program.child.wait().await.unwrap().code(), Some(0));
}

/// The standard error of a program that says nothing.
async fn nothing() -> ChildStderr {
    let mut child = Command::new("true").stderr(Stdio::piped()).spawn().unwrap();
    let said = child.stderr.take().unwrap();
    child.wait().await.unwrap();
    said
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_handshake_leaves_nothing_behind() {
    let program = Program::start(SERVE).await;
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    }})
    .to_string();
    let request = post_head(&format!("Content-Length: {}\r\n", body.len())) + &body;
    let mut stream = program.open().await;
    let mut shake = async |times: u32| {
        for _ in 0..times {
            stream.write_all(request.as_bytes()).await.unwrap();
            assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
        }
    };
    shake(1000).await;
    let before = program.status("VmRSS:");
    shake(5000).await;
    let grown = program.status("VmRSS:").saturating_sub(before);
    // A hundred bytes kept of each would be 500.
    assert!(grown < 400, "{grown} KiB more after 5,000 handshakes");
}
