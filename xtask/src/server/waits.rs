//! A thousand who wait.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{DEPLOYMENT, Figure, Pair, token};
use crate::measure;
use crate::peer::Peer;

const WAITS: usize = 1_000;
const SECONDS: u64 = 60;

/// Each for a run of its own, which does not end.
pub(super) fn distinct(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    const CALLERS: usize = 50;
    let pair = Pair::start(
        &["--run-time", "36000"],
        &["--max-connections", "1100", "--calls-at-once", "64"],
    )?;
    let begun = measure::now();
    let before = pair.server.used().cpu_seconds.unwrap_or_default();
    let errors = runtime.block_on(async {
        let waits = (0..WAITS).map(|number| {
            let mut peer = Peer::new(pair.server.address, token(number % CALLERS));
            // Not more at once than the server lets everyone together.
            let turn = Duration::from_millis(2 * number as u64);
            tokio::spawn(async move {
                tokio::time::sleep(turn).await;
                peer.call("submit_request", waiting(None)).await
            })
        });
        failures(waits.collect(), |reply| reply["timed_out"] == true).await
    })?;
    let wall = begun.elapsed().as_secs_f64();
    let used = pair.server.used();
    let share = (used.cpu_seconds.unwrap_or_default() - before) / wall;
    let peak = used.peak_mib.unwrap_or_default();
    Ok(vec![Figure {
        what: format!("{WAITS} waits of {CALLERS} callers, {SECONDS} s"),
        hold: "0 errors, ≤ 150 MiB, ≤ 40 % of a core",
        measured: format!("{errors} errors, {peak:.0} MiB, {:.0} % of a core", share * 100.0),
        held: errors == 0 && peak <= 150.0 && share <= 0.4,
    }])
}

/// All for one run.
pub(super) fn one_request(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    let alone = polls(runtime, 1)?;
    let all = polls(runtime, WAITS)?;
    // One who would have looked for as long as all together waited: they do not begin at once.
    let one = alone.polls * (all.seconds / alone.seconds);
    Ok(vec![Figure {
        what: format!("{WAITS} waits for one run, {SECONDS} s"),
        hold: "0 errors, polls ≤ 1.05 × those of one wait, ≤ 120 MiB",
        measured: format!(
            "{} errors, {} polls in {:.1} s beside {one:.1}, {:.0} MiB",
            all.errors, all.polls, all.seconds, all.peak_mib
        ),
        held: all.errors == 0 && all.polls <= one * 1.05 && all.peak_mib <= 120.0,
    }])
}

struct Polls {
    errors: usize,
    polls: f64,
    seconds: f64,
    peak_mib: f64,
}

/// So many callers of one account under one idempotency key.
fn polls(runtime: &Runtime, waits: usize) -> anyhow::Result<Polls> {
    let pair = Pair::start(
        &["--run-time", "36000"],
        &["--max-connections", "1100", "--calls-at-once", "1100", "--waits-at-once", "1100"],
    )?;
    let begun = measure::now();
    runtime.block_on(async {
        let all = (0..waits).map(|_| {
            let mut peer = Peer::new(pair.server.address, token(0));
            tokio::spawn(async move { peer.call("submit_request", waiting(Some("one"))).await })
        });
        let errors = failures(all.collect(), |reply| reply["timed_out"] == true).await?;
        let counters =
            Peer::new(pair.emulator.address, token(0)).get("/_emulator/counters").await?;
        let calls = &counters["totals"]["operations"];
        anyhow::ensure!(calls["submit_request"] == 1, "one run was wanted: {calls}");
        Ok(Polls {
            errors,
            polls: calls["get_request_status"].as_f64().unwrap_or_default(),
            seconds: begun.elapsed().as_secs_f64(),
            peak_mib: pair.server.used().peak_mib.unwrap_or_default(),
        })
    })
}

fn waiting(key: Option<&str>) -> Value {
    let mut arguments = json!({
        "deployment_id": DEPLOYMENT, "wait_for_completion": true, "timeout_seconds": SECONDS
    });
    if let Some(key) = key {
        arguments["idempotency_key"] = key.into();
    }
    arguments
}

type Calls = Vec<tokio::task::JoinHandle<anyhow::Result<Value>>>;

/// How many did not end as they should. The first few are told.
async fn failures(calls: Calls, right: impl Fn(&Value) -> bool) -> anyhow::Result<usize> {
    let mut failures = 0;
    for call in calls {
        let told = match call.await? {
            Ok(reply) if right(&reply) => continue,
            Ok(reply) => reply.to_string(),
            Err(error) => format!("{error:#}"),
        };
        failures += 1;
        if failures <= 3 {
            println!("not as it should be: {told}");
        }
    }
    Ok(failures)
}
