//! About the least that one more hop can cost: a JSON-RPC message is taken apart as far as its tool's name
//! and arguments, the service is called over a pooled connection, and its bytes are put into the result as
//! they came. No checks, no limits, no library of MCP.
#![expect(clippy::print_stderr, reason = "a program says where it listens")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri, body::Incoming, header::HeaderValue,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use peers::{TOOLS, argument, compact, listen};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    name: &'a str,
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

/// Those that any of its tools reads.
#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(default)]
    deployment_id: &'a str,
    #[serde(default)]
    request_id: &'a str,
    #[serde(default)]
    include_payload: bool,
    #[serde(default)]
    wait_for_completion: bool,
    #[serde(default)]
    timeout_seconds: u64,
}

struct Hop {
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: String,
    tools: String,
}

impl Hop {
    async fn call(&self, method: Method, path: &str, token: &HeaderValue) -> anyhow::Result<Bytes> {
        let uri: Uri = format!("{}{path}", self.upstream).parse()?;
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert("authorization", token.clone());
        let answer = self.client.request(request).await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(answer.into_body().collect().await?.to_bytes())
    }

    /// The structured content of a call, in pieces that are written one after the other.
    async fn tool(&self, params: Params<'_>, token: &HeaderValue) -> anyhow::Result<Vec<Bytes>> {
        let Params { name, arguments } = params;
        let deployment = arguments.deployment_id;
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        match name {
            "list_deployments" => {
                let query = if arguments.include_payload { "?includes=payload" } else { "" };
                let path = format!("/prod/v2/deployments{query}");
                let list = self.call(Method::GET, &path, token).await?;
                Ok(vec![text(r#"{"ok":true,"deployments":"#), list, text("}")])
            }
            "get_request_status" => {
                let status = self.look(deployment, arguments.request_id, "status", token).await?;
                Ok(vec![text(r#"{"ok":true,"status":"#), status, text("}")])
            }
            "submit_request" => {
                let path = format!("/prod/v1/deployments/{deployment}/inference");
                let submission = self.call(Method::POST, &path, token).await?;
                if !arguments.wait_for_completion {
                    return Ok(vec![text(r#"{"ok":true,"submission":"#), submission, text("}")]);
                }
                #[derive(Deserialize)]
                struct Submission<'a> {
                    request_id: &'a str,
                }
                let Submission { request_id } = serde_json::from_slice(&submission)?;
                let patience = Duration::from_secs(arguments.timeout_seconds);
                let end = tokio::time::Instant::now() + patience;
                loop {
                    let status = self.look(deployment, request_id, "status", token).await?;
                    if status.windows(11).any(|word| word == br#""completed""#) {
                        break;
                    }
                    anyhow::ensure!(tokio::time::Instant::now() < end, "not in time");
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
                let result = self.look(deployment, request_id, "result", token).await?;
                let head = [text(r#"{"ok":true,"submission":"#), submission.clone()];
                Ok([&head[..], &[text(r#","result":"#), result, text("}")]].concat())
            }
            other => anyhow::bail!("no tool {other}"),
        }
    }

    async fn look(
        &self,
        deployment: &str,
        request: &str,
        what: &str,
        token: &HeaderValue,
    ) -> anyhow::Result<Bytes> {
        let path = format!("/prod/v1/deployments/{deployment}/requests/{request}/{what}");
        self.call(Method::GET, &path, token).await
    }

    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let message: Message<'_> = serde_json::from_slice(&body)?;
        let Some(id) = message.id else {
            let mut accepted = Response::new(Full::default());
            *accepted.status_mut() = StatusCode::ACCEPTED;
            return Ok(accepted);
        };
        let mut whole = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#).into_bytes();
        match message.method {
            "tools/call" => {
                let params = message.params.context("no params")?;
                let params: Params<'_> = serde_json::from_str(params.get())?;
                let token = head.headers.get("authorization").context("no token")?;
                let content = self.tool(params, token).await?;
                let length: usize = content.iter().map(Bytes::len).sum();
                whole.reserve_exact(length + 128);
                whole
                    .extend(br#"{"content":[{"type":"text","text":"Done."}],"structuredContent":"#);
                content.iter().for_each(|piece| whole.extend_from_slice(piece));
                whole.extend(br#","isError":false}}"#);
            }
            "tools/list" => {
                whole.extend_from_slice(self.tools.as_bytes());
                whole.push(b'}');
            }
            other => anyhow::bail!("no method {other}"),
        }
        let mut answer = Response::new(Full::from(whole));
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        Ok(answer)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let hop = Arc::new(Hop {
        client: Client::builder(TokioExecutor::new()).build(connector),
        upstream: argument("--upstream").context("--upstream URL")?,
        tools: compact(TOOLS),
    });
    let listener = tokio::net::TcpListener::bind(listen()?).await?;
    eprintln!("a bare hop at http://{}/mcp", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hop = Arc::clone(&hop);
        let service = service_fn(move |request| {
            let hop = Arc::clone(&hop);
            async move {
                Ok::<_, Infallible>(hop.answer(request).await.unwrap_or_else(|error| {
                    let mut failed = Response::new(Full::from(format!("{error:#}")));
                    *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    failed
                }))
            }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            // Whoever hangs up has their answer, or wants none.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
