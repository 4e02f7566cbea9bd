//! From the start of a process to its first list of tools, what it weighs then, and how large it is.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::{
    Bench,
    contestant::{Contestant, Live, pause},
    figures::{Figure, Target},
    message::{Expected, Message},
    process::Process,
    rounds::Rounds,
    upstream::{DEPLOYMENT, Upstream},
    wire::Line,
};
use crate::measure;

/// A slow one is not waited for longer than this in all.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn starts(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let rounds = bench.either(15, 51);
    let upstream = Upstream::start(bench.port, "")?;
    let (mut stdio, mut http) = (Rounds::new(), Rounds::new());
    let begun = measure::now();
    let mut taken = vec![Duration::ZERO; bench.contestants.len()];
    for _ in 0..rounds {
        for (contestant, taken) in bench.contestants.iter().zip(&mut taken) {
            let before = begun.elapsed();
            if *taken > PATIENCE {
                continue;
            }
            if let Some(ms) = over_stdio(contestant, &upstream)? {
                stdio.add(&contestant.name, ms);
            }
            if contestant.is_started() {
                http.add(&contestant.name, over_http(bench, contestant, &upstream)?);
            }
            *taken += begun.elapsed().saturating_sub(before);
        }
    }
    let row = |over: &str, rounds: &Rounds| {
        let what = format!("Cold start to the first `tools/list`, {over}");
        rounds.figure("start", what, "ms", Some(Target::TimesBare(1.5)))
    };
    Ok(vec![row("stdio", &stdio), row("HTTP", &http)])
}

fn over_stdio(contestant: &Contestant, upstream: &Upstream) -> anyhow::Result<Option<f64>> {
    let Some(mut command) = contestant.stdio(upstream.address) else { return Ok(None) };
    let begun = measure::now();
    let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut input = process.child.stdin.take().context("no stdin")?;
    let mut lines = BufReader::new(process.child.stdout.take().context("no stdout")?).lines();
    let mut answer = |word: &str| -> anyhow::Result<()> {
        let line = lines.next().with_context(|| format!("{} said nothing", contestant.name))??;
        ensure!(line.contains(word), "{}: {line}", contestant.name);
        Ok(())
    };
    input.write_all(
        br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"0"}}}
"#,
    )?;
    answer("protocolVersion")?;
    input.write_all(
        br#"{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}
"#,
    )?;
    answer("submit_request")?;
    Ok(Some(begun.elapsed().as_secs_f64() * 1e3))
}

fn over_http(bench: &Bench, contestant: &Contestant, upstream: &Upstream) -> anyhow::Result<f64> {
    let begun = measure::now();
    let live = contestant.start(upstream.address)?;
    ask(bench, &live, &mut Message::list_tools("me"))?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn ask(bench: &Bench, live: &Live, message: &mut Message) -> anyhow::Result<()> {
    bench.runtime.block_on(async {
        let mut line = Line::new(live.address);
        let answer = line.exchange(message.next()).await?;
        message.check(&answer)?;
        Ok(())
    })
}

pub(super) fn idle(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let upstream = Upstream::start(bench.port, "")?;
    let run = bench.runtime.block_on(upstream.runs(1))?.remove(0);
    let (mut idle, mut called) = (Rounds::new(), Rounds::new());
    for _ in 0..bench.either(3, 7) {
        for contestant in bench.contestants.iter().filter(|one| one.is_started()) {
            let live = contestant.start(upstream.address)?;
            ask(bench, &live, &mut Message::list_tools("me"))?;
            let process = live.process.as_ref().context("a process")?;
            pause(Duration::from_millis(500));
            idle.add(&live.name, process.rss_mib());
            ask(bench, &live, &mut status(&run, "me"))?;
            pause(Duration::from_millis(500));
            called.add(&live.name, process.rss_mib());
        }
    }
    let row = |what: &str, rounds: &Rounds| {
        let what = format!("Idle memory, {what}");
        rounds.figure("idle", what, "MiB", Some(Target::TimesBare(1.4)))
    };
    let sizes = bench.contestants.iter().filter_map(|contestant| {
        let bytes = std::fs::metadata(contestant.binary.as_ref()?).ok()?.len();
        Some((contestant.name.clone(), bytes as f64 / 1e6))
    });
    Ok(vec![
        row("after the first list", &idle),
        row("after the first call", &called),
        Figure {
            what: "The program, stripped".into(),
            unit: "MB",
            values: sizes.collect(),
            flawed: Vec::new(),
            part: "idle",
            target: Some(Target::AtMost(15.0)),
        },
    ])
}

/// A look at a run, whose answer must be about that run.
pub(super) fn status(run: &str, token: &str) -> Message {
    let arguments = format!(r#"{{"deployment_id":"{DEPLOYMENT}","request_id":"{run}"}}"#);
    let expected = Expected { text: Some(format!("\"{run}\"")), payloads: None };
    Message::tool(token, "get_request_status", &arguments, expected)
}
