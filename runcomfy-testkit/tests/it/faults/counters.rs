//! The counters add up whatever happens to calls and connections.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use runcomfy_core::error::Operation;
use runcomfy_testkit::{CallCounters, Emulator, FakeRunComfy, Fault, FaultKind, FaultRule};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{DEPLOYMENT, all_is_well, connect, quick, settled, submit, written};

const USERS: u64 = 8;
const CALLS_EACH: u64 = 250;
/// One of this many calls is abandoned.
const LEAVES_EVERY: u64 = 10;
const LEAVES_AT_ONCE: u64 = USERS * CALLS_EACH / LEAVES_EVERY;

/// One user: calls of all kinds with faults of all kinds, some of them abandoned.
async fn use_it(emulator: Arc<Emulator>, user: u64) {
    let mut luck = fastrand::Rng::with_seed(user);
    let mut request = "none".to_owned();
    for call in 0..CALLS_EACH {
        let inference = format!("POST /prod/v2/deployments/{DEPLOYMENT}/inference");
        let requests = format!("/prod/v2/deployments/{DEPLOYMENT}/requests/{request}");
        let (what, body) = match luck.u8(..10) {
            0 => ("GET /prod/v2/deployments".to_owned(), "{}"),
            1 => (format!("GET {requests}/status"), ""),
            2 => (format!("GET {requests}/result"), ""),
            3 => (format!("POST {requests}/cancel"), ""),
            4 => (inference, "no JSON at all"),
            5 => ("GET /healthz".to_owned(), ""),
            _ => (inference, "{}"),
        };
        let kind = FaultKind::ALL[luck.usize(..FaultKind::ALL.len())];
        let fault = match kind {
            // This one would affect all later calls.
            FaultKind::TokenRevoked => String::new(),
            FaultKind::GzipBomb => "gzip_bomb(mib=4)".to_owned(),
            FaultKind::NotFoundAtFirst => "not_found_at_first(ms=5)".to_owned(),
            FaultKind::Trickle => "trickle(bytes=50,every_ms=1)".to_owned(),
            kind => {
                let effect = if luck.bool() { "applied" } else { "none" };
                let fault = Fault::new(kind);
                fault.clone().with("effect", effect).unwrap_or(fault).to_string()
            }
        };
        let fault = if luck.u8(..3) == 0 { fault.as_str() } else { "" };
        let token = if luck.u8(..20) == 0 { "Basic" } else { "Bearer" };
        let sent =
            written(&what, fault, body).replace("Bearer me", &format!("{token} user-{}", user % 4));
        let leaves = call % LEAVES_EVERY == 0;
        let patience = Duration::from_millis(if leaves { 0 } else { 40 });
        if let Some(id) = exchange(&emulator, &sent, patience).await {
            request = id;
        }
    }
}

