//! Connections that break, answers that are cut, and what is sent again.

use std::time::Duration;

use runcomfy_core::{
    ErrorKind, InferenceRequest, RunComfyApi,
    client::{Limits, Timeouts},
    deployment::ListDeployments,
    error::{CallKind, Operation, Outcome},
    retry::RetryPolicy,
};
use runcomfy_testkit::{Emulator, FakeRunComfy, Fault, FaultRule};
use serde_json::json;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    time::{Instant, timeout},
};

use crate::{
    canned::{Canned, Reply, TOKEN, builder},
    endpoints::{d1, r1},
    refusals::{fail, names},
};

fn accepted() -> Reply {
    Reply::json(200, &json!({"id": "d1", "request_id": "r1", "status": "in_queue"}))
}

/// Faults after which nobody knows whether the request took effect.
fn ambiguous() -> Vec<(Reply, ErrorKind)> {
    let gateway = |status| Reply::with(status, &["Content-Type: text/html"], "<html>oops");
    vec![
        (Reply::Reset, ErrorKind::UpstreamUnavailable),
        (Reply::Cut(Vec::new()), ErrorKind::UpstreamUnavailable),
        (Reply::Cut(b"HTTP/1.1 2".to_vec()), ErrorKind::UpstreamUnavailable),
        (Reply::Cut(b"\x16\x03\x01 garbage\r\n\r\n".to_vec()), ErrorKind::UpstreamProtocol),
        (Reply::Stall(Vec::new()), ErrorKind::TimedOut),
        (
            Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
            ErrorKind::TimedOut,
        ),
        (accepted().cut_short(), ErrorKind::UpstreamUnavailable),
        (gateway(500), ErrorKind::UpstreamUnavailable),
        (gateway(502), ErrorKind::UpstreamUnavailable),
        (gateway(503), ErrorKind::UpstreamUnavailable),
        (gateway(504), ErrorKind::UpstreamUnavailable),
        (Reply::json(500, &json!({"error_code": 500_001})), ErrorKind::UpstreamUnavailable),
        (Reply::json(200, &json!({"error_code": 500_001})), ErrorKind::UpstreamUnavailable),
        (gateway(200), ErrorKind::UpstreamProtocol),
    ]
}

