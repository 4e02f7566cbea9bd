//! A connection to the emulator and what came over it: nothing is sent again and nothing is hidden, so that
//! every call can be accounted for.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::measure;

/// Longer than any answer takes. Whoever waits longer than this has found a fault.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a connection that is cut at accept has many tries for.
const TRIES: usize = 100;

/// One connection at a time, opened again where it ends.
pub(super) struct Line {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    pub(super) seen: Seen,
}

/// What became of connections, and of the calls on them that are no account's.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) opened: u64,
    /// Ended before the first call was answered.
    pub(super) cut_at_accept: u64,
    /// Ended in a call, or by a whole answer that says so.
    pub(super) ended_in_call: u64,
    /// Calls that need no token.
    pub(super) open_calls: u64,
    /// How long each answer took, in microseconds.
    pub(super) latencies: Vec<u32>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    closes: bool,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Why there is nobody to call.
#[derive(Debug)]
pub(super) struct Gone(pub(super) io::Error);

impl Line {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, seen: Seen::default() }
    }

    /// Calls, once. `None` where no whole answer came.
    pub(super) fn call(
        &mut self,
        what: &str,
        token: Option<&str>,
        body: &str,
    ) -> Result<Option<Answer>, Gone> {
        self.open()?;
        let begun = measure::now();
        let answer = self.exchange(what, token, body);
        self.seen.latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        match answer {
            Ok(answer) => {
                if answer.closes {
                    self.stream = None;
                    self.seen.ended_in_call += 1;
                }
                Ok(Some(answer))
            }
            Err(error) if is_silence(&error) => Err(Gone(error)),
            Err(_) => {
                self.stream = None;
                self.seen.ended_in_call += 1;
                Ok(None)
            }
        }
    }

    /// The same for a call that no fault meets and that needs no token.
    pub(super) fn open_call(&mut self, path: &str) -> Result<Option<Answer>, Gone> {
        let answer = self.call(&format!("GET {path}"), None, "")?;
        self.seen.open_calls += 1;
        Ok(answer)
    }

    /// A connection that was greeted is one that the emulator reads from: whatever happens to it later
    /// happens to a call that it has seen.
    fn open(&mut self) -> Result<(), Gone> {
        for _ in 0..TRIES {
            if self.stream.is_some() {
                return Ok(());
            }
            match TcpStream::connect_timeout(&self.address, PATIENCE) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(Gone)?;
                    stream.set_read_timeout(Some(PATIENCE)).map_err(Gone)?;
                    self.stream = Some(BufReader::new(stream));
                }
                // A reset may come this early.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => return Err(Gone(error)),
            }
            self.seen.opened += 1;
            match self.exchange("GET /healthz", None, "") {
                Ok(_) => self.seen.open_calls += 1,
                Err(error) if is_silence(&error) => return Err(Gone(error)),
                Err(_) => {
                    self.stream = None;
                    self.seen.cut_at_accept += 1;
                }
            }
        }
        Err(Gone(io::ErrorKind::ConnectionReset.into()))
    }

    fn exchange(&mut self, what: &str, token: Option<&str>, body: &str) -> io::Result<Answer> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let (method, path) = what.split_once(' ').unwrap_or(("GET", what));
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let call = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{}content-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            token.unwrap_or_default(),
            body.len()
        );
        stream.get_mut().write_all(call.as_bytes())?;
        let status = line(stream)?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            body: Vec::new(),
            closes: false,
        };
        loop {
            let field = line(stream)?;
            if field.is_empty() {
                break;
            }
            let (name, value) = field.split_once(": ").unwrap_or((&field, ""));
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?;
                answer.body.resize(length, 0);
            }
            answer.closes |= name.eq_ignore_ascii_case("connection") && value == "close";
        }
        stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let whole = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(whole.to_owned())
}

/// None of the faults that are on is silent.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.cut_at_accept += other.cut_at_accept;
        self.ended_in_call += other.ended_in_call;
        self.open_calls += other.open_calls;
        self.latencies.extend(other.latencies);
    }
}
