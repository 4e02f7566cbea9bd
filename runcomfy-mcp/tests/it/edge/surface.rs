//! P-1 to P-6 and P-12 to P-15: messages, methods, sizes.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::over_http::{Server, list, post_head, read_all, settings};

const TOKEN: &str = "Authorization: Bearer CANARY-tok";

async fn post_text(server: &Server, body: &str) -> crate::over_http::Answer {
    let head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nAuthorization: Bearer CANARY-tok";
    server.send(head, body).await
}

#[tokio::test]
async fn what_is_no_message_is_told_so_in_json_rpc_and_nothing_of_it_is_repeated() {
    let server = Server::start().await;
    let deep = "[".repeat(10_000);
    let call = r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"list_deployments","arguments":{}}}"#;
    let batch = format!("[{call},{call}]");
    for (body, code) in [
        ("CANARY", -32700),
        ("{\"CANARY\":", -32700),
        ("\u{feff}\u{feff}{}", -32700),
        (deep.as_str(), -32700),
        ("\"CANARY\"", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"1.0","id":0,"method":"CANARY"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{"CANARY":1},"method":5}"#, -32600),
        ("[]", -32600),
        (batch.as_str(), -32600),
    ] {
        let answer = post_text(&server, body).await;
        assert_eq!(answer.status, 400, "{body:.80}: {}", answer.body);
        let message = answer.message();
        assert_eq!(message["error"]["code"], code, "{body:.80}: {message}");
        assert!(message["id"].is_null() && !answer.body.contains("CANARY"), "{message}");
    }
    assert_eq!(server.emulator.counters().totals.calls, 0, "no part of a batch may run");
}

#[tokio::test]
async fn a_byte_order_mark_before_a_message_is_skipped() {
    let server = Server::start().await;
    let call = r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"list_deployments","arguments":{}}}"#;
    let answer = post_text(&server, &format!("\u{feff}{call}")).await;
    assert_eq!(answer.message()["result"]["structuredContent"]["ok"], true, "{}", answer.body);
}

#[tokio::test]
async fn who_looks_for_a_way_to_sign_in_reads_that_a_token_is_missing() {
    let server = Server::start().await;
    for (method, path) in [
        ("GET", "/.well-known/oauth-protected-resource"),
        ("GET", "/.well-known/oauth-protected-resource/mcp"),
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/.well-known/openid-configuration"),
        ("POST", "/register"),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1");
        let answer = server.send(&head, "").await;
        assert_eq!(answer.status, 404, "{path}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(body["error"].is_string(), "{path}: {body}");
        let description = body["error_description"].as_str().unwrap();
        assert!(description.contains("Authorization: Bearer"), "{path}: {description}");
    }
}

#[tokio::test]
async fn who_comes_by_a_name_that_is_not_allowed_is_told_the_flag() {
    let server = Server::start().await;
    for name in ["0.0.0.0:8000", "host.docker.internal:8000", "192.168.0.5"] {
        let head = format!("POST /mcp HTTP/1.1\r\nHost: {name}\r\n{TOKEN}");
        let answer = server.send(&head, "{}").await;
        assert_eq!(answer.status, 403, "{name}");
        assert!(answer.body.contains("--allowed-host"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_unknown_method_of_any_length_gets_a_short_answer() {
    let server = Server::start().await;
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "x".repeat(2_000_000)});
    let answer = server.post(&[TOKEN], &message).await;
    assert_eq!(answer.message()["error"]["code"], -32601);
    assert!(answer.body.matches('x').count() <= 64, "{}", answer.body);
    let mut modern = message;
    modern["params"] = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    modern["method"] = json!("no/such");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: no/such\r\n{TOKEN}"
    );
    let answer = server.send(&head, &modern.to_string()).await;
    assert_eq!((answer.status, &answer.message()["error"]["code"]), (404, &json!(-32601)));
}

#[tokio::test]
async fn an_unknown_tool_is_told_the_known_ones() {
    let server = Server::start().await;
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "CANARY", "arguments": {}}});
    let answer = server.post(&[TOKEN], &message).await.message();
    assert_eq!(answer["error"]["code"], -32602);
    let text = answer.to_string();
    assert!(text.contains("submit_request") && !text.contains("CANARY"), "{text}");
}

#[tokio::test]
async fn other_methods_are_told_which_one_there_is() {
    let server = Server::start().await;
    for method in ["GET", "DELETE", "PUT", "PATCH", "TRACE", "HEAD"] {
        let head = format!("{method} /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{TOKEN}");
        let answer = server.send(&head, "").await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: post\r\n"), "{method}: {}", answer.head);
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_as_soon_as_that_is_known() {
    let mut settings = settings();
    settings.max_body_bytes = 100_000;
    let server = Server::start_with(settings).await;
    // None of it has to come: the length tells, and nobody is asked to go on.
    for more in ["", "Expect: 100-continue\r\n"] {
        let head = post_head(&format!("{TOKEN}\r\n{more}Content-Length: 100001\r\n"));
        let answer = server.raw(head).await;
        assert!(answer.starts_with("HTTP/1.1 413") && !answer.contains(" 100 "), "{answer}");
    }
    // Chunks: as soon as they are too many, though their end has not come.
    let head = post_head(&format!("{TOKEN}\r\nTransfer-Encoding: chunked\r\n"));
    let mut stream = server.open(&head).await;
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    drop(stream.write_all(chunk.repeat(2).as_bytes()).await);
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 413"));
    // Whoever is allowed to go on is told so.
    let body = list().to_string();
    let head = post_head(&format!(
        "{TOKEN}\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n",
        body.len()
    ));
    let answer = server.raw(head + &body).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn handshakes_and_notifications_need_no_session() {
    let server = Server::start().await;
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let answer = server.post(&[TOKEN], &note).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    let hello = |version: &str| {
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
        }})
    };
    let body = hello("1999-01-01").to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{TOKEN}"
    );
    let answer = server.send(&head, &body).await;
    assert_eq!(answer.message()["result"]["protocolVersion"], "2025-11-25", "{}", answer.body);
    assert!(!answer.head.contains("mcp-session-id"));
    let stale = ["Mcp-Session-Id: somebody-elses", "Last-Event-ID: 7"];
    assert_eq!(server.post(&[TOKEN, stale[0], stale[1]], &list()).await.status, 200);
}

#[tokio::test]
async fn there_is_nothing_to_subscribe_to_and_nothing_is_held_open() {
    let server = Server::start().await;
    let message: Value = json!({"jsonrpc": "2.0", "id": 0, "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n{TOKEN}"
    );
    let answer = server.send(&head, &message.to_string()).await;
    assert_eq!(answer.message()["error"]["code"], -32601, "{}", answer.body);
}