/// Answers that a paid call can't use although their status is good.
fn unreadable() -> Vec<Reply> {
    let with = |body: &str| Reply::with(200, &[], body);
    let bodies = ["", "null", "[]", "{}", "{", "accepted", r#"{"request_id":"../x","id":"../x"}"#];
    bodies.into_iter().map(with).collect()
}

#[tokio::test]
async fn a_submit_that_may_have_arrived_is_not_sent_twice() {
    let unreadable = unreadable().into_iter().map(|reply| (reply, ErrorKind::UpstreamProtocol));
    for (fault, kind) in ambiguous().into_iter().chain(unreadable) {
        for operation in [Operation::SubmitRequest, Operation::CreateDeployment] {
            let server = Canned::start([fault.clone(), accepted()]).await;
            let error = fail(&server.api(), operation).await;
            assert_eq!(
                (error.kind(), error.outcome(), error.attempts()),
                (kind, Outcome::Unknown, 1),
                "{operation:?} {fault:?}"
            );
            assert!(!error.is_retryable());
            // A creation is looked up, by reading.
            let posts = server.seen().iter().filter(|seen| seen.method == "POST").count();
            assert_eq!(posts, 1, "{operation:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_proxy_call_that_may_have_arrived_is_not_sent_twice() {
    for (fault, kind) in ambiguous() {
        let server = Canned::start([fault.clone(), accepted()]).await;
        // Of a page or a code with a good status, only ComfyUI knows what it means.
        if matches!(&fault, Reply::Bytes(bytes) if bytes.starts_with(b"HTTP/1.1 200")) {
            continue;
        }
        let error = fail(&server.api(), Operation::CallInstanceProxy).await;
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::Unknown), "{fault:?}");
        server.only();
    }
}

#[tokio::test]
async fn a_submit_cut_at_any_byte_is_sent_once() {
    let Reply::Bytes(whole) = accepted() else { unreachable!() };
    for count in 0..whole.len() {
        let server = Canned::start([accepted().cut_at(count)]).await;
        let error = fail(&server.api(), Operation::SubmitRequest).await;
        assert_eq!(error.outcome(), Outcome::Unknown, "cut at {count}");
        server.only();
    }
}

#[tokio::test]
async fn a_read_cut_at_any_byte_is_tried_again() {
    let Reply::Bytes(whole) = accepted() else { unreachable!() };
    for count in 0..whole.len() {
        let server = Canned::start([accepted().cut_at(count), accepted()]).await;
        server.api().get_request_status(&d1(), &r1()).await.unwrap();
        assert_eq!(server.seen().len(), 2, "cut at {count}");
    }
}

#[tokio::test]
async fn a_timeout_beyond_what_a_clock_can_hold_is_none() {
    let mut timeouts = Timeouts::default();
    timeouts.read_attempt = Duration::MAX;
    timeouts.read_total = Duration::MAX;
    timeouts.download = Duration::MAX;
    let server = Canned::start([accepted(), accepted()]).await;
    let api = server.builder().timeouts(timeouts).token(TOKEN.parse().unwrap()).build().unwrap();
    api.get_request_status(&d1(), &r1()).await.unwrap();
    api.download(&server.url(), 999).await.unwrap();
}

#[tokio::test]
async fn a_read_is_tried_again_after_any_fault_that_may_pass() {
    for (fault, kind) in ambiguous() {
        let server = Canned::start([fault.clone(), accepted()]).await;
        let read = server.api().get_request_status(&d1(), &r1()).await;
        assert_eq!(read.unwrap().request_id, Some(r1()), "{fault:?}");
        assert_eq!(server.seen().len(), 2, "{fault:?}");

        let server = Canned::start(vec![fault.clone(); 4]).await;
        let error = fail(&server.api(), Operation::GetRequestStatus).await;
        // What is no HTTP is not asked for a third time.
        let tries = if fault.is_garbage() { 2 } else { 3 };
        assert_eq!((error.kind(), error.attempts()), (kind, tries), "{fault:?}");
        assert!(error.elapsed() > Duration::ZERO);
        assert_eq!(server.seen().len(), tries as usize, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_has_sent_nothing_and_is_tried_again() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let api = builder(&format!("http://{free}")).token(TOKEN.parse().unwrap()).build().unwrap();
    for operation in Operation::ALL.iter().copied() {
        let error = fail(&api, operation).await;
        assert_eq!(
            (error.kind(), error.outcome(), error.attempts()),
            (ErrorKind::UpstreamUnavailable, Outcome::NotSent, 3),
            "{operation:?}"
        );
        assert!(error.is_retryable());
        let (deployment, run) = names(operation);
        assert_eq!(error.deployment_id().is_some(), deployment);
        assert_eq!(error.request_id().is_some(), run);
    }
}

#[tokio::test]
async fn a_name_that_leads_nowhere_has_sent_nothing_and_is_tried_again() {
    let api = builder("https://nowhere.invalid").token(TOKEN.parse().unwrap()).build().unwrap();
    for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
        let error = fail(&api, operation).await;
        assert_eq!(
            (error.kind(), error.outcome(), error.attempts()),
            (ErrorKind::UpstreamUnavailable, Outcome::NotSent, 3)
        );
    }
}

#[tokio::test]
async fn a_connection_reset_at_accept_is_made_again_for_a_read_and_never_doubles_a_submit() {
    for fault in ["reset_at_accept", "close_at_accept"] {
        let fake = FakeRunComfy::builder().deployment("d1").build();
        let emulator = Emulator::start(fake).await.unwrap();
        let api = builder(emulator.url().as_str()).token(TOKEN.parse().unwrap()).build().unwrap();
        let once = || FaultRule::new(fault.parse::<Fault>().unwrap()).times(1);
        emulator.inject(once());
        api.list_deployments(&ListDeployments::all()).await.unwrap();
        emulator.inject(once());
        // Where a byte of it had left before the reset came, nobody can know that it was not read.
        let submitted = api.submit_request(&InferenceRequest::new(d1())).await;
        let seen = emulator.counters().totals.submits.seen;
        match submitted {
            Ok(_) => assert_eq!(seen, 1),
            Err(error) => assert_eq!((error.outcome(), seen), (Outcome::Unknown, 0)),
        }
    }
}

#[tokio::test]
async fn not_sent_is_said_only_where_the_server_saw_no_byte() {
    // A server that closes at once: whether the request still gets out is a race, so this looks at
    // both sides and at what the error claims.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = builder(&url).token(TOKEN.parse().unwrap()).retry(RetryPolicy::never());
    let api = api.build().unwrap();
    for _ in 0..100 {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut reading, writing) = stream.split();
            tokio::io::AsyncWriteExt::shutdown(&mut { writing }).await.unwrap();
            let mut bytes = Vec::new();
            let _ = reading.read_to_end(&mut bytes).await;
            bytes.len()
        };
        let (error, bytes) =
            futures_util::future::join(fail(&api, Operation::SubmitRequest), serve).await;
        match error.outcome() {
            Outcome::NotSent => assert_eq!(bytes, 0),
            outcome => assert_eq!(outcome, Outcome::Unknown),
        }
    }
}

#[tokio::test]
async fn a_retry_after_is_kept_and_then_the_call_succeeds() {
    for status in [429, 503] {
        let busy = Reply::with(status, &["Retry-After: 1"], "");
        for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
            let server = Canned::start([busy.clone(), accepted()]).await;
            let (api, start) = (server.api(), Instant::now());
            if operation.call_kind() == CallKind::Read {
                api.get_request_status(&d1(), &r1()).await.unwrap();
            } else {
                api.submit_request(&InferenceRequest::new(d1())).await.unwrap();
            }
            assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
            assert_eq!(server.seen().len(), 2);
        }
    }
}

