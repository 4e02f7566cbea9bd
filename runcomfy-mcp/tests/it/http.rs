//! The server over HTTP: who is let in, and with whose token.

use std::time::Duration;

use runcomfy_core::{HttpApi, RunComfyApi, Token};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::over_http::{Server, list, post_head, read_one, settings};

#[tokio::test]
async fn a_call_without_exactly_one_well_formed_token_is_not_served() {
    let server = Server::start().await;
    let check = async |headers: &[&str], status: u16| {
        let answer = server.post(headers, &list()).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        assert_eq!(
            answer.head.contains("www-authenticate: bearer realm=\"runcomfy\""),
            status == 401,
            "{headers:?}"
        );
    };
    check(&[], 401).await;
    check(&["Authorization: Basic dXNlcg=="], 401).await;
    check(&["Authorization: Bearer"], 400).await;
    check(&["Authorization: Bearer a b"], 400).await;
    check(&["Authorization: Bearer a", "Authorization: Bearer a"], 400).await;
    check(&["X-RunComfy-User-Token: tok"], 401).await;
    check(&["authorization: bearer tok"], 200).await;
}

#[tokio::test]
async fn web_pages_and_names_that_are_not_allowed_are_turned_away() {
    let server = Server::start().await;
    let token = "Authorization: Bearer CANARY-tok";
    for (header, status) in [
        ("Origin: https://evil.example", 403),
        ("Origin: null", 403),
        ("Origin: http://localhost:3000", 200),
        ("Host: evil.example", 403),
    ] {
        let answer = server.post(&[token, header], &list()).await;
        assert_eq!(answer.status, status, "{header}: {}", answer.body);
    }
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization"
        )
    };
    let foreign = server.send(&preflight("https://evil.example"), "").await;
    assert!(!foreign.head.contains("access-control-allow-origin"), "{}", foreign.head);
    let own = server.send(&preflight("http://localhost:3000"), "").await;
    assert!(
        own.head.contains("access-control-allow-origin: http://localhost:3000"),
        "{}",
        own.head
    );
}

#[tokio::test]
async fn each_caller_sees_their_own_account_and_no_other() {
    let server = Server::start().await;
    let first = server.call("alice", "list_deployments", json!({})).await;
    let workflow = first["deployments"][0]["workflow_id"].clone();
    let arguments =
        json!({"name": "alices-own", "workflow_id": workflow, "workflow_version": "v1"});
    let created = server.call("alice", "create_deployment", arguments).await;
    let id = created["deployment"]["id"].clone();
    let seen = server.call("alice", "get_deployment", json!({"deployment_id": id})).await;
    assert_eq!(seen["deployment"]["name"], "alices-own");
    let foreign = server.call("bob", "get_deployment", json!({"deployment_id": id})).await;
    assert_eq!(foreign["kind"], "not_found");
    // The very token that came in is the one that went out.
    let alice = HttpApi::builder()
        .base_url(server.emulator.url().as_str())
        .token(Token::new("alice").unwrap())
        .build()
        .unwrap();
    let all =
        alice.list_deployments(&runcomfy_core::deployment::ListDeployments::all()).await.unwrap();
    assert!(all.iter().any(|deployment| deployment.name.as_deref() == Some("alices-own")));
}

#[tokio::test]
async fn health_needs_no_token_and_the_server_ends_when_it_is_told() {
    let server = Server::start().await;
    for path in ["/healthz", "/readyz"] {
        let answer = server.send(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1"), "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
        assert!(answer.body.contains("\"ok\":true"), "{}", answer.body);
    }
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), server.task).await;
    ended.expect("it ends in time").unwrap();
}

#[tokio::test]
async fn only_posts_to_the_one_path_are_served() {
    let server = Server::start().await;
    let token = "Authorization: Bearer CANARY-tok";
    for (line, status) in
        [("GET /mcp", 405), ("DELETE /mcp", 405), ("POST /mcp/", 404), ("GET /", 404)]
    {
        let answer =
            server.send(&format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}"), "").await;
        assert_eq!(answer.status, status, "{line}: {}", answer.head);
    }
}

