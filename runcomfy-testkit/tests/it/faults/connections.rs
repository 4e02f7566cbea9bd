//! Tests of connection faults, as the socket shows them.

use std::time::Duration;

use runcomfy_testkit::{Fault, FaultKind, FaultRule};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{DEPLOYMENT, End, PATIENCE, all_is_well, call, connect, quick, send, submit, written};

pub(super) const EXERCISED: [&str; 10] = [
    "reset_at_accept",
    "close_at_accept",
    "reset_before_body",
    "reset_after_body",
    "close_after_body",
    "answer_lost",
    "stall",
    "trickle",
    "endless_body",
    "informational_flood",
];

#[tokio::test]
async fn a_connection_that_is_refused_after_all_is_reset_or_closed_as_asked() {
    for (kind, end) in
        [(FaultKind::ResetAtAccept, End::Reset), (FaultKind::CloseAtAccept, End::Closed)]
    {
        let (emulator, fake) = quick().await;
        emulator.inject(FaultRule::new(kind).times(1));
        let seen = submit(&emulator, "").await;
        assert_eq!((seen.bytes.len(), seen.end), (0, end), "{kind:?}");
        assert_eq!(fake.runs_started(), 0);
        all_is_well(&emulator, kind.as_str()).await;
        let connections = emulator.counters().connections;
        assert_eq!(connections.cut_at_accept[kind.as_str()], 1);
        assert_eq!((connections.accepted, connections.cut_in_call), (2, 0));
    }
}

#[tokio::test]
async fn a_call_that_was_read_ends_without_an_answer_and_with_its_effect_or_not() {
    for (fault, end, runs) in [
        ("reset_after_body", End::Reset, 0),
        ("reset_after_body(effect=applied)", End::Reset, 1),
        ("close_after_body", End::Closed, 0),
        ("close_after_body(effect=applied)", End::Closed, 1),
        ("answer_lost", End::Reset, 1),
        ("answer_lost(end=close)", End::Closed, 1),
        ("cut_response(at=0,of=response,end=reset)", End::Reset, 1),
    ] {
        let (emulator, fake) = quick().await;
        let seen = submit(&emulator, fault).await;
        assert_eq!((seen.bytes.len(), seen.end), (0, end), "{fault}");
        assert_eq!(fake.runs_started(), runs, "{fault}");
        all_is_well(&emulator, fault).await;
        let counters = emulator.counters();
        assert_eq!(counters.connections.cut_in_call, 1, "{fault}");
        let lost = (counters.totals.answers_lost, counters.totals.submits.answers_lost);
        assert_eq!((lost, counters.totals.unanswered), ((runs, runs), 1), "{fault}");
    }
}

#[tokio::test]
async fn a_reset_before_the_body_does_not_wait_for_it() {
    let (emulator, fake) = quick().await;
    let path = format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference");
    let whole = written(&path, "reset_before_body", &" ".repeat(1000));
    // The head and a part of the body.
    let seen = send(&emulator, &whole[..whole.len() - 990], PATIENCE).await;
    assert_eq!((seen.bytes.len(), seen.end), (0, End::Reset));
    assert_eq!(fake.runs_started(), 0);
    all_is_well(&emulator, "reset_before_body").await;
}

#[tokio::test]
async fn a_cut_may_end_in_a_reset() {
    let (emulator, _) = quick().await;
    let list = "GET /prod/v2/deployments";
    let seen = call(&emulator, list, "cut_response(at=3,end=reset)", "").await;
    assert_eq!((seen.body().len(), seen.end), (3, End::Reset));
}

#[tokio::test]
async fn an_answer_shorter_than_the_cut_comes_whole() {
    let (emulator, _) = quick().await;
    let seen = call(&emulator, "GET /prod/v2/deployments", "cut_response(at=10000000)", "").await;
    assert_eq!((seen.status(), seen.end), (200, End::Closed));
    assert!(seen.json().is_array());
    settled_and_answered(&emulator).await;
}

async fn settled_and_answered(emulator: &runcomfy_testkit::Emulator) {
    super::settled(emulator).await;
    let totals = emulator.counters().totals;
    assert_eq!((totals.answered.get("2xx"), totals.unanswered), (Some(&1), 0));
}

#[tokio::test]
async fn what_never_ends_goes_on_until_it_is_left() {
    for (fault, begins) in [
        ("endless_body", &b"HTTP/1.1 200 OK\r\n"[..]),
        ("informational_flood", b"HTTP/1.1 103 Early Hints\r\n"),
    ] {
        let (emulator, fake) = quick().await;
        let seen = submit(&emulator, fault).await;
        assert_eq!(seen.end, End::TooMuch, "{fault}");
        assert!(seen.bytes.starts_with(begins), "{fault}");
        assert_eq!(fake.runs_started(), 0, "{fault}");
        all_is_well(&emulator, fault).await;
        assert_eq!(emulator.counters().totals.unanswered, 1, "{fault}");
    }
}

#[tokio::test]
async fn a_stall_says_nothing_until_its_peer_has_gone() {
    let (emulator, _) = quick().await;
    let path = format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference");
    let call = written(&path, "stall", "{}");
    let seen = send(&emulator, &call, Duration::from_millis(200)).await;
    assert_eq!((seen.bytes.len(), seen.end), (0, End::Silent));
    all_is_well(&emulator, "stall").await;
}

#[tokio::test]
async fn a_stall_ends_at_once_when_the_emulator_stops() {
    let (emulator, _) = quick().await;
    let mut socket = connect(&emulator).await.unwrap();
    socket.write_all(written("GET /prod/v2/deployments", "stall", "").as_bytes()).await.unwrap();
    let stalled = async {
        while emulator.counters().connections.cut_in_call == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, stalled).await.unwrap();
    // Less than the time for which a shutdown waits for calls in progress.
    timeout(Duration::from_secs(4), emulator.shutdown()).await.unwrap();
    let ended = timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn a_connection_with_a_fault_leaves_the_others_alone() {
    let (emulator, _) = quick().await;
    let mut kept = connect(&emulator).await.unwrap();
    let ask = written("GET /healthz", "", "").replace("connection: close\r\n", "");
    for fault in EXERCISED.iter().skip(2) {
        assert!(fault.parse::<Fault>().is_ok());
        let path = format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference");
        let call = written(&path, fault, "{}");
        send(&emulator, &call, Duration::from_millis(50)).await;
        kept.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = [0; 15];
        timeout(PATIENCE, kept.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK", "{fault}");
        // The rest of the body.
        let mut rest = Vec::new();
        while !rest.ends_with(b"}") {
            rest.push(timeout(PATIENCE, kept.read_u8()).await.unwrap().unwrap());
        }
    }
}
