//! Tests of faults with a raw HTTP client.

mod client;
mod connections;
mod control;
mod counters;
mod looks;
#[cfg(all(unix, feature = "program"))]
mod program;
mod rules;
mod scenarios;
mod submits;

use std::{collections::HashSet, io, time::Duration};

use runcomfy_testkit::{Emulator, FakeRunComfy, Fault, FaultKind};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

const LIST: &str = "GET /prod/v2/deployments";

const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

/// Longer than any test needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than any complete response has.
const ENOUGH: usize = 8 << 20;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    /// Nothing was received for the given time.
    Silent,
    /// The client disconnected while more came.
    TooMuch,
}

/// What was received over a connection.
#[derive(Debug)]
struct Seen {
    bytes: Vec<u8>,
    end: End,
    took: Duration,
}

impl Seen {
    fn head_end(&self) -> usize {
        self.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4
    }

    fn head(&self) -> String {
        String::from_utf8(self.bytes[..self.head_end()].to_vec()).unwrap()
    }

    fn status(&self) -> u16 {
        self.head().split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<String> {
        let head = self.head();
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    fn body(&self) -> &[u8] {
        &self.bytes[self.head_end()..]
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body()).unwrap()
    }
}

/// A request as bytes.
fn written(what: &str, fault: &str, body: &str) -> String {
    let (method, path) = what.split_once(' ').unwrap();
    let fault =
        if fault.is_empty() { String::new() } else { format!("x-emulator-fault: {fault}\r\n") };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer me\r\n{fault}\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connect(emulator: &Emulator) -> io::Result<TcpStream> {
    TcpStream::connect(emulator.url().socket_addrs(|| None).unwrap()[0]).await
}

/// Sends these bytes and reads until the end.
async fn send(emulator: &Emulator, bytes: &str, silence: Duration) -> Seen {
    let begun = Instant::now();
    // A reset is reported at each step.
    let mut socket = connect(emulator).await;
    if let Ok(socket) = &mut socket {
        drop(socket.write_all(bytes.as_bytes()).await);
    }
    let mut bytes = Vec::new();
    let end = loop {
        let mut piece = [0; 65_536];
        let read = async {
            match &mut socket {
                Ok(socket) => socket.read(&mut piece).await,
                Err(error) => Err(error.kind().into()),
            }
        };
        match timeout(silence, read).await {
            Err(_) => break End::Silent,
            Ok(Ok(0)) => break End::Closed,
            Ok(Ok(count)) => bytes.extend(&piece[..count]),
            Ok(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                break End::Reset;
            }
        }
        if bytes.len() > ENOUGH {
            break End::TooMuch;
        }
    };
    Seen { bytes, end, took: begun.elapsed() }
}

async fn call(emulator: &Emulator, what: &str, fault: &str, body: &str) -> Seen {
    send(emulator, &written(what, fault, body), PATIENCE).await
}

async fn submit(emulator: &Emulator, fault: &str) -> Seen {
    call(emulator, &format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference"), fault, "{}").await
}

/// Polls or cancels a request.
async fn look(emulator: &Emulator, request: &str, action: &str, fault: &str) -> Seen {
    let method = if action == "cancel" { "POST" } else { "GET" };
    let path = format!("/prod/v1/deployments/{DEPLOYMENT}/requests/{request}/{action}");
    call(emulator, &format!("{method} {path}"), fault, "").await
}

/// An emulator whose runs end at once, and its fake.
async fn quick() -> (Emulator, FakeRunComfy) {
    let fake = FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::ZERO).build();
    (Emulator::start(fake.clone()).await.unwrap(), fake)
}

/// Checks that the next call is answered and the counters add up.
async fn all_is_well(emulator: &Emulator, fault: &str) {
    let list = call(emulator, "GET /prod/v2/deployments", "", "").await;
    assert_eq!((list.status(), list.end), (200, End::Closed), "after {fault}");
    settled(emulator).await;
    assert_eq!(emulator.counters().broken(), [""; 0], "after {fault}");
}

/// Waits until no call is in progress.
async fn settled(emulator: &Emulator) {
    let busy = || {
        let counters = emulator.counters();
        counters.totals.in_flight + counters.open.in_flight > 0
    };
    timeout(PATIENCE, async {
        tokio::task::yield_now().await;
        while busy() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[test]
fn every_row_of_the_table_is_exercised() {
    let lists = [
        submits::ANSWERS.map(|(fault, ..)| fault).to_vec(),
        submits::RUNS.map(|(fault, _)| fault).to_vec(),
        looks::EXERCISED.to_vec(),
        connections::EXERCISED.to_vec(),
    ];
    let kind = |fault: &str| fault.parse::<Fault>().unwrap().kind();
    let exercised: HashSet<FaultKind> = lists.concat().into_iter().map(kind).collect();
    let missing: Vec<_> = FaultKind::ALL.iter().filter(|kind| !exercised.contains(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The statuses of several calls in sequence.
async fn statuses(emulator: &Emulator, calls: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..calls {
        statuses.push(call(emulator, LIST, "", "").await.status());
    }
    statuses
}