#[tokio::test]
async fn the_list_of_tools_is_the_same_for_everyone_and_every_revision() {
    let server = Server::start().await;
    let mut lists = Vec::new();
    for (token, revision) in [
        ("alice", "2024-11-05"),
        ("bob", "2025-03-26"),
        ("alice", "2025-06-18"),
        ("bob", "2025-11-25"),
        ("alice", "2026-07-28"),
    ] {
        let mut message = list();
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: {revision}\r\nAuthorization: Bearer {token}"
        );
        // This one shakes no hands: each request says who asks.
        if revision == "2026-07-28" {
            head.push_str("\r\nMcp-Method: tools/list");
            message["params"] = json!({"_meta": {
                "io.modelcontextprotocol/protocolVersion": revision,
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }});
        }
        let answer = server.send(&head, &message.to_string()).await;
        assert_eq!(answer.status, 200, "{revision}: {}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        let tools = &answer["result"]["tools"];
        assert_eq!(tools.as_array().unwrap().len(), 10, "{revision}");
        // As text: the order counts.
        lists.push(tools.to_string());
    }
    assert!(lists.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_request_does_not_hold_the_server() {
    let mut settings = settings();
    settings.drain = Duration::from_millis(200);
    let server = Server::start_with(settings).await;
    let mut stuck = Vec::new();
    for half in [
        "PO",
        "POST /mcp HTTP/1.1\r\nHost: x",
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 99\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        stuck.push(stream);
    }
    // One answered request shows that the server has got round to the others.
    server.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1", "").await;
    server.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.task).await;
    ended.expect("it ends in time").unwrap();
}

#[tokio::test]
async fn a_call_in_a_shape_that_it_cannot_have_is_told_so() {
    let server = Server::start().await;
    let token = "Authorization: Bearer CANARY-tok";
    for params in [
        json!({"name": "list_deployments", "arguments": []}),
        json!({"name": "list_deployments", "arguments": "all of them"}),
        json!({"name": "list_deployments", "arguments": "[]"}),
        json!({"name": "list_deployments", "arguments": r#"{"ids":[],"ids":[]}"#}),
        json!({"name": 5}),
    ] {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params});
        let answer = server.post(&[token], &message).await;
        assert!(answer.body.contains("-32602"), "{params}: {}", answer.body);
    }
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "x".repeat(200_000)});
    let answer = server.post(&[token], &message).await;
    assert!(
        answer.body.contains("-32601") && answer.body.len() < 500,
        "{} bytes",
        answer.body.len()
    );
}

#[tokio::test]
async fn arguments_that_came_as_a_text_are_read_as_the_object_that_they_spell() {
    let server = Server::start().await;
    let params = json!({"name": "list_deployments", "arguments": r#"{"ids": []}"#});
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params});
    let answer = server.post(&["Authorization: Bearer alice"], &message).await.message();
    let result = &answer["result"];
    assert_eq!(result["structuredContent"]["ok"], true, "{answer}");
    assert_eq!(result.get("resultType"), None, "as an older client knows it");
}

#[tokio::test]
async fn a_list_is_whole_whatever_the_question_looks_like() {
    let server = Server::start().await;
    let expected = serde_json::to_value(runcomfy_mcp::RunComfyMcp::tools()).unwrap();
    let token = ["Authorization: Bearer alice"];
    for id in [json!(7), json!("\"tools\":[]"), json!("tools/list"), json!("é".repeat(100))] {
        for question in
            [list(), json!({"jsonrpc": "2.0", "method": "tools/list", "params": {"cursor": null}})]
        {
            let mut question = question;
            question["id"] = id.clone();
            // By its length, without waiting for the connection to close.
            let body = question.to_string();
            let head = format!("{}\r\nContent-Length: {}\r\n", token[0], body.len());
            let mut stream = server.open(&(post_head(&head) + &body)).await;
            let answer = read_one(&mut stream).await;
            let answer: Value =
                serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            assert_eq!((&answer["id"], &answer["result"]["tools"]), (&id, &expected));
        }
    }
    // The same words in other questions are nothing to it.
    let unknown = json!({"jsonrpc": "2.0", "id": "\"tools\":[]", "method": "tools/list/no"});
    assert_eq!(server.post(&token, &unknown).await.message()["error"]["code"], -32601);
    let call =
        server.call("alice", "get_deployment", json!({"deployment_id": "\"tools\":[] tools/list"}));
    assert_eq!(call.await["kind"], "invalid_argument");
}
