//! Workflows, which may be megabytes: they arrive as they are, whichever way they go.

use std::sync::Arc;

use runcomfy_core::{MockRunComfyApi, deployment::Deployment};
use runcomfy_mcp::{AuthMode, RunComfyMcp, Settings, transport::http::HttpServer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::connect,
    over_http::{Answer, Server},
};

/// An account whose deployments have these payloads.
fn account(payloads: &[&str]) -> MockRunComfyApi {
    let all: Vec<Deployment> = payloads
        .iter()
        .enumerate()
        .map(|(at, payload)| {
            let json =
                format!(r#"{{"id":"dep_{at}","name":"n","payload":{payload},"readme":"r"}}"#);
            serde_json::from_str(&json).unwrap()
        })
        .collect();
    let mut api = MockRunComfyApi::new();
    let one = all[0].clone();
    api.expect_list_deployments().returning(move |_| Ok(all.clone()));
    api.expect_get_deployment().returning(move |_, _| Ok(one.clone()));
    api
}

/// Calls a tool over HTTP.
async fn over_http(api: MockRunComfyApi, tool: &str, arguments: Value) -> Answer {
    over_http_as("a-program/1.0", api, tool, arguments).await
}

/// The same, from a client that goes by this name.
async fn over_http_as(client: &str, api: MockRunComfyApi, tool: &str, arguments: Value) -> Answer {
    let server = RunComfyMcp::new(AuthMode::One(Arc::new(api)), Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(HttpServer::new(server).shutdown(stop.clone()).serve(listener));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nUser-Agent: {client}"
    );
    let params = json!({"name": tool, "arguments": arguments});
    let message =
        json!({"jsonrpc": "2.0", "id": "\"n\"", "method": "tools/call", "params": params});
    let answer = Server::send_to(address, &head, &message.to_string()).await;
    stop.cancel();
    answer
}

/// The same as structured content, over HTTP and through a pipe: they must agree.
async fn data(payloads: &[&str], tool: &'static str, arguments: Value) -> Value {
    let answer = over_http(account(payloads), tool, arguments.clone()).await;
    let over_http = answer.message()["result"]["structuredContent"].clone();
    assert_eq!(over_http, connect(account(payloads)).await.data(tool, arguments).await);
    over_http
}

/// A workflow of about two megabytes, with digits and spaces that a tree would not keep.
fn large(seed: u64) -> String {
    let node =
        format!(r#"{{"class_type": "KSampler", "inputs": {{"seed": {seed}, "cfg": 8.50}}}}"#);
    let nodes: Vec<_> = (0..30_000).map(|id| format!("\"{id}\": {node}")).collect();
    format!(r#"{{"workflow_api_json": {{{}}}, "overrides": null}}"#, nodes.join(",\n"))
}

#[tokio::test]
async fn payloads_of_megabytes_arrive_to_the_byte_over_http() {
    let payloads = [large(1), "{}".to_owned(), large(18_446_744_073_709_551_615)];
    let all: Vec<_> = payloads.iter().map(String::as_str).collect();
    let answer =
        over_http(account(&all), "list_deployments", json!({"include_payload": true})).await;
    for (at, payload) in payloads.iter().enumerate() {
        assert!(answer.body.contains(&format!("\"payload\":{payload}")), "{at}");
    }
    let message = answer.message();
    assert_eq!(message["id"], "\"n\"");
    let data = &message["result"]["structuredContent"];
    assert_eq!((&data["truncated"], &data["removed_characters"]), (&Value::Null, &Value::Null));
    assert_eq!(data["deployments"][2]["readme"], "r");
    let text = message["result"]["content"][1]["text"].as_str().unwrap();
    assert!(text.len() < 2048 && text.contains("runcomfy://deployments/dep_2/workflow"), "{text}");
    assert!(
        answer.head.contains(&format!("content-length: {}", answer.body.len())),
        "{}",
        answer.head
    );
}

#[tokio::test]
async fn a_payload_is_the_same_over_http_and_through_a_pipe() {
    let payload = large(7);
    let data = data(
        &[&payload],
        "get_deployment",
        json!({"deployment_id": "dep_0", "include_payload": true}),
    )
    .await;
    assert_eq!(data["deployment"]["payload"], serde_json::from_str::<Value>(&payload).unwrap());
    assert_eq!(
        data["untrusted_fields"],
        json!(["deployment.name", "deployment.readme", "deployment.payload", "payload_summary"])
    );
}

#[tokio::test]
async fn an_assistant_that_cuts_long_data_gets_the_summary_and_where_the_graph_is() {
    let arguments = json!({"deployment_id": "dep_0", "include_payload": true});
    for client in ["claude-code/2.1.332 (sdk-cli)", "codex-mcp-client/0.171.0", "copilot-cli/1.0"] {
        let api = account(&[&large(7)]);
        let answer = over_http_as(client, api, "get_deployment", arguments.clone()).await;
        let message = answer.message();
        let data = &message["result"]["structuredContent"];
        let nodes = &data["payload_summary"]["workflow_node_summary"];
        assert!(nodes.as_array().is_some_and(|nodes| !nodes.is_empty()), "{data}");
        let instead = data["deployment"]["payload"].as_str().unwrap();
        assert!(instead.contains("runcomfy://deployments/dep_0/workflow"), "{instead}");
        assert!(data.to_string().len() <= 10 * 1024, "{client}");
    }
}

#[tokio::test]
async fn a_short_payload_is_whole_in_the_text_too() {
    let payload = r#"{"workflow_api_json": {"6": {"inputs": {"text": "a cat"}}}}"#;
    let answer =
        over_http(account(&[payload]), "list_deployments", json!({"include_payload": true})).await;
    let result = &answer.message()["result"];
    let text: Value = serde_json::from_str(result["content"][1]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    assert_eq!(text["deployments"][0]["payload"], serde_json::from_str::<Value>(payload).unwrap());
}

#[tokio::test]
async fn a_payload_is_passed_on_byte_for_byte_whatever_its_texts_say() {
    let long = "x".repeat(100_000);
    for text in
        ["می\u{200c}خواهم 👩\u{200d}🚀", "\u{202e}\u{200b}\u{e0041}", "\\u200b\\u001b[31m", &long]
    {
        let payload = format!(
            r#"{{"workflow_api_json": {{"6": {{"inputs": {{"cfg": 8.50, "n": "{text}"}}}}}}}}"#
        );
        let answer =
            over_http(account(&[&payload]), "list_deployments", json!({"include_payload": true}))
                .await;
        assert!(answer.body.contains(&format!("\"payload\":{payload}")), "{text}");
        let data = &answer.message()["result"]["structuredContent"];
        assert_eq!((&data["removed_characters"], &data["truncated"]), (&Value::Null, &Value::Null));
    }
}

#[tokio::test]
async fn a_payload_that_no_reader_takes_does_not_hide_the_others() {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for odd in [r#"{"half": "\ud800"}"#, &deep] {
        let data =
            data(&[odd, "{\"a\":1}"], "list_deployments", json!({"include_payload": true})).await;
        assert_eq!(data["deployments"][0]["payload"], Value::Null);
        assert_eq!(data["deployments"][1]["payload"], json!({"a": 1}));
        assert_eq!(data["truncated"], true);
    }
}
