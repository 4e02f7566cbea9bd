//! The handshake: what comes before it, what it may leave out, and what comes out of turn.

use serde_json::{Value, json};

use crate::{over_http::Server, stdio::Raw};

fn initialize(params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

fn whole() -> Value {
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "client", "version": "1"},
    })
}

/// What a request of the newest revision says of its client.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "client", "version": "1"},
    })
}

/// Sends a message and takes the next answer.
async fn ask(raw: &mut Raw, message: Value) -> Value {
    raw.send(&message.to_string()).await;
    raw.read().await
}

/// Shakes hands, and sees that what follows is answered.
async fn begins(raw: &mut Raw, before: &Value) {
    let answer = ask(raw, initialize(whole())).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "after {before}: {answer}");
    let listed = ask(raw, json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"})).await;
    assert_eq!(listed["id"], 9, "after {before}: {listed}");
    assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(10), "{listed}");
}

#[tokio::test]
async fn what_needs_no_answer_is_dropped_before_the_handshake() {
    for early in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}),
        json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}),
        json!({"jsonrpc": "2.0", "method": "notifications/of/nobody", "params": [1]}),
        json!({"jsonrpc": "2.0", "method": "initialize", "params": whole()}),
        json!({"jsonrpc": "2.0", "id": 0, "result": {"roots": []}}),
        json!({"jsonrpc": "2.0", "id": "x", "error": {"code": -32601, "message": "no"}}),
        json!({"jsonrpc": "2.0", "error": {"code": -32700, "message": "no"}}),
    ] {
        let mut raw = Raw::open(&["--emulator"]).await;
        raw.send(&early.to_string()).await;
        begins(&mut raw, &early).await;
        assert_eq!(raw.end().await.0, Some(0), "{early}");
    }
}

#[tokio::test]
async fn a_request_before_the_handshake_is_told_to_initialize() {
    for (method, params) in [
        ("tools/call", json!({"name": "list_deployments", "arguments": {}})),
        ("tools/call", json!({"name": "list_deployments", "_meta": {"progressToken": 1}})),
        ("tools/list", Value::Null),
        ("resources/list", json!({})),
        ("of/nobody", json!({})),
    ] {
        let mut raw = Raw::open(&["--emulator"]).await;
        let early = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let answer = ask(&mut raw, early.clone()).await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(7), &json!(-32600)),
            "{answer}"
        );
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("`initialize`"), "{early}: {message}");
        begins(&mut raw, &early).await;
    }
}

#[tokio::test]
async fn pings_and_probes_are_answered_before_the_handshake() {
    let mut raw = Raw::open(&["--emulator"]).await;
    let pong = ask(&mut raw, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
    assert_eq!((&pong["id"], &pong["result"]), (&json!(1), &json!({})));
    let probe = |meta| json!({"jsonrpc": "2.0", "id": "probe", "method": "server/discover", "params": {"_meta": meta}});
    let known = ask(&mut raw, probe(meta())).await;
    assert!(known["result"]["supportedVersions"].is_array(), "{known}");
    // A client that gives its probe up, and one whose probe is not whole.
    raw.send(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"probe"}}"#,
    )
    .await;
    let unknown = ask(&mut raw, probe(json!({}))).await;
    let message = unknown["error"]["message"].as_str().unwrap();
    assert!(message.contains("io.modelcontextprotocol/protocolVersion"), "{unknown}");
    // A probe is no handshake.
    let early = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let refused = ask(&mut raw, early.clone()).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("`initialize`"), "{refused}");
    begins(&mut raw, &early).await;
}

#[tokio::test]
async fn a_request_of_the_newest_revision_needs_no_handshake_and_names_what_it_lacks() {
    let list = |id: u32, meta: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {"_meta": meta}});
    let mut raw = Raw::open(&["--emulator"]).await;
    let mut part = meta();
    part.as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
    let refused = ask(&mut raw, list(1, part)).await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("io.modelcontextprotocol/clientCapabilities"), "{message}");
    let mut unknown = meta();
    unknown["io.modelcontextprotocol/protocolVersion"] = "2099-01-01".into();
    assert_eq!(ask(&mut raw, list(2, unknown)).await["error"]["code"], -32022);
    // Neither was taken for a beginning.
    raw.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    let listed = ask(&mut raw, list(3, meta())).await;
    assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(10), "{listed}");
    // The same client may still shake hands.
    assert_eq!(ask(&mut raw, initialize(whole())).await["id"], 0);
}

/// Handshakes that lack what a server can do without, and the revision that each is answered with.
fn incomplete() -> Vec<(Value, &'static str)> {
    let without = |pointer: &str, value: Option<Value>| {
        let mut params = whole();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = params.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert(key.to_owned(), value),
            None => parent.remove(key),
        };
        params
    };
    let mut all = Vec::new();
    for pointer in ["/capabilities", "/clientInfo", "/clientInfo/version", "/clientInfo/name"] {
        all.push((without(pointer, None), "2025-06-18"));
        all.push((without(pointer, Some(Value::Null)), "2025-06-18"));
    }
    all.push((without("/clientInfo", Some(json!({}))), "2025-06-18"));
    all.push((without("/protocolVersion", None), "2025-03-26"));
    all.push((without("/protocolVersion", Some(Value::Null)), "2025-03-26"));
    all.push((json!({"_meta": {"progressToken": "5"}}), "2025-03-26"));
    all.push((json!({}), "2025-03-26"));
    all.push((Value::Null, "2025-03-26"));
    all
}

