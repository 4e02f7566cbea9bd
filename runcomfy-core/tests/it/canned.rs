//! A server on the loopback that answers from a script and writes down what it was asked.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use runcomfy_core::{
    HttpApi, Token,
    client::{HttpApiBuilder, Timeouts},
    retry::{RetryBudget, RetryPolicy},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub(crate) const TOKEN: &str = "rc_SECRET_0123456789";

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query, as they stood in the first line.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    /// Method and target, as in `GET /x`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The values of a header, joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> =
            self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What one request is answered with.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes; the connection stays open.
    Bytes(Vec<u8>),
    /// These bytes, then the end.
    Cut(Vec<u8>),
    /// These bytes, then the last of them over and over.
    Endless(Vec<u8>),
    /// A reset of the connection, without a word.
    Reset,
    /// These bytes, then silence.
    Stall(Vec<u8>),
}

impl Reply {
    /// An answer with JSON as its body.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::with(status, &["Content-Type: application/json"], body.to_string())
    }

    /// An answer with any body.
    pub(crate) fn with(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 {status} Canned\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            bytes += header;
            bytes += "\r\n";
        }
        bytes += "\r\n";
        Self::Bytes([bytes.as_bytes(), body].concat())
    }

    /// The same answer, packed.
    pub(crate) fn gzipped(status: u16, body: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        Self::with(status, &["Content-Encoding: gzip"], encoder.finish().unwrap())
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) | Self::Cut(bytes) | Self::Endless(bytes) | Self::Stall(bytes) => {
                bytes
            }
            Self::Reset => Vec::new(),
        }
    }

    /// Whether it is none of HTTP's answers, from its first byte on.
    pub(crate) fn is_garbage(&self) -> bool {
        matches!(self, Self::Cut(bytes) if !bytes.is_empty() && !b"HTTP/1.1 ".starts_with(&bytes[..bytes.len().min(9)]))
    }

    /// Only the first `count` bytes of it, then the end.
    pub(crate) fn cut_at(self, count: usize) -> Self {
        let mut bytes = self.bytes();
        bytes.truncate(count);
        Self::Cut(bytes)
    }

    /// All but its last byte, then the end.
    pub(crate) fn cut_short(self) -> Self {
        let mut bytes = self.bytes();
        bytes.pop();
        Self::Cut(bytes)
    }
}

#[derive(Debug, Default)]
struct Log {
    script: Vec<Reply>,
    seen: Vec<Seen>,
    connections: usize,
}

/// The server. It ends when it is dropped.
pub(crate) struct Canned {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Canned {
    /// A server that gives these answers in turn, and 404 after the last.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        crate::watched::watch();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = script.into_iter().collect();
        let log = Arc::new(Mutex::new(Log { script, ..Log::default() }));
        let shared = Arc::clone(&log);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut log = shared.lock().unwrap();
                    log.connections += 1;
                    log.connections - 1
                };
                connections.spawn(serve(stream, number, Arc::clone(&shared)));
            }
        });
        Self { address, log, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it with a token, short timeouts and hardly any wait between tries.
    pub(crate) fn api(&self) -> HttpApi {
        self.builder().token(Token::new(TOKEN).unwrap()).build().unwrap()
    }

    pub(crate) fn builder(&self) -> HttpApiBuilder {
        builder(&self.url())
    }

    /// Everything that arrived so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().seen.clone()
    }

    /// Everything that arrived so far, as `GET /x`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    /// The one request that arrived.
    #[track_caller]
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }
}

/// A client with short timeouts and hardly any wait between tries.
pub(crate) fn builder(url: &str) -> HttpApiBuilder {
    let mut timeouts = Timeouts::default();
    timeouts.connect = Duration::from_secs(2);
    timeouts.read_attempt = Duration::from_millis(250);
    timeouts.write_attempt = Duration::from_millis(250);
    timeouts.proxy = Duration::from_millis(250);
    timeouts.download = Duration::from_millis(250);
    let mut retry = RetryPolicy::default();
    retry.base = Duration::from_millis(2);
    retry.declined_base = Duration::from_millis(2);
    // Tests fail more often than a quota allows.
    retry.budget = RetryBudget::unlimited();
    HttpApi::builder().base_url(url).timeouts(timeouts).retry(retry)
}

async fn serve(stream: TcpStream, connection: usize, log: Arc<Mutex<Log>>) {
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read(&mut stream, connection).await {
        let reply = {
            let mut log = log.lock().unwrap();
            log.seen.push(seen);
            if log.script.is_empty() {
                Reply::with(404, &[], "the script is over")
            } else {
                log.script.remove(0)
            }
        };
        match reply {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::Cut(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Endless(bytes) => {
                let more = vec![*bytes.last().unwrap(); 8192];
                let _ = stream.write_all(&bytes).await;
                while stream.write_all(&more).await.is_ok() {}
                return;
            }
            Reply::Reset => {
                stream.get_ref().set_zero_linger().unwrap();
                return;
            }
            Reply::Stall(bytes) => {
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The next request; `None` where the client closed.
async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { method, target, headers, body, connection })
}
