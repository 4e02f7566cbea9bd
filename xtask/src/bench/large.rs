//! Lists with whole workflows in them, and what memory they leave behind.

use std::{sync::Arc, time::Duration};

use super::{
    Bench, Process,
    contestant::{DIRECT, Live, pause},
    figures::{Figure, Target},
    load::load,
    message::{Expected, Message},
    rounds::Rounds,
    upstream::Upstream,
};

const CALLERS: usize = 4;

pub(super) fn small(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let found = lists(bench, 100_000)?;
    let three = Target::TimesOther { least: 3.0, other: "typescript", or_bare: 5.3 };
    Ok(found.rows("10 × 100 KB", Some(three), None, None))
}

pub(super) fn large(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let found = lists(bench, 1_000_000)?;
    let [pace, peak, after] =
        [Target::AtLeast(15.0), Target::AtMost(200.0), Target::AtMost(40.0)].map(Some);
    Ok(found.rows("10 × 1 MB", pace, peak, after))
}

struct Found {
    paces: Rounds,
    peak: Rounds,
    after: Rounds,
}

fn lists(bench: &Bench, bytes: usize) -> anyhow::Result<Found> {
    let upstream = Upstream::start(bench.port, &format!("--payload-bytes {bytes}"))?;
    let payloads = bench.runtime.block_on(upstream.payloads())?;
    let mut live = bench.start_all(&upstream)?;
    live.insert(0, Live { name: DIRECT.into(), address: upstream.address, process: None });
    let mut found = Found { paces: Rounds::new(), peak: Rounds::new(), after: Rounds::new() };
    let slice = Duration::from_secs(bench.either(2, 4));
    for _ in 0..bench.either(2, 5) {
        for one in &live {
            let messages = (0..CALLERS).map(|number| message(one, number, &payloads)).collect();
            let used = || one.process.as_ref().map_or(0.0, Process::cpu_seconds);
            let pace = bench.runtime.block_on(load(one.address, messages, slice, used))?;
            bench.note(&format!("list_deployments, 10 × {} KB", bytes / 1000), &one.name, &pace);
            // Less memory is no merit where less was answered.
            if pace.is_flawed() {
                found.peak.flaw(&one.name);
                found.after.flaw(&one.name);
            }
            found.paces.add_of(&one.name, &pace, pace.per_second());
        }
    }
    // Time to give back what is not needed any more.
    pause(Duration::from_secs(bench.either(3, 10)));
    for one in &live {
        if let Some(process) = &one.process {
            found.peak.add(&one.name, process.peak_mib());
            found.after.add(&one.name, process.rss_mib());
        }
    }
    Ok(found)
}

fn message(live: &Live, number: usize, payloads: &Arc<Vec<Vec<u8>>>) -> Message {
    let expected = Expected { text: None, payloads: Some(Arc::clone(payloads)) };
    let token = format!("caller-{number:04}");
    if live.name == DIRECT {
        let path = "/prod/v2/deployments?includes=payload";
        return Message::direct(&token, "GET", path, expected);
    }
    Message::tool(&token, "list_deployments", r#"{"include_payload":true}"#, expected)
}

impl Found {
    fn rows(
        &self,
        size: &str,
        pace: Option<Target>,
        peak: Option<Target>,
        after: Option<Target>,
    ) -> Vec<Figure> {
        let part = if size.contains("MB") { "large" } else { "lists" };
        let row =
            |rounds: &Rounds, what: String, unit, target| rounds.figure(part, what, unit, target);
        let named = format!("`list_deployments` with payload, {size}, {CALLERS} callers");
        vec![
            row(&self.paces, named, "/s", pace),
            row(&self.peak, format!("`list_deployments`, {size}: peak memory"), "MiB", peak),
            row(
                &self.after,
                format!("`list_deployments`, {size}: memory afterwards"),
                "MiB",
                after,
            ),
        ]
    }
}
