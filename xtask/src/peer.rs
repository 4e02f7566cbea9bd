//! A caller of the MCP server, of a bare one, or of the emulator: one connection, one call at a time.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Longer than any answer takes that is not a fault.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Peer {
    address: SocketAddr,
    token: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: bool,
    pub(crate) body: Bytes,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, token: impl Into<String>) -> Self {
        Self { address, token: token.into(), sender: None }
    }

    /// Sends one request, and reads its answer to the end.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let body = body.into();
        let whole = async {
            let sender = self.sender().await?;
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "127.0.0.1")
                .header("authorization", format!("Bearer {}", self.token))
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2025-11-25")
                .body(Full::new(body))?;
            let mut sender = sender;
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            let closes = head.headers.get("connection").is_some_and(|value| value == "close");
            self.sender = (!closes).then_some(sender);
            let retry_after = head.headers.contains_key("retry-after");
            Ok(Answer { status: head.status, retry_after, body })
        };
        tokio::time::timeout(PATIENCE, whole).await.context("no answer")?
    }

    /// The open connection, or a new one.
    async fn sender(&mut self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Asks an MCP server for something that must be given, and does not read it: the caller's own
    /// reading would be measured along.
    pub(crate) async fn demand(&mut self, message: &Bytes) -> anyhow::Result<()> {
        let answer = self.send(Method::POST, "/mcp", message.clone()).await?;
        let text = std::str::from_utf8(&answer.body)?;
        let good = answer.status == StatusCode::OK && text.contains("\"result\":");
        ensure!(good, "{}", answer.status);
        ensure!(!text.contains("\"isError\":true"), "an error");
        Ok(())
    }

    /// Asks an MCP server, and gives the `result`.
    pub(crate) async fn ask(&mut self, message: &Value) -> anyhow::Result<Value> {
        let answer = self.send(Method::POST, "/mcp", message.to_string()).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.status);
        let text = std::str::from_utf8(&answer.body)?;
        // One message, as JSON or as the only event of a stream.
        let json = text.find('{').zip(text.rfind('}')).context("no message")?;
        let mut message: Value = serde_json::from_str(&text[json.0..=json.1])?;
        match message["result"].take() {
            Value::Null => bail!("no result: {message}"),
            result => Ok(result),
        }
    }

    /// Calls a tool, and gives its structured content.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let mut result = self.ask(&calling(tool, arguments)).await?;
        Ok(result["structuredContent"].take())
    }

    /// Calls a tool as a client that wants to hear how it goes. Gives its structured content, and how often
    /// it heard.
    pub(crate) async fn call_and_listen(
        &mut self,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<(Value, usize)> {
        let mut message = calling(tool, arguments);
        message["params"]["_meta"] = json!({"progressToken": 1});
        let answer = self.send(Method::POST, "/mcp", message.to_string()).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.status);
        let text = std::str::from_utf8(&answer.body)?;
        let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let events: Vec<_> = events.filter(|data| !data.trim().is_empty()).collect();
        let (last, heard) = events.split_last().context("no stream of events")?;
        let mut message: Value = serde_json::from_str(last)?;
        ensure!(message["result"].is_object(), "no result: {message}");
        Ok((message["result"]["structuredContent"].take(), heard.len()))
    }

    /// Asks the emulator.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        ensure!(answer.status == StatusCode::OK, "{path}: {}", answer.status);
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

/// The message that calls a tool.
pub(crate) fn calling(tool: &str, arguments: Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params})
}

/// The message that lists the tools.
pub(crate) fn listing() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "tools/list"})
}
