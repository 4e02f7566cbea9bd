//! Tests of tokens, other routes, and error responses.

use std::time::Duration;

use runcomfy_core::{Error, ErrorKind, error::Operation, instance::ProxyReply};
use runcomfy_testkit::Emulator;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{TEXT_TO_IMAGE, ask, endless, keys, quick, refusal, serve, submit};
use crate::http::{call, call_as};

#[tokio::test]
async fn a_call_without_a_good_token_is_answered_with_401_in_plain_text() {
    let accounts = Emulator::builder()
        .accounts(|token, builder| (token == "good").then(|| builder.build()))
        .start();
    let emulator = accounts.await.unwrap();
    let path = "GET /prod/v2/deployments";
    for authorization in [None, Some("Bearer "), Some("Basic Z29vZA=="), Some("Bearer bad")] {
        let reply = call_as(&emulator, authorization, path, None).await;
        assert_eq!((reply.status, reply.text()), (401, "Unauthorized"), "{authorization:?}");
        assert!(reply.header("content-type").unwrap().starts_with("text/plain"));
    }
    assert_eq!(call_as(&emulator, Some("Bearer good"), path, None).await.status, 200);
}

#[tokio::test]
async fn each_token_is_an_account_of_its_own() {
    let emulator = Emulator::builder().start().await.unwrap();
    let (ann, bob) = (Some("Bearer ann"), Some("Bearer bob"));
    let inference = format!("POST /prod/v1/deployments/{TEXT_TO_IMAGE}/inference");
    let mut requests = Vec::new();
    for token in [ann, bob] {
        let submitted = call_as(&emulator, token, &inference, Some(json!({}))).await.json();
        requests.push(submitted["request_id"].as_str().unwrap().to_owned());
    }
    assert_ne!(requests[0], requests[1]);
    for (token, request, status) in [(ann, 0, 200), (ann, 1, 404), (bob, 0, 404), (bob, 1, 200)] {
        let path = format!(
            "GET /prod/v1/deployments/{TEXT_TO_IMAGE}/requests/{}/status",
            requests[request]
        );
        assert_eq!(call_as(&emulator, token, &path, None).await.status, status);
    }
    let delete = format!("DELETE /prod/v2/deployments/{TEXT_TO_IMAGE}");
    assert_eq!(call_as(&emulator, ann, &delete, None).await.status, 204);
    let get = format!("GET /prod/v2/deployments/{TEXT_TO_IMAGE}");
    assert_eq!(call_as(&emulator, bob, &get, None).await.status, 200);
}

#[tokio::test]
async fn calls_reach_the_comfyui_of_a_live_instance_only() {
    let fake = endless();
    let emulator = serve(fake.clone()).await;
    let request = submit(&emulator, TEXT_TO_IMAGE, json!({})).await;
    let status = ask(&emulator, TEXT_TO_IMAGE, &request, "status").await.json();
    let instance = status["instance_id"].as_str().unwrap();
    let proxy = |instance: &str, path: &str| {
        format!("POST /prod/v2/deployments/{TEXT_TO_IMAGE}/instances/{instance}/proxy/{path}")
    };
    let body = json!({"unload_models": true, "free_memory": true});
    for path in ["free", "api/free", "interrupt", "queue", "api/history"] {
        let reply = call(&emulator, &proxy(instance, path), Some(body.clone())).await;
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{path}");
    }
    let prompt = call(&emulator, &proxy(instance, "prompt"), Some(json!({"prompt": {}}))).await;
    assert_eq!(keys(&prompt.json()), ["prompt_id", "number", "node_errors"]);
    let no_prompt = call(&emulator, &proxy(instance, "prompt"), Some(json!({}))).await;
    assert_eq!((no_prompt.status, &no_prompt.json()["error"]["type"]), (400, &json!("no_prompt")));
    assert_eq!(call(&emulator, &proxy(instance, "object_info"), None).await.status, 405);
    let missing = call(&emulator, &proxy(instance, "no/such"), None).await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    for dead in ["00000000-0000-4000-8000-000000000000", "a%2Fb"] {
        let reply = call(&emulator, &proxy(dead, "free"), None).await;
        assert_eq!(refusal(&reply), (404, 404_001), "{dead}");
    }

    for (reply, content_type, body) in [
        (ProxyReply::Text("hello".into()), "text/plain; charset=utf-8", "hello"),
        (ProxyReply::Json(json!(null)), "application/json", "null"),
        (
            ProxyReply::Binary { content_type: Some("image/x".into()), bytes: b"abc".to_vec() },
            "image/x",
            "abc",
        ),
    ] {
        fake.next_proxy_reply(reply);
        let reply = call(&emulator, &proxy(instance, "free"), None).await;
        assert_eq!(reply.header("content-type").as_deref(), Some(content_type));
        assert_eq!(reply.text(), body);
    }
}

