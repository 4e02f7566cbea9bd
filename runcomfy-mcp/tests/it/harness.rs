//! A real MCP client and the server, with a pipe between them, within one runtime.

use std::sync::{Arc, Mutex};

use rmcp::{
    ClientHandler, RoleClient, ServiceExt,
    model::{CallToolRequestParams, CallToolResult, ProgressNotificationParam},
    service::{NotificationContext, RunningService},
};
use runcomfy_core::RunComfyApi;
use runcomfy_mcp::{AuthMode, RunComfyMcp, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// A connected client.
pub(crate) struct Session {
    client: RunningService<RoleClient, Recorder>,
}

/// Keeps the progress messages that came.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl ClientHandler for Recorder {
    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.0.lock().unwrap().extend(progress.message);
    }
}

/// A client of a server that acts on `api`.
pub(crate) async fn connect(api: impl RunComfyApi + 'static) -> Session {
    connect_with(api, Settings::default()).await
}

/// The same with other settings.
pub(crate) async fn connect_with(api: impl RunComfyApi + 'static, settings: Settings) -> Session {
    connect_server(RunComfyMcp::new(AuthMode::One(Arc::new(api)), settings)).await
}

/// A client of this server.
pub(crate) async fn connect_server(server: RunComfyMcp) -> Session {
    crate::watched::watch();
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { server.serve(far).await.unwrap().waiting().await });
    Session { client: Recorder::default().serve(near).await.unwrap() }
}

/// The structured content of a call by a client that asks for no progress, which rmcp's own always does.
pub(crate) async fn call_without_progress(
    api: impl RunComfyApi + 'static,
    tool: &'static str,
    arguments: Value,
) -> Value {
    crate::watched::watch();
    let server = RunComfyMcp::new(AuthMode::One(Arc::new(api)), Settings::default());
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { server.serve(far).await.unwrap().waiting().await });
    let (read, mut write) = tokio::io::split(near);
    let client = json!({"name": "test", "version": "1"});
    for message in [
        json!({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}}),
        json!({"method": "notifications/initialized"}),
        json!({"id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}),
    ] {
        let mut message = message;
        message["jsonrpc"] = "2.0".into();
        write.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        if answer["id"] == 1 {
            return answer["result"]["structuredContent"].take();
        }
    }
    panic!("no answer");
}

impl Session {
    /// Calls a tool.
    pub(crate) async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let request =
            CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone());
        self.client.call_tool(request).await.unwrap()
    }

    /// Calls a tool that must succeed, for its structured content.
    pub(crate) async fn data(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(false), "{tool}: {result:?}");
        result.structured_content.unwrap()
    }

    /// Calls a tool that must fail, for its structured content.
    pub(crate) async fn fault(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {result:?}");
        result.structured_content.unwrap()
    }

    /// The progress messages so far.
    pub(crate) fn progress(&self) -> Vec<String> {
        self.client.service().0.lock().unwrap().clone()
    }

    /// The client itself.
    pub(crate) fn client(&self) -> &RunningService<RoleClient, impl ClientHandler> {
        &self.client
    }
}

/// The text blocks of a result.
pub(crate) fn texts(result: &CallToolResult) -> Vec<&str> {
    result
        .content
        .iter()
        .filter_map(|block| block.as_text())
        .map(|text| text.text.as_str())
        .collect()
}