#[tokio::test]
async fn a_handshake_is_completed_where_it_lacks_what_can_be_done_without() {
    for (params, revision) in incomplete() {
        let mut raw = Raw::open(&["--emulator"]).await;
        let answer = ask(&mut raw, initialize(params.clone())).await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{params}: {answer}");
        assert_eq!(answer["result"]["serverInfo"]["name"], "runcomfy-mcp");
        let listed = raw.call("list_deployments", json!({})).await;
        assert_eq!(listed["ok"], true, "{params}: {listed}");
    }
}

async fn over_http(server: &Server, params: &Value) -> Value {
    let head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer t";
    server.send(head, &initialize(params.clone()).to_string()).await.message()
}

#[tokio::test]
async fn over_http_a_handshake_is_completed_as_well() {
    let server = Server::start().await;
    for (params, revision) in incomplete() {
        let answer = over_http(&server, &params).await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{params}: {answer}");
        assert_eq!(answer["result"]["serverInfo"]["name"], "runcomfy-mcp");
    }
}

/// Handshakes with a field that can't be what it is, and that field.
fn wrong() -> Vec<(Value, &'static str)> {
    let with = |pointer: &str, value: Value| {
        let mut params = whole();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        params.pointer_mut(parent).unwrap()[key] = value;
        params
    };
    vec![
        (json!([]), "params"),
        (json!("2025-06-18"), "params"),
        (with("/protocolVersion", json!(20_250_618)), "protocolVersion"),
        (with("/protocolVersion", json!({})), "protocolVersion"),
        (with("/capabilities", json!([])), "capabilities"),
        (with("/capabilities", json!("none")), "capabilities"),
        (with("/capabilities", json!({"roots": "yes"})), "capabilities.roots"),
        (with("/clientInfo", json!("client")), "clientInfo"),
        (with("/clientInfo", json!([])), "clientInfo"),
        (with("/clientInfo/name", json!(7)), "clientInfo.name"),
        (with("/clientInfo/version", json!(1.5)), "clientInfo.version"),
        (with("/clientInfo/icons", json!("x")), "clientInfo.icons"),
        (with("/_meta", json!("x")), "_meta"),
    ]
}

#[tokio::test]
async fn the_revision_without_a_handshake_does_not_know_the_method_whatever_it_lacks() {
    let account = runcomfy_testkit::FakeRunComfy::builder().empty();
    let replicas = crate::modern::Replicas::start(1, account).await;
    for params in [json!({}), json!({"protocolVersion": "2026-07-28", "capabilities": {}})] {
        let answer = replicas.ask(0, "alice", json!({}), "initialize", params.clone()).await;
        assert_eq!(answer["error"]["code"], -32601, "{params}: {answer}");
    }
}

#[tokio::test]
async fn a_field_of_a_wrong_type_is_named_and_the_handshake_may_be_made_again() {
    for (params, field) in wrong() {
        let mut raw = Raw::open(&["--emulator"]).await;
        let answer = ask(&mut raw, initialize(params.clone())).await;
        let error = &answer["error"];
        assert_eq!((&answer["id"], &error["code"]), (&json!(0), &json!(-32602)), "{answer}");
        assert_eq!(error["data"]["field"], field, "{params}: {answer}");
        assert!(error["message"].as_str().unwrap().contains(field), "{answer}");
        begins(&mut raw, &params).await;
    }
}

#[tokio::test]
async fn over_http_a_field_of_a_wrong_type_is_named_as_well() {
    let server = Server::start().await;
    for (params, field) in wrong() {
        // Without these being objects it is no message for MCP's library, and is refused as such.
        if matches!(field, "params" | "_meta") {
            continue;
        }
        let answer = over_http(&server, &params).await;
        assert_eq!(answer["error"]["data"]["field"], field, "{params}: {answer}");
    }
}

#[tokio::test]
async fn a_second_handshake_is_answered_and_a_wrong_one_does_not_end_the_first() {
    let mut raw = Raw::start(&["--emulator"]).await;
    let wrong = ask(&mut raw, initialize(json!({"protocolVersion": 7}))).await;
    assert_eq!(wrong["error"]["data"]["field"], "protocolVersion", "{wrong}");
    let short = ask(&mut raw, initialize(json!({}))).await;
    assert_eq!(short["result"]["serverInfo"]["name"], "runcomfy-mcp", "{short}");
    begins(&mut raw, &json!("a handshake")).await;
}

#[tokio::test]
async fn a_second_handshake_of_a_revision_that_there_is_not_makes_the_session_no_other() {
    let mut raw = Raw::start(&["--emulator"]).await;
    let mut params = whole();
    params["protocolVersion"] = "2099-01-01".into();
    let answer = ask(&mut raw, initialize(params)).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
    let listed = ask(&mut raw, json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).await;
    assert_eq!(listed["result"].get("cacheScope"), None, "answered as of a later revision");
}

#[tokio::test]
async fn calls_need_not_wait_for_initialized_and_it_may_come_twice() {
    let mut raw = Raw::open(&["--emulator"]).await;
    begins(&mut raw, &Value::Null).await;
    assert_eq!(raw.call("list_deployments", json!({})).await["ok"], true);
    for _ in 0..2 {
        raw.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }
    assert_eq!(raw.call("list_deployments", json!({})).await["ok"], true);
    assert_eq!(raw.end().await.0, Some(0));
}
