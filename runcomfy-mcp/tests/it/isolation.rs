//! Many callers at once: whose token each call goes out with, and whose data comes back.
//!
//! Everything of a caller's (token, deployment, names, prompts, outputs) has that caller's number in it, and
//! each token is an account of its own at the service. So a call under another's token shows in that
//! account's book, and a reply to the wrong caller shows by its numbers.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use fastrand::Rng;
use runcomfy_core::{HttpApi, Workflow, client::Timeouts, error::Operation, retry::RetryPolicy};
use runcomfy_mcp::{Limits, Settings};
use runcomfy_testkit::{Emulator, EmulatorBuilder, Fault, FaultKind, FaultRule};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

use crate::over_http::{Server, post_head, read_one, settings};

/// What only this caller's things have in them.
fn canary(caller: usize) -> String {
    format!("canary-{caller:04}")
}

fn token(caller: usize) -> String {
    format!("token-{caller:04}")
}

/// The numbers of all callers whose things are spoken of.
fn canaries(text: &str) -> BTreeSet<&str> {
    text.split("canary-").skip(1).filter_map(|rest| rest.get(..4)).collect()
}

/// An account for each token, with one deployment whose runs give back the text that they are given.
fn accounts() -> EmulatorBuilder {
    Emulator::builder().accounts(|token, builder| {
        let caller = token.strip_prefix("token-")?.parse().ok()?;
        let graph = json!({
            "1": {"class_type": "PrimitiveString", "inputs": {"value": canary(caller)}},
            "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        });
        let name = format!("{}-name", canary(caller));
        let builder = builder
            .empty()
            .workflow_deployment(&deployment(caller), name, Workflow::from_value(graph).unwrap())
            .cold_start(Duration::from_millis(1))
            .run_time(Duration::from_millis(1))
            .remember_calls(10_000);
        Some(builder.build())
    })
}

fn deployment(caller: usize) -> String {
    format!("{}-deployment", canary(caller))
}

/// A server before such accounts, which leaves its callers all they ask for.
async fn server(emulator: Emulator, timeouts: Timeouts) -> Server {
    let mut settings = settings();
    let mut limits = Limits::hosted();
    (limits.rate, limits.paid_rate, limits.refusals_per_minute) = (None, None, None);
    settings.limits = Some(limits);
    settings.wait.shortest = Duration::from_millis(10);
    settings.wait.shortest_in_queue = Duration::from_millis(10);
    serve(emulator, timeouts, settings).await
}

async fn serve(emulator: Emulator, timeouts: Timeouts, settings: Settings) -> Server {
    let mut retries = RetryPolicy::default();
    (retries.base, retries.declined_base) = (Duration::from_millis(1), Duration::from_millis(1));
    let api = HttpApi::builder().base_url(emulator.url().as_str());
    Server::serve(emulator, api.timeouts(timeouts).retry(retries), settings).await
}

/// What a caller knows.
struct Caller {
    number: usize,
    named: usize,
    runs: Vec<String>,
    deployments: Vec<String>,
}

impl Caller {
    fn new(number: usize) -> Self {
        Self { number, named: 0, runs: Vec::new(), deployments: Vec::new() }
    }

    fn name(&mut self, of: &str) -> String {
        self.named += 1;
        format!("{}-{of}-{}", canary(self.number), self.named)
    }

    fn wish(&mut self, luck: &mut Rng) -> (&'static str, Value) {
        let own = deployment(self.number);
        let run = luck.choice(&self.runs).cloned();
        let created = luck.choice(&self.deployments).cloned();
        let about = |run: String| json!({"deployment_id": own, "request_id": run});
        match (luck.u8(..10), run, created) {
            (0 | 1, ..) => ("list_deployments", json!({})),
            (2, ..) => ("get_deployment", json!({"deployment_id": own, "include_payload": true})),
            (3, Some(run), _) => ("get_request_status", about(run)),
            (4 | 5, Some(run), _) => ("get_request_result", about(run)),
            (6, Some(run), _) => ("cancel_request", about(run)),
            (7, _, Some(id)) => {
                ("update_deployment", json!({"deployment_id": id, "name": self.name("renamed")}))
            }
            (7 | 8, ..) => {
                let name = self.name("created");
                let workflow = format!("{}-workflow", canary(self.number));
                (
                    "create_deployment",
                    json!({"name": name, "workflow_id": workflow, "workflow_version": "v1"}),
                )
            }
            _ => {
                let overrides = json!({"1": {"inputs": {"value": self.name("prompt")}}});
                ("submit_request", json!({"deployment_id": own, "overrides": overrides}))
            }
        }
    }

    /// Takes the reply as its own.
    fn learn(&mut self, tool: &str, content: &Value) {
        let id = match tool {
            "submit_request" => (&mut self.runs, &content["request_id"]),
            "create_deployment" => (&mut self.deployments, &content["deployment"]["id"]),
            _ => return,
        };
        id.0.extend(id.1.as_str().map(str::to_owned));
    }
}

/// Some callers who share a connection and call in whatever order.
async fn lane(
    address: SocketAddr,
    mut callers: Vec<Caller>,
    calls: usize,
    seed: u64,
) -> Vec<Caller> {
    let mut luck = Rng::with_seed(seed);
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..calls * callers.len() {
        let place = luck.usize(..callers.len());
        let caller = &mut callers[place];
        let (tool, arguments) = caller.wish(&mut luck);
        let message = call(tool, &arguments);
        stream.write_all(request(caller.number, &message).as_bytes()).await.unwrap();
        let answer = read_one(&mut stream).await;
        let others = canaries(&answer);
        let own = format!("{:04}", caller.number);
        assert!(
            others.iter().all(|number| **number == own),
            "seed {seed}: {tool} of {own} was answered with {others:?}: {answer}"
        );
        assert!(!answer.contains("token-"), "{tool} of {own}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let reply: Value = serde_json::from_str(body).unwrap();
        assert_eq!(reply["id"], 0, "{answer}");
        caller.learn(tool, &reply["result"]["structuredContent"]);
    }
    callers
}

/// Everyone's first id is 0.
fn call(tool: &str, arguments: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call",
        "params": {"name": tool, "arguments": arguments}})
    .to_string()
}

fn request(caller: usize, message: &str) -> String {
    let (token, length) = (token(caller), message.len());
    let head = format!("Authorization: Bearer {token}\r\nContent-Length: {length}\r\n");
    post_head(&head) + message
}

/// Fails where an account was asked for anything of another's.
fn no_account_saw_anothers(emulator: &Emulator, callers: usize) {
    for caller in 0..callers {
        let account = emulator.account(&token(caller)).unwrap();
        let mut seen = format!("{:?}", account.calls());
        for submitted in account.submits_seen() {
            seen += &serde_json::to_string(&submitted.overrides).unwrap();
        }
        let own = format!("{caller:04}");
        assert_eq!(canaries(&seen), BTreeSet::from([own.as_str()]), "at the account of {own}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_at_once_are_never_mixed_up() {
    const CALLERS: usize = 200;
    const LANES: usize = 20;
    const CALLS_EACH: usize = 50;
    let mut accounts = accounts().fault_seed(1);
    for fault in [
        "reset_at_accept",
        "answer_lost",
        "cut_response(at=30)",
        "internal_error",
        "rate_limited(retry_after=0)",
        "html",
        "garbage",
    ] {
        let fault: Fault = fault.parse().unwrap();
        accounts = accounts.fault(FaultRule::new(fault).probability(0.01));
    }
    let server = server(accounts.start().await.unwrap(), Timeouts::default()).await;
    let mut lanes = JoinSet::new();
    for number in 0..LANES {
        let callers = (number..CALLERS).step_by(LANES).map(Caller::new).collect();
        lanes.spawn(lane(server.address, callers, CALLS_EACH, number as u64));
    }
    let callers: Vec<Caller> = lanes.join_all().await.into_iter().flatten().collect();
    no_account_saw_anothers(&server.emulator, CALLERS);
    // Everyone came to something, and nobody's run is another's.
    let runs: Vec<&String> = callers.iter().flat_map(|caller| &caller.runs).collect();
    let distinct: BTreeSet<&&String> = runs.iter().collect();
    assert_eq!(runs.len(), distinct.len());
    assert!(callers.iter().all(|caller| !caller.runs.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_with_one_id_and_one_progress_token_hear_of_their_own_runs_only() {
    const CALLERS: usize = 40;
    let emulator = accounts().start().await.unwrap();
    let server = Arc::new(server(emulator, Timeouts::default()).await);
    let mut all = JoinSet::new();
    for caller in 0..CALLERS {
        let server = Arc::clone(&server);
        all.spawn(async move {
            let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {
                "name": "submit_request",
                "arguments": {
                    "deployment_id": deployment(caller),
                    "wait_for_completion": true,
                    "timeout_seconds": 60,
                },
                "_meta": {"progressToken": 0},
            }});
            let header = format!("Authorization: Bearer {}", token(caller));
            (caller, server.post(&[&header], &message).await.body)
        });
    }
    let mut runs = Vec::new();
    let answers = all.join_all().await;
    for (caller, answer) in &answers {
        let own = format!("{caller:04}");
        assert_eq!(canaries(answer), BTreeSet::from([own.as_str()]), "{answer}");
        assert!(answer.contains("notifications/progress"), "{answer}");
        let (start, end) = (answer.find('{').unwrap(), answer.rfind('}').unwrap());
        let last = answer.rfind("\ndata: ").map_or(start, |place| place + "\ndata: ".len());
        let reply: Value = serde_json::from_str(&answer[last..=end]).unwrap();
        assert_eq!(reply["id"], 0);
        runs.push(reply["result"]["structuredContent"]["request_id"].as_str().unwrap().to_owned());
    }
    // Progress names the run: no answer has another's.
    for (place, (_, answer)) in answers.iter().enumerate() {
        for (other, run) in runs.iter().enumerate() {
            assert_eq!(answer.contains(run), place == other, "{run} in {answer}");
        }
    }
}

#[tokio::test]
async fn what_one_caller_was_shown_is_asked_for_again_for_another() {
    let server = server(accounts().start().await.unwrap(), Timeouts::default()).await;
    for caller in [1, 2, 1] {
        let shown = server.call(&token(caller), "list_deployments", json!({})).await;
        let own = format!("{caller:04}");
        assert_eq!(canaries(&shown.to_string()), BTreeSet::from([own.as_str()]));
    }
    let asked = [1, 2].map(|caller| {
        let account = server.emulator.account(&token(caller)).unwrap();
        account.calls_of(Operation::ListDeployments)
    });
    assert_eq!(asked, [2, 1]);
}

#[tokio::test]
async fn one_callers_bad_token_shuts_nobody_else_out() {
    let server = server(accounts().start().await.unwrap(), Timeouts::default()).await;
    let list = async |caller: usize| {
        let shown = server.call(&token(caller), "list_deployments", json!({})).await;
        shown["kind"].as_str().map(str::to_owned)
    };
    let asked = || server.emulator.counters().totals.calls;
    for bad in [1, 2] {
        server.emulator.inject(FaultRule::new(FaultKind::TokenRevoked).token(&token(bad)).times(1));
    }
    assert_eq!(list(1).await.as_deref(), Some("unauthenticated"));
    assert_eq!((list(1).await.as_deref(), asked()), (Some("unauthenticated"), 1));
    assert_eq!((list(3).await, asked()), (None, 2));
    // Another bad one is found out by asking, not by likeness.
    assert_eq!((list(2).await.as_deref(), asked()), (Some("unauthenticated"), 3));
}

#[tokio::test]
async fn a_token_that_was_rotated_is_a_new_caller_and_the_old_one_none() {
    // RunComfy ends the old token at once; the account is the same.
    let server = server(accounts().start().await.unwrap(), Timeouts::default()).await;
    let (old, new) = (token(1), token(2));
    let arguments = json!({"deployment_id": deployment(1)});
    let run = server.call(&old, "submit_request", arguments.clone()).await;
    assert_eq!(run["ok"], true);
    server.emulator.inject(FaultRule::new(FaultKind::TokenRevoked).token(&old).times(1));
    for _ in 0..2 {
        let refused = server.call(&old, "get_deployment", arguments.clone()).await;
        assert_eq!(refused["kind"], "unauthenticated");
    }
    // What is remembered of the old one neither holds up the new one nor is there for it.
    let shown = server.call(&new, "list_deployments", json!({})).await;
    assert_eq!(canaries(&shown.to_string()), BTreeSet::from(["0002"]));
    let question = json!({"deployment_id": deployment(1), "request_id": run["request_id"].clone()});
    let foreign = server.call(&new, "get_request_result", question).await;
    assert_eq!(foreign["kind"], "not_found");
    let refused = server.call(&old, "list_deployments", json!({})).await;
    assert_eq!(refused["kind"], "unauthenticated");
}
