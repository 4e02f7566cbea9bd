//! A minimal HTTP client for tests, so that tests see the bytes.

use std::io;

use runcomfy_testkit::Emulator;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

/// A response.
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type").as_deref(), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }
}

/// Calls with a token.
pub(crate) async fn call(emulator: &Emulator, what: &str, body: Option<Value>) -> Reply {
    call_as(emulator, Some("Bearer token-of-a-test"), what, body).await
}

/// Calls `what`, such as `GET /healthz`, with this `Authorization`.
pub(crate) async fn call_as(
    emulator: &Emulator,
    authorization: Option<&str>,
    what: &str,
    body: Option<Value>,
) -> Reply {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    raw(emulator, authorization, what, &body).await
}

/// Calls with a token and this fault.
pub(crate) async fn call_with_fault(emulator: &Emulator, fault: &str, what: &str) -> Reply {
    let authorization = format!("Bearer token-of-a-test\r\nx-emulator-fault: {fault}");
    call_as(emulator, Some(&authorization), what, None).await
}

/// Like [`call_as`], with any bytes as the body.
pub(crate) async fn raw(
    emulator: &Emulator,
    authorization: Option<&str>,
    what: &str,
    body: &str,
) -> Reply {
    raw_at(emulator.url(), authorization, what, body).await.unwrap()
}

/// Like [`raw`], for any address. Returns an error if the server does not answer.
pub(crate) async fn raw_at(
    origin: &Url,
    authorization: Option<&str>,
    what: &str,
    body: &str,
) -> io::Result<Reply> {
    let fields: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    with_fields(origin, &fields, what, body).await
}

/// Like [`raw_at`], with these header fields.
pub(crate) async fn with_fields(
    origin: &Url,
    fields: &[(&str, &str)],
    what: &str,
    body: &str,
) -> io::Result<Reply> {
    let (method, path) = what.split_once(' ').unwrap();
    let host = origin.socket_addrs(|| None)?[0];
    let fields: String =
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{fields}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(host).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Reply { status, head, body })
}