#[tokio::test]
async fn a_refused_submit_is_sent_once_more_and_no_more() {
    let server = Canned::start(vec![Reply::with(429, &["Retry-After: 0"], ""); 5]).await;
    let error = fail(&server.api(), Operation::SubmitRequest).await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::RateLimited, Outcome::Rejected));
    assert_eq!((error.attempts(), server.seen().len()), (2, 2));
}

#[tokio::test]
async fn a_long_retry_after_is_handed_to_the_caller_at_once() {
    let check = async |header: &[&str], seconds: u64| {
        let server = Canned::start([Reply::with(429, header, "")]).await;
        let error = fail(&server.api(), Operation::ListDeployments).await;
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
        server.only();
    };
    check(&["Retry-After: 999"], 999).await;
    let dates =
        ["Date: Sun, 06 Nov 1994 08:00:00 GMT", "Retry-After: Sun, 06 Nov 1994 08:02:00 GMT"];
    check(&dates, 120).await;
    check(&["Retry-After: 60", "Retry-After: 1"], 60).await;
    check(&["Retry-After: 999999"], 86_400).await;
}

#[tokio::test]
async fn a_retry_after_of_nothing_or_of_no_sense_leaves_the_usual_wait() {
    let date = "Date: Sun, 06 Nov 1994 08:00:00 GMT";
    let past = "Retry-After: Sun, 06 Nov 1994 07:00:00 GMT";
    for headers in
        [&["Retry-After: 0"][..], &["Retry-After: -1"], &["Retry-After: abc"], &[date, past]]
    {
        let server = Canned::start([Reply::with(429, headers, ""), accepted()]).await;
        server.api().submit_request(&InferenceRequest::new(d1())).await.unwrap();
        assert_eq!(server.seen().len(), 2, "{headers:?}");
    }
}

#[tokio::test]
async fn one_deadline_holds_for_all_tries() {
    let mut timeouts = Timeouts::default();
    timeouts.read_attempt = Duration::from_millis(600);
    timeouts.read_total = Duration::from_millis(700);
    let server = Canned::start(vec![Reply::Stall(Vec::new()); 9]).await;
    let mut retry = RetryPolicy::default();
    (retry.attempts, retry.base) = (9, Duration::from_millis(1));
    let api = server.builder().timeouts(timeouts).retry(retry).token(TOKEN.parse().unwrap());
    let api = api.build().unwrap();
    let start = Instant::now();
    let error = fail(&api, Operation::ListDeployments).await;
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::TimedOut, 2));
    assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_millis(690), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_answer_that_swells_when_unpacked_is_cut_off() {
    let bomb = Reply::gzipped(200, &vec![b' '; 8 << 20]);
    let mut limits = Limits::default();
    limits.max_response_bytes = 1 << 20;
    let server = Canned::start([bomb]).await;
    let api = server.builder().limits(limits).token(TOKEN.parse().unwrap()).build().unwrap();
    let error = fail(&api, Operation::ListDeployments).await;
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::UpstreamProtocol, 1));
    server.only();
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_at_the_limit() {
    let mut limits = Limits::default();
    limits.max_response_bytes = 100_000;
    for head in
        ["HTTP/1.1 200 OK\r\n\r\n ", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n "]
    {
        for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
            let server = Canned::start([Reply::Endless(head.into())]).await;
            let api = server.builder().limits(limits.clone()).timeouts(Timeouts::default());
            let api = api.token(TOKEN.parse().unwrap()).build().unwrap();
            let error = timeout(Duration::from_secs(5), fail(&api, operation)).await.unwrap();
            assert_eq!(
                (error.kind(), error.outcome(), error.attempts()),
                (ErrorKind::UpstreamProtocol, Outcome::Unknown, 1)
            );
            server.only();
        }
    }
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_is_taken() {
    let body = json!([{"id": "d1"}]).to_string();
    let mut limits = Limits::default();
    limits.max_response_bytes = body.len();
    let server =
        Canned::start([Reply::with(200, &[], &body), Reply::with(200, &[], body + " ")]).await;
    let api = server.builder().limits(limits).token(TOKEN.parse().unwrap()).build().unwrap();
    assert_eq!(api.list_deployments(&ListDeployments::all()).await.unwrap().len(), 1);
    let error = api.list_deployments(&ListDeployments::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamProtocol);
}

#[tokio::test]
async fn what_claims_to_be_packed_and_is_not_is_a_protocol_error() {
    let lie = Reply::with(200, &["Content-Encoding: gzip"], r#"[{"id":"d1"}]"#);
    let server = Canned::start(vec![lie; 3]).await;
    let error = fail(&server.api(), Operation::ListDeployments).await;
    assert_eq!(error.kind(), ErrorKind::UpstreamProtocol);
}

#[tokio::test]
async fn a_head_without_measure_is_a_protocol_error() {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..10_000 {
        head.extend_from_slice(format!("X-{number}: y\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    let server = Canned::start([Reply::Bytes(head)]).await;
    let error = fail(&server.api(), Operation::SubmitRequest).await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::UpstreamProtocol, Outcome::Unknown));
    server.only();
}
