//! A connection to the MCP server that is kept from call to call, as plain bytes: cheap enough for
//! thousands of calls, and it can be hung up at any moment. Answers come as JSON or as a stream of events.

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

/// Whether a caller wants to hear of progress, in a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listens {
    No,
    ToTheEnd,
    /// Hangs up with the first event.
    UntilTheFirstEvent,
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
    pub(crate) async fn call(
        &mut self,
        tool: &str,
        arguments: &Value,
        listens: Listens,
    ) -> Result<Value, Gone> {
        // Every caller's first id is 0, as many clients have it.
        let mut message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}});
        if listens != Listens::No {
            message["params"]["_meta"] = json!({"progressToken": 0});
        }
        let (status, body) = self.post(&message, listens).await?;
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

    async fn post(&mut self, message: &Value, listens: Listens) -> Result<(u16, String), Gone> {
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
        let answer = read_answer(&mut stream, listens).await.ok_or(Gone::InTheCall)?;
        if !answer.closes {
            self.stream = Some(stream);
        }
        Ok((answer.status, answer.body))
    }
}

struct AnswerRead {
    status: u16,
    /// The message that answers.
    body: String,
    closes: bool,
}

/// One answer, to its last byte. `None` where there is less of it, or the reader hangs up.
async fn read_answer(stream: &mut TcpStream, listens: Listens) -> Option<AnswerRead> {
    let mut bytes = Vec::new();
    let head_ends = loop {
        if let Some(place) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break place + 4;
        }
        read_more(stream, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..head_ends]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut body = bytes.split_off(head_ends);
    let body = if let Some(length) = head.split("content-length: ").nth(1) {
        let length: usize = length.lines().next()?.parse().ok()?;
        while body.len() < length {
            read_more(stream, &mut body).await?;
        }
        String::from_utf8(body).ok()?
    } else {
        read_events(stream, body, listens).await?
    };
    Some(AnswerRead { status, body, closes: head.contains("connection: close") })
}

/// The last message of a stream of events, each of which is a chunk.
async fn read_events(
    stream: &mut TcpStream,
    mut bytes: Vec<u8>,
    listens: Listens,
) -> Option<String> {
    let mut last = None;
    loop {
        let line = loop {
            if let Some(place) = bytes.windows(2).position(|two| two == b"\r\n") {
                break place;
            }
            read_more(stream, &mut bytes).await?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?, 16).ok()?;
        let (from, to) = (line + 2, line + 2 + size);
        while bytes.len() < to + 2 {
            read_more(stream, &mut bytes).await?;
        }
        if size == 0 {
            return last;
        }
        let event = std::str::from_utf8(&bytes[from..to]).ok()?;
        if let Some(json) = event.strip_prefix("data: ") {
            last = Some(json.trim_end().to_owned());
        }
        if listens == Listens::UntilTheFirstEvent {
            return None;
        }
        bytes.drain(..to + 2);
    }
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(bytes).await.ok()? > 0).then_some(())
}
