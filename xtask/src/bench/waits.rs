//! Many who wait at once, each for a run of their own.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use chrono::DateTime;
use memchr::memmem;

use super::{
    Bench,
    contestant::Contestant,
    figures::{Figure, Target},
    load::percentile,
    message::{Expected, Message},
    rounds::Rounds,
    upstream::{DEPLOYMENT, Upstream},
    wire::Line,
};
use crate::measure;

/// Runs take 10 s, more or less.
const RUNS: &str = "--run-time 10 --run-time-spread 1.5";
const IN_TIME: Duration = Duration::from_secs(60);
/// Accounts, each with as many waits as the others.
const ACCOUNTS: usize = 50;
/// They come one after the other, as callers do.
const BETWEEN: Duration = Duration::from_millis(2);

pub(super) fn some(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    waits(bench, 256, "waits-256")
}

pub(super) fn many(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    waits(bench, 1_000, "waits-1000")
}

#[derive(Default)]
struct Found {
    rows: Vec<(&'static str, &'static str, Rounds, Option<Target>)>,
}

fn waits(bench: &Bench, count: usize, part: &'static str) -> anyhow::Result<Vec<Figure>> {
    let all = count as f64;
    let mut found = Found {
        rows: vec![
            ("answered in 60 s", "", Rounds::new(), Some(Target::AtLeast(all))),
            ("delay from the run's end, p50", "ms", Rounds::new(), Some(Target::AtMost(750.0))),
            ("delay from the run's end, p99", "ms", Rounds::new(), Some(Target::AtMost(2_000.0))),
            ("looks at each run", "", Rounds::new(), Some(Target::AtMost(4.8))),
            ("memory for each", "KiB", Rounds::new(), Some(Target::AtMost(60.0))),
            ("the same once more, p50", "ms", Rounds::new(), None),
            ("the same once more, p99", "ms", Rounds::new(), None),
        ],
    };
    for round in 0..bench.either(1, 3) {
        for place in 0..bench.contestants.len() {
            // Another goes first in each round.
            let place = (place + round) % bench.contestants.len();
            let contestant = &bench.contestants[place];
            let seen = wave(bench, contestant, count, round)?;
            for ((.., rounds, _), value) in found.rows.iter_mut().zip(seen) {
                rounds.add(&contestant.name, value);
            }
        }
    }
    let figures = found.rows.into_iter().map(|(what, unit, rounds, target)| {
        rounds.figure(part, format!("{count} waits at once: {what}"), unit, target)
    });
    Ok(figures.filter(Figure::is_there).collect())
}

/// One server's waits, and, in a full run, as many again, when it has seen such runs before.
fn wave(
    bench: &Bench,
    contestant: &Contestant,
    count: usize,
    seed: usize,
) -> anyhow::Result<[f64; 7]> {
    let upstream = Upstream::start(bench.port, &format!("{RUNS} --seed {}", seed + 1))?;
    let live = contestant.start(upstream.address)?;
    let memory = |peak: bool| match &live.process {
        Some(process) if peak => process.peak_mib(),
        Some(process) => process.rss_mib(),
        None => f64::NAN,
    };
    bench.runtime.block_on(async {
        let mut message = Message::list_tools("me");
        let mut line = Line::new(live.address);
        let answer = line.exchange(message.next()).await?;
        message.check(&answer)?;
        let idle = memory(false);
        let first = together(bench, &live.name, live.address, count).await?;
        let looks = upstream.counted("statuses").await? / count as f64;
        let each = (memory(true) - idle) * 1024.0 / count as f64;
        let again = if bench.quick {
            Vec::new()
        } else {
            together(bench, &live.name, live.address, count).await?
        };
        let at = |delays: &[f64], share| percentile(delays, share);
        Ok([
            first.len() as f64,
            at(&first, 0.5),
            at(&first, 0.99),
            looks,
            each,
            at(&again, 0.5),
            at(&again, 0.99),
        ])
    })
}

/// From the run's end to the answer, in milliseconds, of each that was answered in time; the shortest first.
async fn together(
    bench: &Bench,
    name: &str,
    address: std::net::SocketAddr,
    count: usize,
) -> anyhow::Result<Vec<f64>> {
    let waits: Vec<_> = (0..count)
        .map(|number| {
            tokio::spawn(async move {
                tokio::time::sleep(BETWEEN * u32::try_from(number).unwrap_or_default()).await;
                wait(address, number).await
            })
        })
        .collect();
    let (mut delays, mut missed) = (Vec::new(), 0);
    for wait in waits {
        match wait.await? {
            Ok(delay) => delays.push(delay),
            Err(error) => {
                if missed == 0 {
                    bench.say(format!("{count} waits, {name}: {error:#}"));
                }
                missed += 1;
            }
        }
    }
    delays.sort_unstable_by(f64::total_cmp);
    Ok(delays)
}

async fn wait(address: std::net::SocketAddr, number: usize) -> anyhow::Result<f64> {
    let arguments = format!(
        r#"{{"deployment_id":"{DEPLOYMENT}","wait_for_completion":true,"timeout_seconds":{}}}"#,
        IN_TIME.as_secs()
    );
    let token = format!("caller-{:04}", number % ACCOUNTS);
    let text = Some("\"succeeded\"".to_owned());
    let expected = Expected { text, payloads: None };
    let mut message = Message::tool(&token, "submit_request", &arguments, expected);
    let mut line = Line::new(address);
    let begun = measure::now();
    // Whoever says that the time is up says so a little after it.
    let late = IN_TIME + Duration::from_secs(15);
    let answer = tokio::time::timeout(late, line.exchange(message.next()));
    let answer = answer.await.context("no answer")??;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() * 1e3;
    message.check(&answer)?;
    anyhow::ensure!(begun.elapsed() <= IN_TIME, "answered after {:?}", begun.elapsed());
    Ok(now - finished(answer.body)?)
}

/// When the run was over by the service's own word, in milliseconds.
fn finished(body: &[u8]) -> anyhow::Result<f64> {
    const KEY: &[u8] = b"\"finished_at\":\"";
    let begins = memmem::find(body, KEY).context("no finished_at")? + KEY.len();
    let ends = memmem::find(&body[begins..], b"\"").context("no end")?;
    let text = std::str::from_utf8(&body[begins..begins + ends])?;
    Ok(DateTime::parse_from_rfc3339(text)?.timestamp_millis() as f64)
}