#[tokio::test]
async fn a_failure_that_was_asked_for_leaves_as_the_service_would_say_it() {
    let fake = quick();
    let emulator = serve(fake.clone()).await;
    let of = |kind| Error::new(Operation::ListDeployments, kind);
    for (error, expected) in [
        (of(ErrorKind::InsufficientFunds), (200, 10_001)),
        (of(ErrorKind::RateLimited).with_retry_after(Duration::from_millis(1500)), (429, 429_001)),
        (of(ErrorKind::PermissionDenied), (403, 403_003)),
        (of(ErrorKind::UpstreamUnavailable).with_status_code(502), (502, 503_001)),
    ] {
        let wait = error.retry_after().map(|_| "2".to_owned());
        fake.next_call_fails(Operation::ListDeployments, error);
        let reply = call(&emulator, "GET /prod/v2/deployments", None).await;
        assert_eq!(refusal(&reply), expected);
        assert_eq!(reply.header("retry-after"), wait);
    }
    fake.next_call_fails(None, of(ErrorKind::Unauthenticated));
    let reply = call(&emulator, "GET /prod/v2/deployments", None).await;
    assert_eq!((reply.status, reply.text()), (401, "Unauthorized"));
    assert_eq!(call(&emulator, "GET /prod/v2/deployments", None).await.status, 200);
}

#[tokio::test]
async fn it_says_that_it_is_there_and_what_it_does_not_have() {
    let emulator = serve(quick()).await;
    let health = call_as(&emulator, None, "GET /healthz", None).await;
    assert_eq!((health.status, &health.json()["ok"]), (200, &json!(true)));
    assert_eq!(call(&emulator, "GET /nothing", None).await.status, 404);
    assert_eq!(call(&emulator, "PUT /prod/v2/deployments", None).await.status, 405);
}

#[tokio::test]
async fn after_a_shutdown_no_call_is_answered() {
    let emulator = serve(quick()).await;
    let address = emulator.url().socket_addrs(|| None).unwrap()[0];
    emulator.shutdown().await;
    let error = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// The clock is paused, so that the wait for the call in progress ends at once.
#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_off_a_call_that_does_not_end() {
    let emulator = serve(quick()).await;
    let address = emulator.url().socket_addrs(|| None).unwrap()[0];
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /prod/v1/deployments/{TEXT_TO_IMAGE}/inference HTTP/1.1\r\nhost: {address}\r\n\
         authorization: Bearer me\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // It waits for the body, which never comes.
    let mut waits = *b"HTTP/1.1 100 Continue\r\n\r\n";
    socket.read_exact(&mut waits).await.unwrap();
    emulator.shutdown().await;
    drop(socket.write_all(b"{}").await);
    let answer = timeout(Duration::from_secs(60), socket.read_to_end(&mut Vec::new())).await;
    assert!(matches!(answer, Ok(Ok(0) | Err(_))), "{answer:?}");
}
