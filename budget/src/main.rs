//! One of the server's hot paths, so many times: `budget PATH TIMES UPSTREAM`, where UPSTREAM is a
//! `peer-upstream`. All of the server but its sockets is passed: admission and limits, MCP, the tool, the client
//! of the service, and the log line. One thread, so that each time is like the one before, and
//! `cargo xtask budget` can count what it takes.

use anyhow::{Context as _, ensure};
use axum::{
    Router,
    body::{Body, to_bytes},
};
use http::Request;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use runcomfy_core::{DeploymentId, HttpApi, InferenceRequest, RunComfyApi as _, Token};
use runcomfy_mcp::{AuthMode, Limits, RunComfyMcp, Settings, transport::http::HttpServer};

/// In the upstream, everyone's deployment.
const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

/// More than any answer has.
const MOST: usize = 64 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let mut next = || words.next().context("budget PATH TIMES UPSTREAM");
    let (path, times, upstream) = (next()?, next()?.parse::<u64>()?, next()?);
    tracing_subscriber::fmt().with_writer(std::io::sink).init();

    let api = HttpApi::builder().base_url(&upstream).build()?;
    let message = message(&path, &api).await?;
    let app = TowerToHyperService::new(app(api));
    let mut bytes = 0;
    for _ in 0..times {
        let request = Request::post("/mcp")
            .header("host", "127.0.0.1")
            .header("authorization", "Bearer me")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .header("content-length", message.len())
            .body(Body::from(message.to_string()))?;
        let answer = app.call(request).await?;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), MOST).await?;
        let (from, to) = (&body[..body.len().min(300)], &body[body.len().saturating_sub(300)..]);
        let error = [from, to].map(String::from_utf8_lossy).concat();
        ensure!(status.is_success() && !error.contains("\"isError\":true"), "{status}: {error}");
        bytes = body.len();
    }
    ensure!(bytes > 0, "nothing was asked");
    Ok(())
}

/// As it is served, but for the rates: what is counted comes as fast as it can.
fn app(api: HttpApi) -> Router {
    let mut limits = Limits::many_callers();
    (limits.rate, limits.paid_rate) = (None, None);
    let mut settings = Settings::default();
    settings.limits = Some(limits);
    let server = RunComfyMcp::new(AuthMode::Each { api, anonymous: None }, settings);
    HttpServer::new(server).into_router()
}

async fn message(path: &str, api: &HttpApi) -> anyhow::Result<String> {
    let call = |name: &str, arguments: &str| {
        let params = format!(r#"{{"name":"{name}","arguments":{arguments}}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
    };
    let message = match path {
        "tools-list" => r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned(),
        "get-request-status" => {
            let request = InferenceRequest::new(DeploymentId::new(DEPLOYMENT)?);
            let submitted = api.with_token(Token::new("me")?).submit_request(&request).await?;
            let run = submitted.request_id;
            let ids = format!(r#"{{"deployment_id":"{DEPLOYMENT}","request_id":"{run}"}}"#);
            call("get_request_status", &ids)
        }
        "submit-request" => {
            call("submit_request", &format!(r#"{{"deployment_id":"{DEPLOYMENT}"}}"#))
        }
        "list-deployments" => call("list_deployments", "{}"),
        "list-payload" => call("list_deployments", r#"{"include_payload":true}"#),
        other => anyhow::bail!("no path {other}"),
    };
    Ok(message)
}
