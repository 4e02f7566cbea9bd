//! A throw-away server on rmcp: the tools that are measured, each with its one call and nothing else. No
//! checks, no limits, no bounds; what comes from the service is parsed into a `Value` and handed on.
#![expect(clippy::print_stderr, reason = "a program says where it listens")]

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use peers::{TOOLS, argument, flag, listen};
use reqwest::{Client, Method};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Value, json};

#[derive(Clone)]
struct Bare {
    client: Client,
    upstream: Arc<str>,
    tools: Arc<[Tool]>,
}

impl Bare {
    async fn send(&self, method: Method, path: &str, token: &str) -> anyhow::Result<Value> {
        let request = self.client.request(method, format!("{}{path}", self.upstream));
        let answer = request.header("authorization", token).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    async fn tool(&self, name: &str, arguments: &Value, token: &str) -> anyhow::Result<Value> {
        let text = |key: &str| arguments[key].as_str().unwrap_or_default();
        let deployment = text("deployment_id");
        let look = async |request: &str, what: &str| {
            let path = format!("/prod/v1/deployments/{deployment}/requests/{request}/{what}");
            self.send(Method::GET, &path, token).await
        };
        match name {
            "echo" => Ok(json!({"told": arguments})),
            "list_deployments" => {
                let payload = arguments["include_payload"] == true;
                let query = if payload { "?includes=payload" } else { "" };
                let path = format!("/prod/v2/deployments{query}");
                let mut list = self.send(Method::GET, &path, token).await?;
                Ok(json!({"ok": true, "deployments": list.take()}))
            }
            "get_request_status" => {
                let mut status = look(text("request_id"), "status").await?;
                Ok(json!({"ok": true, "status": status.take()}))
            }
            "submit_request" => {
                let path = format!("/prod/v1/deployments/{deployment}/inference");
                let submission = self.send(Method::POST, &path, token).await?;
                if arguments["wait_for_completion"] != true {
                    return Ok(json!({"ok": true, "submission": submission}));
                }
                let request = submission["request_id"].as_str().context("no request id")?;
                let seconds = arguments["timeout_seconds"].as_u64().unwrap_or(300);
                let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
                while look(request, "status").await?["status"] != "completed" {
                    anyhow::ensure!(tokio::time::Instant::now() < end, "not in time");
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
                let result = look(request, "result").await?;
                Ok(json!({"ok": true, "submission": submission, "result": result}))
            }
            other => anyhow::bail!("no tool {other}"),
        }
    }
}

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    /// The real list: as many bytes as the server's own.
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    fn get_tool(&self, _: &str) -> Option<Tool> {
        None
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let head = context.extensions.get::<http::request::Parts>();
        let token = head.and_then(|head| head.headers.get("authorization")?.to_str().ok());
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        match self.tool(&request.name, &arguments, token.unwrap_or("Bearer me")).await {
            Ok(content) => Ok(CallToolResult::structured(content).into()),
            Err(error) => Ok(CallToolResult::structured_error(json!(format!("{error:#}"))).into()),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut listed: Value = serde_json::from_str(TOOLS)?;
    let tools: Vec<Tool> = serde_json::from_value(listed["tools"].take())?;
    let upstream = argument("--upstream").unwrap_or_default().into();
    let client = Client::builder().tcp_nodelay(true).build()?;
    let bare = Bare { client, upstream, tools: tools.into() };
    if flag("--stdio") {
        bare.serve(rmcp::transport::stdio()).await?.waiting().await?;
        return Ok(());
    }
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let sessions = Arc::new(NeverSessionManager::default());
    let mcp = StreamableHttpService::new(move || Ok(bare.clone()), sessions, config);
    let listener = tokio::net::TcpListener::bind(listen()?).await?;
    eprintln!("a bare MCP server at http://{}/mcp", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, axum::Router::new().route_service("/mcp", mcp)).await?;
    Ok(())
}
