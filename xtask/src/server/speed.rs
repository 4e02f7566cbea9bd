//! How fast it starts and answers, beside a bare server.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{DEPLOYMENT, Figure, Pair, token};
use crate::peer::{Peer, calling, listing};
use crate::{measure, program::Program};

/// What some calls took.
pub(super) struct Pace {
    pub(super) per_second: f64,
    latencies: Vec<u32>,
}

impl Pace {
    pub(super) fn new(mut latencies: Vec<u32>, over: Duration) -> Self {
        latencies.sort_unstable();
        Self { per_second: latencies.len() as f64 / over.as_secs_f64(), latencies }
    }

    pub(super) fn ms(&self, hundredths: usize) -> f64 {
        measure::percentile(&self.latencies, hundredths).as_secs_f64() * 1e3
    }
}

const CONNECTIONS: usize = 32;
const FOR: Duration = Duration::from_secs(10);

/// From the start of the process to the first answer.
pub(super) fn start(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    let mut took = Vec::new();
    for _ in 0..5 {
        let begun = measure::now();
        let server =
            Program::start("runcomfy-mcp", &["--base-url", "http://127.0.0.1:9", "serve"])?;
        runtime.block_on(Peer::new(server.address, token(0)).ask(&listing()))?;
        took.push(begun.elapsed());
    }
    took.sort();
    let middle = took[took.len() / 2];
    Ok(vec![Figure {
        what: "start to first answer, middle of 5".into(),
        hold: "≤ 150 ms",
        measured: format!("{:.1} ms", middle.as_secs_f64() * 1e3),
        held: middle <= Duration::from_millis(150),
    }])
}

pub(super) fn speed(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    let bare = Program::start("peer-bare", &[])?;
    let list = |address| runtime.block_on(each(address, |_| listing()));
    let bare_list = list(bare.address)?;
    let bare_call = runtime.block_on(each(bare.address, |_| calling("echo", json!({}))))?;
    drop(bare);

    let pair = Pair::start(&["--run-time", "3600"], &[])?;
    let own_list = list(pair.server.address)?;
    let mut ids = Vec::new();
    for number in 0..CONNECTIONS {
        let mut peer = Peer::new(pair.server.address, token(number));
        let submit = json!({"deployment_id": DEPLOYMENT});
        let reply = runtime.block_on(peer.call("submit_request", submit))?;
        ids.push(reply["request_id"].as_str().context("no request id")?.to_owned());
    }
    let status = |number: usize| {
        let ids = json!({"deployment_id": DEPLOYMENT, "request_id": ids[number]});
        calling("get_request_status", ids)
    };
    let own_status = runtime.block_on(each(pair.server.address, status))?;
    let peak = pair.server.used().peak_mib.unwrap_or_default();
    Ok(vec![
        told("tools/list", "≥ 3,000/s, p99 ≤ 50 ms", 3_000.0, 50.0, &own_list, &bare_list),
        told(
            "get_request_status through to the emulator (beside a bare tool)",
            "≥ 1,000/s, p99 ≤ 100 ms",
            1_000.0,
            100.0,
            &own_status,
            &bare_call,
        ),
        Figure {
            what: "peak memory of the two".into(),
            hold: "–",
            measured: format!("{peak:.0} MiB"),
            held: true,
        },
    ])
}

fn told(
    what: &str,
    hold: &'static str,
    least: f64,
    most_ms: f64,
    own: &Pace,
    bare: &Pace,
) -> Figure {
    let (p50, p99) = (own.ms(50), own.ms(99));
    Figure {
        what: format!("{what}, {CONNECTIONS} connections, {} s", FOR.as_secs()),
        hold,
        measured: format!(
            "{:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms; bare {:.0}/s, {:.1} ms, {:.1} ms; ratio {:.2}, {:.2}, {:.2}",
            own.per_second,
            bare.per_second,
            bare.ms(50),
            bare.ms(99),
            own.per_second / bare.per_second,
            p50 / bare.ms(50),
            p99 / bare.ms(99),
        ),
        held: own.per_second >= least && p99 <= most_ms,
    }
}

/// Has each connection ask for a while. Every answer must have a result, and none an error.
async fn each(address: SocketAddr, message: impl Fn(usize) -> Value) -> anyhow::Result<Pace> {
    let begun = measure::now();
    let askers = (0..CONNECTIONS).map(|number| {
        let message = message(number);
        tokio::spawn(asks(Peer::new(address, token(number)), message, FOR))
    });
    let askers: Vec<_> = askers.collect();
    let mut latencies = Vec::new();
    for asker in askers {
        latencies.extend(asker.await??);
    }
    Ok(Pace::new(latencies, begun.elapsed()))
}

/// Asks the same again and again, once at least. What each answer took, in microseconds.
pub(super) async fn asks(
    mut peer: Peer,
    message: Value,
    over: Duration,
) -> anyhow::Result<Vec<u32>> {
    let begun = measure::now();
    let message = Bytes::from(message.to_string());
    let mut latencies = Vec::new();
    loop {
        let asked = measure::now();
        peer.demand(&message).await?;
        latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        if begun.elapsed() >= over {
            return Ok(latencies);
        }
    }
}
