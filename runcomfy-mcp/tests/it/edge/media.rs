//! In which media type answers come, by what the client accepts.

use std::time::Duration;

use runcomfy_core::HttpApi;
use runcomfy_testkit::{Emulator, FakeRunComfy};
use serde_json::{Value, json};

use crate::over_http::{Answer, Server, list, settings};

const JSON: &str = "content-type: application/json";
const EVENTS: &str = "content-type: text/event-stream";

/// Before an account with one deployment, whose runs are over at once.
async fn server() -> Server {
    let account = FakeRunComfy::builder()
        .empty()
        .deployment("d")
        .cold_start(Duration::ZERO)
        .run_time(Duration::ZERO);
    let emulator = Emulator::builder().account(account).start().await.unwrap();
    let api = HttpApi::builder().base_url(emulator.url().as_str());
    let mut settings = settings();
    let soon = Duration::from_millis(5);
    (settings.wait.shortest, settings.wait.shortest_in_queue) = (soon, soon);
    Server::serve(emulator, api, settings).await
}

/// What is answered to a client that sends these `Accept` headers.
async fn post(server: &Server, accept: &[&str], message: &Value) -> Answer {
    let mut head = String::from(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer me",
    );
    accept.iter().for_each(|value| head += &format!("\r\nAccept: {value}"));
    server.send(&head, &message.to_string()).await
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// A call whose client waits, and wants to hear of progress.
fn listening() -> Value {
    let arguments =
        json!({"deployment_id": "d", "wait_for_completion": true, "timeout_seconds": 60});
    let mut message = call("submit_request", arguments);
    message["params"]["_meta"] = json!({"progressToken": "p1"});
    message
}

/// The messages in a stream of events.
fn events(answer: &Answer) -> Vec<Value> {
    assert!(answer.head.contains(EVENTS), "{}", answer.head);
    let lines = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn who_takes_json_among_others_gets_json_where_there_is_no_progress_to_tell() {
    let server = server().await;
    for accept in [
        &[][..],
        &["*/*"],
        &["application/*, text/*"],
        &["application/json"],
        &["Application/JSON; charset=utf-8"],
        &["application/json", "text/event-stream"],
        &["application/json;q=0.5, text/event-stream"],
    ] {
        for message in [call("list_deployments", json!({})), list()] {
            let answer = post(&server, accept, &message).await;
            assert_eq!(answer.status, 200, "{accept:?}: {}", answer.body);
            assert!(answer.head.contains(JSON), "{accept:?}: {}", answer.head);
            assert!(answer.message()["result"].is_object(), "{accept:?}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn who_takes_events_alone_gets_each_answer_as_an_event() {
    let server = server().await;
    let broken = call("get_deployment", json!({"typo": 1}));
    let no_tool = call("no_such_tool", json!({}));
    for accept in ["text/event-stream", "text/*", "application/json;q=0, */*"] {
        for message in
            [call("list_deployments", json!({})), list(), broken.clone(), no_tool.clone()]
        {
            let answer = post(&server, &[accept], &message).await;
            assert_eq!(answer.status, 200, "{accept}: {}", answer.body);
            let expected = post(&server, &["application/json"], &message).await.message();
            assert_eq!(events(&answer), [expected], "{accept}");
        }
    }
}

#[tokio::test]
async fn progress_is_told_to_who_takes_events_and_the_answer_comes_to_all() {
    let server = server().await;
    for (accept, hears) in [
        ("application/json, text/event-stream", true),
        ("*/*", true),
        ("text/event-stream", true),
        ("application/json", false),
        ("application/json, text/event-stream;q=0", false),
    ] {
        let answer = post(&server, &[accept], &listening()).await;
        let mut messages = if hears { events(&answer) } else { vec![answer.message()] };
        let last = messages.pop().unwrap();
        assert_eq!(last["result"]["structuredContent"]["state"], "succeeded", "{accept}: {last}");
        assert_eq!(messages.iter().any(|one| one["method"] == "notifications/progress"), hears);
        assert_eq!(answer.head.contains(JSON), !hears, "{accept}: {}", answer.head);
    }
}

#[tokio::test]
async fn an_answer_that_the_library_streams_comes_as_json_to_who_takes_that_alone() {
    let server = server().await;
    // A page's call goes the library's way.
    let head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://localhost:3000\r\nContent-Type: \
                application/json\r\nAuthorization: Bearer me\r\nAccept: application/json";
    let answer = server.send(head, &listening().to_string()).await;
    assert!(answer.head.contains(JSON), "{}", answer.head);
    assert_eq!(answer.message()["result"]["structuredContent"]["state"], "succeeded");
}

#[tokio::test]
async fn who_takes_neither_is_told_what_to_send_and_nothing_is_done() {
    let server = server().await;
    for accept in ["text/html", "*/*;q=0", "application/json;q=0, text/event-stream;q=0"] {
        let answer = post(&server, &[accept], &call("list_deployments", json!({}))).await;
        assert_eq!(answer.status, 406, "{accept}");
        let told = answer.message()["error"].as_str().unwrap().to_owned();
        assert!(told.contains("Accept: application/json, text/event-stream"), "{told}");
    }
    assert_eq!(server.emulator.counters().totals.calls, 0);
}

#[tokio::test]
async fn a_refusal_is_json_whatever_the_client_takes() {
    let server = server().await;
    let head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: text/event-stream";
    let answer = server.send(head, &list().to_string()).await;
    assert_eq!(answer.status, 401);
    assert!(answer.head.contains(JSON), "{}", answer.head);
}
