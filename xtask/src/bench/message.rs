//! What is asked, and whether what came is the answer to it.

use std::sync::Arc;

use anyhow::{bail, ensure};
use memchr::memmem;

use super::wire::Answer;

/// One request of one caller, made again and again, each time under a new id.
pub(super) struct Message {
    bytes: Vec<u8>,
    /// Where the id's digits are. Nothing where the service itself is asked, which knows no ids.
    id_at: Option<usize>,
    id: u64,
    expected: Expected,
}

/// What the answer must have in it.
#[derive(Clone, Default)]
pub(super) struct Expected {
    /// This text, such as the id of a run.
    pub(super) text: Option<String>,
    /// The payloads of these bytes, in this order.
    pub(super) payloads: Option<Arc<Vec<Vec<u8>>>>,
}

/// What an answer is worth.
pub(super) enum Verdict {
    Whole,
    /// It says itself that it is not whole.
    CutShort,
}

/// All ids have as many digits, so that the message stays as long as it is.
const FIRST_ID: u64 = 1_000_000_000;

/// With some port, as some servers know their names with one only.
const HOST: &str = "127.0.0.1:8000";

impl Message {
    /// A request of MCP.
    pub(super) fn mcp(token: &str, method: &str, params: &str, expected: Expected) -> Self {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"{method}","params":{params}}}"#);
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             mcp-protocol-version: 2025-11-25\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let id_at = body.find(&FIRST_ID.to_string()).map(|at| head.len() + at);
        Self { bytes: (head + &body).into(), id_at, id: FIRST_ID, expected }
    }

    pub(super) fn tool(token: &str, name: &str, arguments: &str, expected: Expected) -> Self {
        let params = format!(r#"{{"name":"{name}","arguments":{arguments}}}"#);
        Self::mcp(token, "tools/call", &params, expected)
    }

    pub(super) fn list_tools(token: &str) -> Self {
        let text = Some("submit_request".to_owned());
        Self::mcp(token, "tools/list", "{}", Expected { text, payloads: None })
    }

    /// A request of the service's own.
    pub(super) fn direct(token: &str, method: &str, path: &str, expected: Expected) -> Self {
        let length = if method == "POST" { "content-length: 0\r\n" } else { "" };
        let bytes = format!(
            "{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\
             accept: application/json\r\n{length}\r\n"
        );
        Self { bytes: bytes.into(), id_at: None, id: 0, expected }
    }

    /// The bytes to send next.
    pub(super) fn next(&mut self) -> &[u8] {
        if let Some(at) = self.id_at {
            self.id += 1;
            let digits = self.id.to_string();
            self.bytes[at..at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }

    /// Whether this is the answer to what was sent last.
    pub(super) fn check(&self, answer: &Answer<'_>) -> anyhow::Result<Verdict> {
        let body = answer.body;
        ensure!(answer.status == 200, "{}: {}", answer.status, beginning(body));
        if self.id_at.is_some() {
            // An error is small; in what is large, the ends are enough.
            let (front, back) = if body.len() > 64 * 1024 {
                (&body[..4096], &body[body.len() - 4096..])
            } else {
                (body, &body[..0])
            };
            let has = |word: &[u8]| has(front, word) || has(back, word);
            ensure!(
                has(format!("\"id\":{}", self.id).as_bytes()),
                "another id: {}",
                beginning(body)
            );
            ensure!(has(b"\"result\":"), "no result: {}", beginning(body));
            ensure!(!has(b"\"isError\":true"), "an error: {}", beginning(body));
        }
        if let Some(text) = &self.expected.text {
            ensure!(has(body, text.as_bytes()), "no {text}: {}", beginning(body));
        }
        let Some(payloads) = &self.expected.payloads else { return Ok(Verdict::Whole) };
        if carries(body, payloads) {
            return Ok(Verdict::Whole);
        }
        if has(body, b"\"truncated\":true") {
            return Ok(Verdict::CutShort);
        }
        bail!("{} bytes without the payloads: {}", body.len(), beginning(body))
    }
}

fn has(body: &[u8], word: &[u8]) -> bool {
    memmem::find(body, word).is_some()
}

/// Whether all payloads are there byte by byte, one after the other. A copy inside a text is escaped, and
/// does not count.
fn carries(body: &[u8], payloads: &[Vec<u8>]) -> bool {
    const KEY: &[u8] = b"\"payload\":";
    let mut rest = body;
    payloads.iter().all(|payload| {
        let Some(at) = memmem::find(rest, KEY) else { return false };
        rest = &rest[at + KEY.len()..];
        rest.starts_with(payload)
    })
}

fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &Expected, status: u16, body: &str) -> Option<&'static str> {
        let mut message = Message::tool("me", "x", "{}", expected.clone());
        message.next();
        match message.check(&Answer { status, body: body.as_bytes() }) {
            Ok(Verdict::Whole) => Some("whole"),
            Ok(Verdict::CutShort) => Some("cut short"),
            Err(_) => None,
        }
    }

    #[test]
    fn only_the_right_answer_passes() {
        let run = Expected { text: Some("run-1".into()), payloads: None };
        let right = r#"{"id":1000000001,"result":{"structuredContent":{"id":"run-1"}}}"#;
        assert_eq!(check(&run, 200, right), Some("whole"));
        assert_eq!(check(&run, 500, right), None);
        assert_eq!(check(&run, 200, &right.replace("run-1", "run-2")), None);
        assert_eq!(check(&run, 200, &right.replace("0001", "0002")), None);
        assert_eq!(check(&run, 200, &right.replace("{\"st", "{\"isError\":true,\"st")), None);
        assert_eq!(check(&run, 200, &right.replace("result", "error")), None);
    }

    #[test]
    fn a_payload_counts_as_it_is_and_not_as_text() {
        let payloads = Some(Arc::new(vec![b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()]));
        let two = Expected { text: None, payloads };
        let answer = |first: &str, second: &str, end: &str| {
            let list = format!(r#"[{{"payload":{first}}},{{"payload":{second}}}]"#);
            let text = list.replace('"', "\\\"");
            format!(r#"{{"id":1000000001,"result":{{"text":"{text}","deployments":{list}{end}}}}}"#)
        };
        assert_eq!(check(&two, 200, &answer("{\"a\":1}", "{\"b\":2}", "")), Some("whole"));
        assert_eq!(check(&two, 200, &answer("{\"b\":2}", "{\"a\":1}", "")), None);
        let cut = answer("{\"a\":1}", "{}", ",\"truncated\":true");
        assert_eq!(check(&two, 200, &cut), Some("cut short"));
    }
}
