//! Large messages from callers, and answers from the service that are larger than they look.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{DEPLOYMENT, Figure, Pair, token};
use crate::measure;
use crate::peer::{Peer, calling};

/// Pictures within submits, all at once.
pub(super) fn messages(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    const SUBMITS: usize = 50;
    let pair = Pair::start(&[], &["--max-message-mib", "8"])?;
    let picture = format!("data:image/png;base64,{}", "A".repeat(8 * 1024 * 1024 - 4096));
    let overrides = json!({"10": {"inputs": {"image": picture}}});
    let arguments = json!({"deployment_id": DEPLOYMENT, "overrides": overrides});
    let message = bytes::Bytes::from(calling("submit_request", arguments).to_string());
    let (mut taken, mut later, mut wrong) = (0, 0, 0);
    runtime.block_on(async {
        let calls = (0..SUBMITS).map(|number| {
            let (message, mut peer) =
                (message.clone(), Peer::new(pair.server.address, token(number)));
            tokio::spawn(async move { peer.send(Method::POST, "/mcp", message).await })
        });
        for call in calls.collect::<Vec<_>>() {
            match call.await? {
                Ok(answer) if answer.status == StatusCode::OK => taken += 1,
                Ok(answer)
                    if answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.retry_after =>
                {
                    later += 1;
                }
                Ok(answer) => {
                    wrong += 1;
                    println!("not as it should be: {}", answer.status);
                }
                Err(error) => {
                    wrong += 1;
                    println!("not as it should be: {error:#}");
                }
            }
        }
        anyhow::Ok(())
    })?;
    let peak = pair.server.used().peak_mib.unwrap_or_default();
    Ok(vec![Figure {
        what: format!("{SUBMITS} submits of 8 MiB at once"),
        hold: "≤ 450 MiB, nothing but 200 and 503 with Retry-After",
        measured: format!(
            "{peak:.0} MiB; {taken} taken, {later} told to come later, {wrong} otherwise"
        ),
        held: peak <= 450.0 && wrong == 0 && taken > 0,
    }])
}

/// Half a megabyte of gzip that is 512 MiB when unpacked.
pub(super) fn bombs(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    const BOMBS: usize = 20;
    let pair = Pair::start(&[], &[])?;
    runtime.block_on(async {
        let mut peer = Peer::new(pair.server.address, token(0));
        let submitted = peer.call("submit_request", json!({"deployment_id": DEPLOYMENT})).await?;
        let ids = json!({"deployment_id": DEPLOYMENT, "request_id": submitted["request_id"]});
        let before = pair.server.used().peak_mib.unwrap_or_default();
        let fault = json!({"fault": "gzip_bomb(mib=512)", "operation": "get_request_status"});
        Peer::new(pair.emulator.address, token(0))
            .send(Method::POST, "/_emulator/faults", fault.to_string())
            .await?;
        let (mut longest, mut kinds) = (Duration::ZERO, std::collections::BTreeMap::new());
        for _ in 0..BOMBS {
            let begun = measure::now();
            let reply = peer.call("get_request_status", ids.clone()).await?;
            longest = longest.max(begun.elapsed());
            *kinds.entry(reply["kind"].to_string()).or_insert(0) += 1;
        }
        let more = pair.server.used().peak_mib.unwrap_or_default() - before;
        let refused = kinds.len() == 1 && !kinds.contains_key("null");
        Ok(vec![Figure {
            what: format!("{BOMBS} answers of 512 MiB in gzip"),
            hold: "≤ 200 MiB more, each ≤ 1 s",
            measured: format!(
                "{more:.0} MiB more, the longest {:.0} ms, told as {kinds:?}",
                longest.as_secs_f64() * 1e3
            ),
            held: more <= 200.0 && longest <= Duration::from_secs(1) && refused,
        }])
    })
}
