//! A real MCP session within the process: the server as a client starts it, with a pipe in place of its input and
//! output.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, duplex},
    task::JoinHandle,
};

use crate::{
    cli::{
        signals::Stop,
        terminal::{Unwritten, complain, say},
    },
    server::RunComfyMcp,
    transport::stdio,
};

/// A line of the story.
pub(super) fn show(line: &str) -> Result<(), Unwritten> {
    Ok(say(line)?)
}

/// A client that shows what it does. It is written here: the library's would be a tenth of the program.
pub(super) struct Session {
    said: Lines<BufReader<DuplexStream>>,
    input: DuplexStream,
    asked: u64,
    server: JoinHandle<anyhow::Result<stdio::Served>>,
    stop: Stop,
    /// Why progress could not be shown. A call goes on all the same.
    unshown: Option<Unwritten>,
}

impl Session {
    /// Connects and says who is there.
    pub(super) async fn start(server: RunComfyMcp, stop: Stop) -> anyhow::Result<Self> {
        const PIPE_BYTES: usize = 64 * 1024;
        let ((input, stdin), (stdout, output)) = (duplex(PIPE_BYTES), duplex(PIPE_BYTES));
        let serving =
            stdio::serve_pipes(server, Box::new(stdin), Box::new(stdout), Default::default());
        let said = BufReader::new(output).lines();
        let mut session =
            Self { said, input, asked: 0, server: tokio::spawn(serving), stop, unshown: None };
        let client = json!({"name": "runcomfy-mcp-demo", "version": env!("CARGO_PKG_VERSION")});
        let greeting =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let server = session.ask("initialize", greeting).await?;
        session.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        let tools = session.ask("tools/list", json!({})).await?;
        let text = |key: &str| server["serverInfo"][key].as_str().unwrap_or_default();
        let many = tools["tools"].as_array().map_or(0, Vec::len);
        show(&format!("MCP: connected to {} {}; {many} tools.", text("name"), text("version")))?;
        Ok(session)
    }

    /// What the person says.
    pub(super) fn tell(&self, wish: &str) -> Result<(), Unwritten> {
        show(&format!("\n> {wish}"))
    }

    /// Something that happened beside the session.
    pub(super) fn remark(&self, what: &str) -> Result<(), Unwritten> {
        show(&format!("    {what}"))
    }

    /// Calls a tool, shows call and answer, gives the structured content.
    pub(super) async fn call(
        &mut self,
        tool: &'static str,
        arguments: Value,
    ) -> anyhow::Result<Value> {
        let mut result = self.request(tool, arguments).await?;
        if result["isError"] == true {
            bail!("{tool} failed");
        }
        let data = result["structuredContent"].take();
        ensure!(data.is_object(), "{tool} gave no structured content");
        Ok(data)
    }

    /// Calls a tool with arguments that it must refuse.
    pub(super) async fn call_badly(
        &mut self,
        tool: &'static str,
        arguments: Value,
    ) -> anyhow::Result<()> {
        if self.request(tool, arguments).await?["isError"] != true {
            bail!("{tool} took arguments that it must refuse");
        }
        Ok(())
    }

    async fn request(&mut self, tool: &'static str, arguments: Value) -> anyhow::Result<Value> {
        show(&format!("  {tool} {arguments}"))?;
        let meta = json!({"progressToken": tool});
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        let result = self.ask("tools/call", params).await?;
        let sentence = result["content"][0]["text"].as_str().unwrap_or_default();
        let shown = match self.unshown.take() {
            Some(unshown) => Err(unshown),
            None => sentence.lines().try_for_each(|line| show(&format!("    {line}"))),
        };
        if shown.is_err() || self.stop.signal().is_some() {
            // What it did, for whoever sees the one and not the other.
            complain(&format!("{tool}: {sentence}"));
        }
        if let Some(signal) = self.stop.signal() {
            bail!("{signal}: the demo ends, and all in the emulator with it");
        }
        shown?;
        Ok(result)
    }

    /// Sends a request and waits for its result. Prints progress as it comes.
    async fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await?;
        while let Some(line) = self.said.next_line().await.context("the pipe broke")? {
            let mut message: Value =
                serde_json::from_str(&line).context("the server said what is no JSON")?;
            if message["id"] == id {
                ensure!(message["result"].is_object(), "{method} failed: {}", message["error"]);
                return Ok(message["result"].take());
            }
            if message["method"] == "notifications/progress"
                && let Some(sentence) = message["params"]["message"].as_str()
            {
                self.unshown = self.unshown.take().or(show(&format!("    … {sentence}")).err());
            }
        }
        bail!("the server ended before it answered {method}")
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let line = format!("{message}\n");
        self.input.write_all(line.as_bytes()).await.context("the server takes no more")
    }

    /// Disconnects and waits for the server's end.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        drop(self.input);
        self.server.await.context("the server's task failed")?.map(drop)
    }
}
