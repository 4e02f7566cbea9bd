//! The server over HTTP, an emulator behind it, and requests as they stand on the wire.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use runcomfy_core::{
    HttpApi,
    client::{HttpApiBuilder, Observer, Timeouts},
};
use runcomfy_mcp::{
    AuthMode, Exposition, Metrics, RunComfyMcp, Settings, transport::http::HttpServer,
};
use runcomfy_testkit::Emulator;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// A server of its own for each test, on an emulator where each token is an account.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Where its figures are.
    pub(crate) figures: SocketAddr,
    pub(crate) emulator: Emulator,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(settings()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        Self::start_patient(settings, Duration::from_secs(30)).await
    }

    /// With this much patience for RunComfy.
    pub(crate) async fn start_patient(settings: Settings, patience: Duration) -> Self {
        let emulator = Emulator::builder().start().await.unwrap();
        let mut timeouts = Timeouts::default();
        (timeouts.read_attempt, timeouts.read_total) = (patience, patience);
        let api = HttpApi::builder().base_url(emulator.url().as_str()).timeouts(timeouts);
        Self::serve(emulator, api, settings).await
    }

    /// Before this emulator, by way of this client.
    pub(crate) async fn serve(emulator: Emulator, api: HttpApiBuilder, settings: Settings) -> Self {
        crate::watched::watch();
        let metrics = Arc::new(Metrics::new());
        let api = api.observer(Arc::clone(&metrics) as Arc<dyn Observer>).build().unwrap();
        let server = RunComfyMcp::new(AuthMode::Each { api, anonymous: None }, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shown = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let exposition = Exposition::new(shown).unwrap();
        let figures = exposition.address();
        let stop = CancellationToken::new();
        let serving = HttpServer::new(server.with_metrics(metrics)).exposition(exposition);
        let task = tokio::spawn(serving.shutdown(stop.clone()).serve(listener));
        Self { address, figures, emulator, stop, task }
    }

    /// Sends a request as it stands and gives status, head and body.
    pub(crate) async fn send(&self, head: &str, body: &str) -> Answer {
        Self::send_to(self.address, head, body).await
    }

    /// The same to another address.
    pub(crate) async fn send_to(address: SocketAddr, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let request = format!("{head}\r\n{length}Connection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Sends bytes as they are and gives all that comes until the server closes.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may have said no before all is sent.
        drop(stream.write_all(bytes.as_ref()).await);
        read_all(&mut stream).await
    }

    /// A connection with these bytes sent.
    pub(crate) async fn open(&self, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    /// Posts a message with more headers, as a client of the newest revision with a handshake does.
    pub(crate) async fn post(&self, headers: &[&str], message: &Value) -> Answer {
        let mut head = String::from(
            "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25",
        );
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
            head.push_str("\r\nHost: 127.0.0.1");
        }
        for header in headers {
            head.push_str("\r\n");
            head.push_str(header);
        }
        self.send(&head, &message.to_string()).await
    }

    pub(crate) async fn call(&self, token: &str, tool: &str, arguments: Value) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        let answer = self.post(&[&format!("Authorization: Bearer {token}")], &message).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let start = answer.body.find('{').unwrap();
        let end = answer.body.rfind('}').unwrap();
        let message: Value = serde_json::from_str(&answer.body[start..=end]).unwrap();
        message["result"]["structuredContent"].clone()
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The message in it.
    pub(crate) fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The list of tools: the cheapest question.
pub(crate) fn list() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "tools/list"})
}

/// Settings that keep no test waiting.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.linger = Duration::ZERO;
    settings
}

/// What comes until the other end closes, or breaks off.
pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

/// One answer with its body, over a connection that stays open.
pub(crate) async fn read_one(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap_or("0");
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return text;
            }
        }
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "closed after {text:?}");
    }
}

/// The head of a POST with these headers more, and the end of the head.
pub(crate) fn post_head(headers: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n{headers}\r\n"
    )
}

/// A whole request for the list of tools, over a connection that stays open.
pub(crate) fn listing(token: &str) -> String {
    let body = list().to_string();
    let head = format!("Authorization: Bearer {token}\r\nContent-Length: {}\r\n", body.len());
    post_head(&head) + &body
}
