//! How long the parts of a call take, and whole calls without a service behind them: `cargo bench -p budget`.
//! For work on one of them. What must not grow is counted, by `cargo xtask budget`.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use divan::{Bencher, counter::BytesCount};
use http::{
    HeaderMap, HeaderValue, Request,
    header::{ACCEPT, CONTENT_TYPE, HOST},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use runcomfy_core::{DeploymentId, InferenceRequest, RunComfyApi as _};
use runcomfy_mcp::{AuthMode, RunComfyMcp, Settings, bench, transport::http::HttpServer};
use runcomfy_testkit::FakeRunComfy;
use serde_json::{Value, json};
use tokio::runtime::Builder;

const BOTH: &str = "application/json, text/event-stream";

fn main() {
    divan::main();
}

fn call(tool: &str, arguments: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

fn ids() -> Value {
    let id = "a1b2c3d4-0000-4000-8000-000000000001";
    json!({"deployment_id": id, "request_id": id})
}

/// JSON as workflows are, of about so many bytes.
fn workflow(bytes: usize) -> String {
    let node = |number: usize| {
        let text = "a lighthouse at dusk, \"oil on canvas\", 4k";
        format!(r#""{number}":{{"class_type":"CLIPTextEncode","inputs":{{"text":{text:?}}}}}"#)
    };
    let one = node(1000).len() + 1;
    let nodes: Vec<_> = (0..bytes.div_ceil(one)).map(node).collect();
    format!("{{{}}}", nodes.join(","))
}

/// A message with a workflow of this size.
fn long_message(bytes: usize) -> String {
    let workflow: Value = serde_json::from_str(&workflow(bytes)).unwrap_or_default();
    call("submit_request", &json!({"deployment_id": "d1", "overrides": workflow}))
}

#[divan::bench(args = [200, 100_000])]
fn message_is_fit(bencher: Bencher<'_, '_>, bytes: usize) {
    let message = long_message(bytes);
    let counted = bencher.counter(BytesCount::of_str(&message));
    counted.bench(|| assert!(bench::message_is_fit(message.as_bytes())));
}

#[divan::bench(args = [200, 100_000])]
fn call_is_read(bencher: Bencher<'_, '_>, bytes: usize) {
    let (message, mut headers) = (long_message(bytes), HeaderMap::new());
    headers.insert(ACCEPT, HeaderValue::from_static(BOTH));
    let counted = bencher.counter(BytesCount::of_str(&message));
    counted.bench(|| assert!(bench::call_is_read(&headers, message.as_bytes())));
}

#[divan::bench]
fn arguments_are_right(bencher: Bencher<'_, '_>) {
    let arguments = || ids().as_object().cloned().unwrap_or_default();
    let right = |arguments| assert!(bench::arguments_are_right("get_request_status", arguments));
    bencher.with_inputs(arguments).bench_values(right);
}

#[divan::bench(args = [10_000, 1_000_000])]
fn workflow_is_shown(bencher: Bencher<'_, '_>, bytes: usize) {
    let workflow = workflow(bytes);
    let counted = bencher.counter(BytesCount::of_str(&workflow));
    counted.bench(|| assert_eq!(bench::workflow_is_shown(&workflow), workflow.len()));
}

#[divan::bench]
fn result_is_shaped(bencher: Bencher<'_, '_>) {
    let mut fields = ids();
    fields["state"] = json!("in_progress");
    fields["instance_id"] = json!("i-0123456789abcdef");
    let fields = fields.as_object().cloned().unwrap_or_default();
    bencher.with_inputs(|| fields.clone()).bench_values(bench::result_is_shaped);
}

/// A whole call but for sockets and service: admission and limits, MCP, the tool, the answer.
#[divan::bench(args = ["list_deployments", "get_request_status", "submit_request"])]
fn whole_call(bencher: Bencher<'_, '_>, tool: &str) {
    let runtime = good(Builder::new_current_thread().enable_all().build());
    let (app, message) = runtime.block_on(async {
        let api = Arc::new(FakeRunComfy::builder().empty().deployment("d1").build());
        let request = InferenceRequest::new(good(DeploymentId::new("d1")));
        let run = good(api.submit_request(&request).await).request_id;
        let arguments = match tool {
            "get_request_status" => json!({"deployment_id": "d1", "request_id": run}),
            "submit_request" => json!({"deployment_id": "d1"}),
            _ => json!({}),
        };
        let server = RunComfyMcp::new(AuthMode::One(api), Settings::default());
        let app = HttpServer::new(server).into_router();
        (TowerToHyperService::new(app), call(tool, &arguments))
    });
    bencher.bench(|| {
        runtime.block_on(async {
            let request = Request::post("/mcp")
                .header(HOST, "localhost")
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT, BOTH)
                .body(Body::from(message.clone()));
            let answer = good(app.call(good(request)).await);
            let body = good(to_bytes(answer.into_body(), usize::MAX).await);
            assert!(body.starts_with(br#"{"jsonrpc":"2.0","id":1,"result":"#));
        });
    });
}

fn good<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}