/// Sends a call, reads for a while and disconnects. Returns the request id of the response, if there is one.
async fn exchange(emulator: &Emulator, sent: &str, patience: Duration) -> Option<String> {
    // A fault may end the connection even this early.
    let mut socket = connect(emulator).await.ok()?;
    drop(socket.write_all(sent.as_bytes()).await);
    let mut answer = vec![0; 65_536];
    let read = async {
        let mut length = 0;
        while length < answer.len() {
            match socket.read(&mut answer[length..]).await {
                Ok(0) | Err(_) => break,
                Ok(count) => length += count,
            }
        }
        length
    };
    let length = timeout(patience, read).await.ok()?;
    let text = String::from_utf8_lossy(&answer[..length]);
    Some(text.split_once(r#""request_id":""#)?.1.split_once('"')?.0.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_add_up_under_random_faults() {
    let fakes: Arc<Mutex<Vec<FakeRunComfy>>> = Arc::default();
    let made = fakes.clone();
    let accounts = Emulator::builder()
        .fault_seed(7)
        .accounts(move |_, account| {
            let fake = account.cold_start(Duration::ZERO).run_time(Duration::ZERO).build();
            made.lock().unwrap().push(fake.clone());
            Some(fake)
        })
        .scenario("flaky".parse().unwrap())
        .fault(FaultRule::new(FaultKind::CloseAtAccept).probability(0.02));
    let emulator = Arc::new(accounts.start().await.unwrap());
    let users: Vec<_> =
        (0..USERS).map(|user| tokio::spawn(use_it(emulator.clone(), user))).collect();
    for user in users {
        user.await.unwrap();
    }
    emulator.clear_faults();
    let all = USERS * CALLS_EACH;
    // Abandoned calls may not have arrived yet.
    let at_rest = async {
        let rests = || {
            let counters = emulator.counters();
            counters.connections.accepted == all && counters.broken().is_empty()
        };
        while !rests() {
            settled(&emulator).await;
        }
    };
    // The assertions below report what is wrong.
    drop(timeout(super::PATIENCE, at_rest).await);
    // An abandoned connection may end before its call is read, so it is not recorded.
    let arrived = || {
        let counters = emulator.counters();
        let calls = counters.totals.calls + counters.open.calls + counters.unauthenticated;
        calls + counters.connections.cut_at_accept.values().sum::<u64>()
    };
    assert!((all - LEAVES_AT_ONCE..=all).contains(&arrived()), "{} of {all}", arrived());

    let counters = emulator.counters();
    assert_eq!(counters.broken(), [""; 0], "{counters:#?}");
    assert_eq!(counters.connections.accepted, all);
    let started: u64 = fakes.lock().unwrap().iter().map(FakeRunComfy::runs_started).sum();
    let totals = &counters.totals;
    assert_eq!((totals.submits.accepted, counters.accounts.len()), (started, 4));
    assert_eq!(totals.submits.seen, totals.calls_of(Operation::SubmitRequest));
    // The test must have had all kinds of outcomes.
    let submits = &totals.submits;
    for count in [submits.refused, submits.withheld, submits.confirmed, submits.answers_lost] {
        assert!(count > 20, "{counters:#?}");
    }
    assert!(totals.unanswered > 100 && totals.faults.len() > 30, "{counters:#?}");
}

#[tokio::test]
async fn what_does_not_add_up_is_named() {
    let (emulator, fake) = quick().await;
    submit(&emulator, "").await;
    all_is_well(&emulator, "nothing").await;
    // Started without the emulator.
    let id = runcomfy_core::DeploymentId::new(DEPLOYMENT).unwrap();
    let request = runcomfy_core::InferenceRequest::new(id);
    runcomfy_core::RunComfyApi::submit_request(&fake, &request).await.unwrap();
    let broken = emulator.counters().broken();
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken.iter().all(|line| line.starts_with("shared: submits: ")), "{broken:?}");
}

#[tokio::test]
async fn a_call_whose_caller_leaves_in_the_middle_is_written_down() {
    let (emulator, fake) = quick().await;
    let path = format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference");
    let whole = written(&path, "", &" ".repeat(100));
    for sent in [&whole[..whole.len() - 1], &written(&path, "unavailable", "{}{}")[..]] {
        let short = sent.replace("content-length: 4", "content-length: 5");
        let mut socket = connect(&emulator).await.unwrap();
        socket.write_all(short.as_bytes()).await.unwrap();
    }
    let seen = async {
        while emulator.counters().totals.calls < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(super::PATIENCE, seen).await.unwrap();
    settled(&emulator).await;
    let CallCounters { submits, answered, .. } = emulator.counters().totals;
    assert_eq!(emulator.counters().broken(), [""; 0]);
    // Answered, although the caller had disconnected.
    assert_eq!((answered["4xx"], answered["5xx"]), (1, 1));
    assert_eq!((submits.refused, submits.withheld, fake.runs_started()), (1, 1, 0));
}

#[tokio::test]
async fn a_call_without_effect_loses_no_answer() {
    let (emulator, _) = quick().await;
    let list = "GET /prod/v2/deployments";
    super::call(&emulator, list, "answer_lost", "").await;
    let create = super::call(&emulator, "POST /prod/v2/deployments", "answer_lost", "{}").await;
    assert_eq!(create.bytes.len(), 0);
    let made = json!({
        "name": "n", "workflow_id": "00000000-0000-0000-0000-000000001234",
        "workflow_version": "v1", "hardware": ["AMPERE_48"], "min_instances": 0,
        "max_instances": 1, "queue_size": 1, "keep_warm_duration_in_seconds": 60,
    });
    let body = made.to_string();
    super::call(&emulator, "POST /prod/v2/deployments", "answer_lost", &body).await;
    settled(&emulator).await;
    let totals = emulator.counters().totals;
    assert_eq!((totals.unanswered, totals.answers_lost), (3, 1));
}
