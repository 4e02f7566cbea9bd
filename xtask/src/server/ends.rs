//! Told to end while it works.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::{runtime::Runtime, time::sleep};

use super::{DEPLOYMENT, Figure, Pair, token};
use crate::measure;
use crate::peer::Peer;

const CALLERS: usize = 32;

/// Every run that was taken on must have been told to its caller, and the end must come in time.
pub(super) fn under_load(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    let Pair { emulator, server } = Pair::start(&[], &[])?;
    let address = server.address;
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            runtime.spawn(async move {
                let mut peer = Peer::new(address, token(number));
                let mut told = BTreeSet::new();
                // Until it is gone.
                while let Ok(reply) =
                    peer.call("submit_request", json!({"deployment_id": DEPLOYMENT})).await
                {
                    told.extend(reply["request_id"].as_str().map(str::to_owned));
                    if reply["kind"] == "shutting_down" {
                        break;
                    }
                }
                told
            })
        })
        .collect();
    runtime.block_on(async { sleep(Duration::from_secs(3)).await });
    let asked = measure::now();
    server.ask_to_end()?;
    let ended = server.ended()?;
    let took = asked.elapsed();
    let mut told = 0;
    let mut lost = 0;
    for (number, caller) in callers.into_iter().enumerate() {
        let known = runtime.block_on(caller)?;
        told += known.len();
        let mut account = Peer::new(emulator.address, token(number));
        let overview = runtime.block_on(account.get("/_emulator/account"))?;
        let runs = overview["runs_started"].as_u64().context("no count of runs")?;
        let known = u64::try_from(known.len())?;
        ensure!(known <= runs, "told of a run that there is not");
        lost += runs - known;
    }
    Ok(vec![Figure {
        what: format!("SIGTERM with {CALLERS} callers who submit"),
        hold: "ended ≤ 35 s with status 0, no run that its caller was not told of",
        measured: format!(
            "ended after {:.1} s with {ended}; {told} runs told, {lost} not",
            took.as_secs_f64()
        ),
        held: took <= Duration::from_secs(35) && ended.success() && lost == 0 && told > 0,
    }])
}
