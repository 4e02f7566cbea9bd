//! A real MCP session within the process: client and server, with a pipe between them.

use anyhow::{Context, bail};
use rmcp::{
    ClientHandler, RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResult, ClientConfig, Implementation,
        ProgressNotificationParam,
    },
    service::{NotificationContext, RunningService},
};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{RunComfyMcp, cli::terminal::say};

/// A client that shows what it does.
pub(super) struct Session {
    client: RunningService<RoleClient, Client>,
    server: JoinHandle<anyhow::Result<()>>,
}

/// Prints progress as it comes.
struct Client;

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.client_info = Implementation::new("runcomfy-mcp-demo", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        if let Some(message) = progress.message {
            say(&format!("    … {message}"));
        }
    }
}

impl Session {
    /// Connects and says who is there.
    pub(super) async fn start(server: RunComfyMcp) -> anyhow::Result<Self> {
        const PIPE_BYTES: usize = 64 * 1024;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let server = tokio::spawn(async move {
            server
                .serve(far)
                .await
                .context("the server did not start")?
                .waiting()
                .await
                .context("the server failed")?;
            Ok(())
        });
        let client = Client.serve(near).await.context("the client could not connect")?;
        let tools = client.list_all_tools().await.context("tools/list failed")?;
        let info = client.peer_info().and_then(|info| info.server_info.clone());
        let name = info.map_or_else(
            || "a server".to_owned(),
            |info| format!("{} {}", info.name, info.version),
        );
        say(&format!("MCP: connected to {name}; {} tools.", tools.len()));
        Ok(Self { client, server })
    }

    /// What the person says.
    pub(super) fn tell(&self, wish: &str) {
        say(&format!("\n> {wish}"));
    }

    /// Something that happened beside the session.
    pub(super) fn remark(&self, what: &str) {
        say(&format!("    {what}"));
    }

    /// Calls a tool, shows call and answer, gives the structured content.
    pub(super) async fn call(
        &mut self,
        tool: &'static str,
        arguments: Value,
    ) -> anyhow::Result<Value> {
        let result = self.request(tool, arguments).await?;
        if result.is_error == Some(true) {
            bail!("{tool} failed");
        }
        result.structured_content.with_context(|| format!("{tool} gave no structured content"))
    }

    /// Calls a tool with arguments that it must refuse.
    pub(super) async fn call_badly(
        &mut self,
        tool: &'static str,
        arguments: Value,
    ) -> anyhow::Result<()> {
        let result = self.request(tool, arguments).await?;
        if result.is_error != Some(true) {
            bail!("{tool} took arguments that it must refuse");
        }
        Ok(())
    }

    async fn request(
        &mut self,
        tool: &'static str,
        arguments: Value,
    ) -> anyhow::Result<CallToolResult> {
        say(&format!("  {tool} {arguments}"));
        let Value::Object(arguments) = arguments else { bail!("arguments are an object") };
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        let result = self
            .client
            .call_tool(request)
            .await
            .with_context(|| format!("{tool} could not be called"))?;
        for line in result
            .content
            .first()
            .and_then(|block| block.as_text())
            .into_iter()
            .flat_map(|text| text.text.lines())
        {
            say(&format!("    {line}"));
        }
        Ok(result)
    }

    /// Disconnects and waits for the server's end.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.client.cancel().await.context("the client did not end")?;
        self.server.await.context("the server's task failed")?
    }
}
