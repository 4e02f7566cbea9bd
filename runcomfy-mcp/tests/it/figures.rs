//! What the server tells those who keep it running: figures, and a line for each call.

use std::collections::{BTreeMap, BTreeSet};

use runcomfy_core::error::Operation;
use runcomfy_testkit::{FaultKind, FaultRule};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    over_http::{Server, list, post_head, read_one, settings},
    program::{Program, SERVE},
};

const HEAD: &str = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1";

impl Server {
    /// Each series by name and labels, with its value.
    async fn figures(&self) -> BTreeMap<String, f64> {
        let answer = Self::send_to(self.figures, HEAD, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("content-type: application/openmetrics-text"), "{answer:?}");
        assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
        let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                (series.to_owned(), value.parse().unwrap())
            })
            .collect()
    }
}

fn generous() -> runcomfy_mcp::Settings {
    let mut settings = settings();
    let mut limits = runcomfy_mcp::Limits::hosted();
    (limits.rate, limits.paid_rate, limits.refusals_per_minute) = (None, None, None);
    settings.limits = Some(limits);
    settings
}

#[tokio::test]
async fn figures_tell_what_happened() {
    let server = Server::start_with(generous()).await;
    let all = server.call("CANARY-tok", "list_deployments", json!({})).await;
    let id = &all["deployments"][0]["id"];
    server.call("CANARY-tok", "get_deployment", json!({"deployment": id})).await;
    server.emulator.inject(
        FaultRule::new(FaultKind::ResetAfterBody).operation(Operation::SubmitRequest).times(1),
    );
    let submitted = server.call("CANARY-tok", "submit_request", json!({"deployment_id": id})).await;
    assert_eq!(submitted["outcome"], "unknown", "{submitted}");
    server.emulator.inject(
        FaultRule::new(FaultKind::ResetAfterBody).operation(Operation::ListDeployments).times(1),
    );
    server.call("CANARY-tok", "list_deployments", json!({})).await;
    assert_eq!(server.post(&[], &list()).await.status, 401);
    assert_eq!(
        server.post(&["Authorization: Bearer CANARY-tok", "Host: evil"], &list()).await.status,
        403
    );
    server.emulator.inject(FaultRule::new(FaultKind::TokenRevoked).token("bad").times(1));
    server.call("bad", "list_deployments", json!({})).await;
    let keyed = json!({"deployment_id": id, "idempotency_key": "k", "wait_for_completion": true, "timeout_seconds": 0});
    for _ in 0..2 {
        server.call("CANARY-tok", "submit_request", keyed.clone()).await;
    }

    let figures = server.figures().await;
    let is = |series: &str, value: f64| {
        let found = figures.get(&format!("runcomfy_mcp_{series}"));
        assert_eq!(found, Some(&value), "{series} in {figures:#?}");
    };
    is(r#"calls_total{tool="list_deployments",outcome="ok",kind="ok"}"#, 2.0);
    is(r#"calls_total{tool="get_deployment",outcome="not_sent",kind="invalid_argument"}"#, 1.0);
    is(r#"calls_total{tool="submit_request",outcome="unknown",kind="upstream_unavailable"}"#, 1.0);
    is(r#"call_seconds_count{tool="submit_request"}"#, 3.0);
    is(r#"outcome_unknown_total{tool="submit_request"}"#, 1.0);
    is("replayed_total", 1.0);
    is("panics_total", 0.0);
    is(r#"upstream_requests_total{operation="submit_request",status="none"}"#, 1.0);
    is(r#"upstream_requests_total{operation="list_deployments",status="2xx"}"#, 2.0);
    is(r#"upstream_retries_total{operation="list_deployments",after="unknown"}"#, 1.0);
    is(r#"rejected_total{reason="no_token"}"#, 1.0);
    is(r#"rejected_total{reason="host_or_origin"}"#, 1.0);
    is(r#"auth_failures_total{at="door"}"#, 1.0);
    is(r#"auth_failures_total{at="runcomfy"}"#, 1.0);
    for (series, nought) in [
        ("inflight_calls", true),
        ("waits_active", true),
        ("pollers_active", true),
        ("tasks", false),
    ] {
        assert_eq!(figures[&format!("runcomfy_mcp_{series}")] == 0.0, nought, "{series}");
    }
    assert!(figures["runcomfy_mcp_draining"] == 0.0);
    assert!(figures["process_open_fds"] > 3.0);

    // What the program adds of its own.
    let own = ["runcomfy_mcp_retry_quota_tokens", "runcomfy_mcp_log_dropped_total"];
    let shown = figures.keys().map(|series| series.split('{').next().unwrap_or_default());
    let shown = shown.filter(|name| !name.ends_with("_bucket") && !name.ends_with("_sum"));
    let shown: BTreeSet<_> = shown.map(|name| name.trim_end_matches("_count")).chain(own).collect();
    let page = include_str!("../../../docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next());
    let told: BTreeSet<_> = rows
        .filter(|name| name.starts_with("runcomfy_mcp_") || name.starts_with("process_"))
        .collect();
    assert_eq!(told, shown, "the table in docs/operations.md");
}

#[tokio::test]
async fn a_wait_shows_in_figures_for_as_long_as_it_lasts() {
    let server = Server::start_with(generous()).await;
    let all = server.call("CANARY-tok", "list_deployments", json!({})).await;
    let submit = json!({"deployment_id": all["deployments"][0]["id"], "wait_for_completion": true});
    let reached = async |value: f64| {
        let names = ["waits_active", "pollers_active"].map(|name| format!("runcomfy_mcp_{name}"));
        loop {
            let figures = server.figures().await;
            if names.iter().all(|name| figures[name] == value) {
                return figures["runcomfy_mcp_polls_total"];
            }
        }
    };
    let polls = tokio::select! {
        ended = server.call("CANARY-tok", "submit_request", submit) => panic!("{ended}"),
        polls = reached(1.0) => polls,
    };
    assert!(polls <= 2.0);
    reached(0.0).await;
}

#[tokio::test]
async fn figures_name_no_caller_and_do_not_grow_with_callers() {
    let server = Server::start_with(generous()).await;
    server.call("CANARY-first", "list_deployments", json!({})).await;
    let one = server.figures().await;
    for caller in 0..200 {
        server.call(&format!("CANARY-{caller}"), "list_deployments", json!({})).await;
    }
    let many = server.figures().await;
    assert!(one.keys().eq(many.keys()), "{many:#?}");
    assert!(!format!("{many:?}").contains("CANARY"));
}

#[tokio::test]
async fn figures_are_at_an_address_of_their_own_for_those_who_reach_it_by_name() {
    let server = Server::start().await;
    let status = async |address, head: &str| Server::send_to(address, head, "").await.status;
    assert_eq!(status(server.figures, HEAD).await, 200);
    for path in ["/metrics", "/debug", "/debug/pprof"] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1");
        assert_eq!(status(server.address, &head).await, 404, "{path}");
    }
    assert_eq!(status(server.figures, "GET /mcp HTTP/1.1\r\nHost: 127.0.0.1").await, 404);
    // A web page's own name, made to lead here.
    assert_eq!(status(server.figures, "GET /metrics HTTP/1.1\r\nHost: evil.example").await, 403);
    let page = format!("{HEAD}\r\nOrigin: https://evil.example");
    assert_eq!(status(server.figures, &page).await, 403);
}

#[tokio::test]
async fn each_call_leaves_one_line_that_says_all_there_is_to_know() {
    let program = Program::start(&format!("{SERVE} --linger 0 --log-format json")).await;
    let id = "no-such-deployment";
    let call = async |id: &str| {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "get_deployment", "arguments": {"deployment_id": id}}});
        let body = message.to_string();
        let headers = "Authorization: Bearer CANARY\r\nX-Request-Id: my-request\r\n";
        let head = post_head(&format!("{headers}Content-Length: {}\r\n", body.len()));
        let mut stream = program.open().await;
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        read_one(&mut stream).await
    };
    call(id).await;
    call("CANARY of many words\n\u{1b}[31m").await;
    let said = program.end().await;
    assert!(!said.contains("CANARY"), "{said}");
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ended: Vec<_> = lines.filter(|line| line["duration_ms"].is_u64()).collect();
    assert_eq!(ended.len(), 2, "{said}");
    let expected = json!({
        "tool": "get_deployment", "kind": "not_found", "outcome": "rejected", "call_id": "my-request",
        "transport": "http", "protocol": "2025-11-25", "deployment_id": id, "status_code": 404,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&ended[0][key], value, "{key} in {}", ended[0]);
    }
    assert!(ended[0]["caller"].as_str().is_some_and(|caller| caller.len() == 8), "{}", ended[0]);
    assert!(ended[0]["bytes_in"].as_u64() > Some(50) && ended[0]["bytes_out"].as_u64() > Some(50));
    assert_eq!(ended[1]["kind"], "invalid_argument");
    assert_eq!(ended[1]["deployment_id"], Value::Null);
}

#[tokio::test]
async fn a_read_and_a_completion_leave_the_same_line_as_a_tool_call() {
    let program = Program::start(&format!("{SERVE} --linger 0 --log-format json")).await;
    let calls = [
        ("tools/call", json!({"name": "list_deployments", "arguments": {}})),
        ("resources/read", json!({"uri": "runcomfy://deployments"})),
        ("resources/list", json!({})),
        (
            "completion/complete",
            json!({
                "ref": {"type": "ref/resource", "uri": "runcomfy://deployments/{deployment_id}"},
                "argument": {"name": "deployment_id", "value": ""},
            }),
        ),
    ];
    for (method, params) in &calls {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params});
        let body = message.to_string();
        let headers = "Authorization: Bearer token\r\nX-Request-Id: my-request\r\n";
        let head = post_head(&format!("{headers}Content-Length: {}\r\n", body.len()));
        let mut stream = program.open().await;
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        read_one(&mut stream).await;
    }
    let said = program.end().await;
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ended: Vec<_> = lines.filter(|line| line["duration_ms"].is_u64()).collect();
    assert_eq!(ended.len(), calls.len(), "{said}");
    let called: Vec<_> = ended.iter().map(|line| line["tool"].as_str().unwrap()).collect();
    let expected = ["list_deployments", "resources/read", "resources/list", "completion/complete"];
    assert_eq!(called, expected);
    let same = ["kind", "outcome", "call_id", "transport", "protocol", "caller"];
    for line in &ended {
        for key in same {
            assert_eq!(line[key], ended[0][key], "{key} in {line}");
            assert!(line[key].is_string(), "{key} in {line}");
        }
        assert!(line["bytes_in"].is_u64(), "{line}");
    }
}

#[tokio::test]
async fn a_refused_token_counts_once_however_it_came() {
    let server = Server::start_with(generous()).await;
    let read = json!({"uri": "runcomfy://deployments"});
    let complete = json!({
        "ref": {"type": "ref/resource", "uri": "runcomfy://deployments/{deployment_id}"},
        "argument": {"name": "deployment_id", "value": ""},
    });
    let list = json!({"name": "list_deployments", "arguments": {}});
    let calls = [("tools/call", list), ("resources/read", read), ("completion/complete", complete)];
    for (n, (method, params)) in calls.into_iter().enumerate() {
        let token = format!("token-{n}");
        server.emulator.inject(FaultRule::new(FaultKind::TokenRevoked).token(&token).times(1));
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params});
        // Each with a token of its own: one that was refused is not tried again for a moment.
        server.post(&[&format!("Authorization: Bearer {token}")], &message).await;
        let figures = server.figures().await;
        let counted = figures[r#"runcomfy_mcp_auth_failures_total{at="runcomfy"}"#];
        assert_eq!(counted, (n + 1) as f64, "{method}");
    }
}
