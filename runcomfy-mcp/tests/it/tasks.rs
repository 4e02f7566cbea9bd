//! Runs as tasks, at whichever server the questions arrive.

use std::{sync::Arc, time::Duration};

use rmcp::{
    ClientHandler, ServiceExt,
    model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation},
};
use runcomfy_core::{Error, ErrorKind, RequestId, error::Operation};
use runcomfy_mcp::{AuthMode, Limits, Rate, RunComfyMcp, Settings};
use runcomfy_testkit::{FakeBuilder, FakeRunComfy, Script};
use serde_json::{Value, json};

use crate::{modern::Replicas, over_http::settings};

fn fake(script: Script) -> FakeBuilder {
    let none = Duration::ZERO;
    let builder = FakeRunComfy::builder().empty().deployment("dep_1").next_request(script);
    builder.cold_start(none).run_time(none).cancel_latency(none)
}

fn hour() -> Duration {
    Duration::from_secs(3600)
}

fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

async fn submit(replicas: &Replicas, capabilities: Value, wait: bool) -> Value {
    let arguments = json!({
        "deployment_id": "dep_1", "wait_for_completion": wait, "timeout_seconds": 0,
    });
    let params = json!({"name": "submit_request", "arguments": arguments});
    replicas.ask(0, "alice", capabilities, "tools/call", params).await["result"].clone()
}

async fn about(
    replicas: &Replicas,
    replica: usize,
    token: &str,
    method: &str,
    id: &Value,
) -> Value {
    replicas.ask(replica, token, tasks(), method, json!({"taskId": id})).await
}

#[tokio::test]
async fn a_task_is_made_at_one_server_read_at_another_and_cancelled_at_a_third() {
    let replicas = Replicas::start(3, fake(Script::default().running(hour()))).await;
    let made = submit(&replicas, tasks(), true).await;
    assert_eq!((&made["resultType"], &made["status"]), (&json!("task"), &json!("working")));
    let id = &made["taskId"];
    let read = about(&replicas, 1, "alice", "tasks/get", id).await["result"].clone();
    assert_eq!((&read["status"], &read["taskId"]), (&json!("working"), id), "{read}");
    assert!(read["statusMessage"].as_str().unwrap().starts_with("in progress"), "{read}");
    // A short run's end is known soon.
    assert_eq!((&made["pollIntervalMs"], &read["pollIntervalMs"]), (&json!(2000), &json!(2000)));
    assert_eq!(read["createdAt"], made["createdAt"]);
    let cancelled = about(&replicas, 2, "alice", "tasks/cancel", id).await;
    assert!(cancelled["result"].is_object(), "{cancelled}");
    let ended = about(&replicas, 0, "alice", "tasks/get", id).await["result"].clone();
    assert_eq!(ended["status"], "cancelled", "{ended}");
    let api = replicas.emulator.account("alice").unwrap();
    assert_eq!((api.runs_started(), api.calls_of(Operation::CancelRequest)), (1, 1));
}

#[tokio::test]
async fn a_task_ends_with_what_a_wait_would_have_given() {
    let replicas = Replicas::start(2, fake(Script::default())).await;
    let made = submit(&replicas, tasks(), true).await;
    let ended = about(&replicas, 1, "alice", "tasks/get", &made["taskId"]).await["result"].clone();
    assert_eq!(ended["status"], "completed", "{ended}");
    let data = &ended["result"]["structuredContent"];
    assert_eq!((&data["ok"], &data["state"]), (&json!(true), &json!("succeeded")));
    assert!(!data["output_urls"].as_array().unwrap().is_empty(), "{data}");
    assert_eq!(data["deployment_id"], "dep_1");
    let kinds: Vec<_> =
        ended["result"]["content"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds[..3], ["text", "text", "resource_link"], "{ended}");
}

#[tokio::test]
async fn a_failed_run_is_an_answered_question() {
    let failing = Script::default().fails(json!({"message": "too large"}));
    let replicas = Replicas::start(1, fake(failing)).await;
    let made = submit(&replicas, tasks(), true).await;
    let ended = about(&replicas, 0, "alice", "tasks/get", &made["taskId"]).await["result"].clone();
    assert_eq!(
        (&ended["status"], &ended["result"]["isError"]),
        (&json!("completed"), &json!(false))
    );
    assert_eq!(ended["result"]["structuredContent"]["state"], "failed");
}

#[tokio::test]
async fn nobody_else_reads_or_cancels_it_and_what_is_no_task_is_said_so() {
    let replicas = Replicas::start(1, fake(Script::default().running(hour()))).await;
    let made = submit(&replicas, tasks(), true).await;
    for method in ["tasks/get", "tasks/cancel"] {
        let others = about(&replicas, 0, "bob", method, &made["taskId"]).await;
        assert_eq!(others["error"]["code"], -32602, "{method}: {others}");
        for wrong in ["x", "../../x.y.5", "dep_1.no-such.5"] {
            let answer = about(&replicas, 0, "alice", method, &json!(wrong)).await;
            assert_eq!(answer["error"]["code"], -32602, "{method} {wrong}: {answer}");
        }
    }
    let read = about(&replicas, 0, "alice", "tasks/get", &made["taskId"]).await;
    assert_eq!(read["result"]["status"], "working", "{read}");
}

