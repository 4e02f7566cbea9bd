//! A connection to the MCP server that is kept from call to call, as plain bytes: cheap enough for
//! thousands of calls, and it can be hung up at any moment.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) struct Line {
    address: SocketAddr,
    token: String,
    stream: Option<TcpStream>,
}

/// The connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// There was nobody to send anything to.
    BeforeTheCall,
    InTheCall,
}

impl Line {
    pub(crate) fn new(address: SocketAddr, token: String) -> Self {
        Self { address, token, stream: None }
    }

    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }

    /// Calls a tool, for its structured content or what stands in its place.
    pub(crate) async fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value, Gone> {
        // Every caller's first id is 0, as many clients have it.
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}});
        let (status, body) = self.post(&message).await?;
        let message: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        if status != 200 {
            // What the door says, nothing having been called.
            return Ok(
                json!({"ok": false, "kind": format!("http_{status}"), "outcome": "not_sent"}),
            );
        }
        let content = &message["result"]["structuredContent"];
        if content.is_object() {
            return Ok(content.clone());
        }
        let mut error = message["error"]["data"].clone();
        if !error.is_object() {
            error = json!({});
        }
        error["ok"] = json!(false);
        Ok(error)
    }

    async fn post(&mut self, message: &Value) -> Result<(u16, String), Gone> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await.map_err(|_| Gone::BeforeTheCall)?,
        };
        let body = message.to_string();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, \
             text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nAuthorization: Bearer {}\r\nContent-Length: \
             {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.map_err(|_| Gone::InTheCall)?;
        let answer = read_answer(&mut stream).await.ok_or(Gone::InTheCall)?;
        if !answer.closes {
            self.stream = Some(stream);
        }
        Ok((answer.status, answer.body))
    }
}

struct AnswerRead {
    status: u16,
    body: String,
    closes: bool,
}

/// One answer of announced length.
async fn read_answer(stream: &mut TcpStream) -> Option<AnswerRead> {
    let mut bytes = Vec::new();
    let head_ends = loop {
        if let Some(place) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break place + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_ends]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length: usize = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
    while bytes.len() < head_ends + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes.split_off(head_ends)).ok()?;
    Some(AnswerRead { status, body, closes: head.contains("connection: close") })
}