#[tokio::test]
async fn only_a_wait_of_a_client_that_knows_tasks_becomes_one() {
    let replicas = Replicas::start(1, fake(Script::default().running(hour()))).await;
    for (capabilities, wait) in [(json!({}), true), (tasks(), false)] {
        let answer = submit(&replicas, capabilities, wait).await;
        assert_eq!(answer["resultType"], "complete", "{answer}");
        assert_eq!(answer["structuredContent"]["finished"], false);
    }
    let refused =
        replicas.ask(0, "alice", json!({}), "tasks/get", json!({"taskId": "a.b.5"})).await;
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
}

#[tokio::test]
async fn a_look_that_fails_in_passing_is_no_end() {
    let replicas = Replicas::start(1, fake(Script::default().running(hour()))).await;
    let made = submit(&replicas, tasks(), true).await;
    let api = replicas.emulator.account("alice").unwrap();
    let busy = || Error::new(Operation::GetRequestStatus, ErrorKind::RateLimited);
    for _ in 0..20 {
        api.next_call_fails(Operation::GetRequestStatus, busy().with_status_code(429));
    }
    let read = about(&replicas, 0, "alice", "tasks/get", &made["taskId"]).await;
    assert_eq!(read["result"]["status"], "working", "{read}");
    assert!(RequestId::new(made["taskId"].as_str().unwrap().split('.').nth(1).unwrap()).is_ok());
}

#[tokio::test]
async fn a_run_that_is_not_known_yet_is_no_end() {
    let replicas = Replicas::start(1, fake(Script::default().running(hour()))).await;
    let made = submit(&replicas, tasks(), true).await;
    let api = replicas.emulator.account("alice").unwrap();
    let unknown = Error::new(Operation::GetRequestStatus, ErrorKind::NotFound);
    api.next_call_fails(Operation::GetRequestStatus, unknown.with_status_code(404));
    let read = about(&replicas, 0, "alice", "tasks/get", &made["taskId"]).await;
    assert_eq!(read["result"]["status"], "working", "{read}");
}

#[tokio::test]
async fn a_run_whose_result_is_not_there_yet_is_no_end() {
    let replicas = Replicas::start(1, fake(Script::default())).await;
    let made = submit(&replicas, tasks(), true).await;
    let api = replicas.emulator.account("alice").unwrap();
    let early = Error::new(Operation::GetRequestResult, ErrorKind::InvalidArgument);
    let early = early.with_status_code(400).with_error_code(400_005);
    api.next_call_fails(Operation::GetRequestResult, early);
    for status in ["working", "completed"] {
        let read = about(&replicas, 0, "alice", "tasks/get", &made["taskId"]).await;
        assert_eq!(read["result"]["status"], status, "{read}");
    }
}

#[tokio::test]
async fn to_ask_too_often_is_no_end() {
    let mut limits = Limits::hosted();
    limits.rate = Some(Rate { per_second: 0.001, burst: 2 });
    let mut slow = settings();
    slow.limits = Some(limits);
    let account = fake(Script::default().running(hour()));
    let replicas = Replicas::start_with(1, account, slow).await;
    let made = submit(&replicas, tasks(), true).await;
    let asked = || about(&replicas, 0, "alice", "tasks/get", &made["taskId"]);
    assert!(asked().await["result"]["pollIntervalMs"].as_u64().unwrap() < 60_000);
    let refused = asked().await["result"].clone();
    assert_eq!(refused["status"], "working", "{refused}");
    assert!(refused["pollIntervalMs"].as_u64().unwrap() > 60_000, "{refused}");
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_cancels_has_cancelled() {
    let replicas = Replicas::start(1, fake(Script::default().running(hour()))).await;
    let made = submit(&replicas, tasks(), true).await;
    let api = replicas.emulator.account("alice").unwrap();
    let busy = Error::new(Operation::CancelRequest, ErrorKind::RateLimited).with_status_code(429);
    api.next_call_fails(Operation::CancelRequest, busy);
    // The first try is refused, and nobody waits for the second.
    let tried = async {
        while api.calls_of(Operation::CancelRequest) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = tried => {}
        answer = about(&replicas, 0, "alice", "tasks/cancel", &made["taskId"]) => panic!("{answer}"),
    }
    let cancelled = async {
        while api.calls_of(Operation::CancelRequest) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), cancelled).await.unwrap();
    let read = about(&replicas, 0, "alice", "tasks/get", &made["taskId"]).await;
    assert_eq!(read["result"]["status"], "cancelled", "{read}");
}

/// A client of an older revision that declares tasks all the same, as there is one.
struct TooEarly;

impl ClientHandler for TooEarly {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_tasks().build();
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_revision_gets_a_result_whatever_it_declares() {
    let api = Arc::new(fake(Script::default()).build());
    let server = RunComfyMcp::new(AuthMode::One(api), Settings::default());
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { server.serve(far).await.unwrap().waiting().await });
    let client = TooEarly.serve(near).await.unwrap();
    let arguments = json!({"deployment_id": "dep_1", "wait_for_completion": true});
    let call = CallToolRequestParams::new("submit_request")
        .with_arguments(arguments.as_object().unwrap().clone());
    let result = client.call_tool(call).await.unwrap();
    assert_eq!(result.structured_content.unwrap()["state"], "succeeded");
}
