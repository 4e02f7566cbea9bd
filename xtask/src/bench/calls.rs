//! The smallest call there is: what a server adds to it, and how many it answers.

use std::time::Duration;

use super::{
    Bench,
    cold::status,
    contestant::{DIRECT, Live},
    figures::{Figure, Target},
    load::{Pace, load},
    message::{Expected, Message},
    rounds::Rounds,
    upstream::{DEPLOYMENT, Upstream},
};

const CALLERS: [usize; 3] = [1, 32, 256];

pub(super) fn calls(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let upstream = Upstream::start(bench.port, "--run-time 36000")?;
    let runs = bench.runtime.block_on(upstream.runs(256))?;
    let mut live = bench.start_all(&upstream)?;
    live.insert(0, Live { name: DIRECT.into(), address: upstream.address, process: None });
    let slice = Duration::from_secs(bench.either(1, 3));
    let mut paces = [const { Rounds::new() }; 3];
    let (mut middle, mut late, mut cpu) = (Rounds::new(), Rounds::new(), Rounds::new());
    for _ in 0..bench.either(3, 7) {
        for (callers, paces) in CALLERS.into_iter().zip(&mut paces) {
            for one in &live {
                let messages = (0..callers).map(|number| message(one, &runs[number], number));
                let used = || one.process.as_ref().map_or(0.0, super::Process::cpu_seconds);
                let pace = load(one.address, messages.collect(), slice, used);
                let pace: Pace = bench.runtime.block_on(pace)?;
                bench.note(&format!("get_request_status, {callers} callers"), &one.name, &pace);
                paces.add_of(&one.name, &pace, pace.per_second());
                if callers == 1 {
                    middle.add_of(&one.name, &pace, pace.percentile(0.5));
                    late.add_of(&one.name, &pace, pace.percentile(0.99));
                }
                if callers == 32 && one.process.is_some() {
                    let answers = pace.latencies.len().max(1) as f64;
                    cpu.add_of(&one.name, &pace, pace.cpu_seconds * 1e4 / answers);
                }
            }
        }
    }
    let row =
        |rounds: &Rounds, what: &str, unit, target| rounds.figure("calls", what, unit, target);
    let [one, some, many] = paces;
    let eighty = || Some(Target::TimesOther { least: 80.0, other: "python", or_bare: 0.77 });
    let (more, most) = (Some(Target::TimesBare(1.2)), Some(Target::TimesBare(1.3)));
    Ok(vec![
        row(&middle, "`get_request_status`, 1 caller, p50", "µs", None),
        row(&middle.over(DIRECT), "`get_request_status`, 1 caller, added p50", "µs", more),
        row(&late, "`get_request_status`, 1 caller, p99", "µs", None),
        row(&late.over(DIRECT), "`get_request_status`, 1 caller, added p99", "µs", None),
        row(&one, "`get_request_status`, 1 caller", "/s", None),
        row(&cpu, "`get_request_status`, 32 callers, CPU for 10,000", "s", most),
        row(&some, "`get_request_status`, 32 callers", "/s", eighty()),
        row(&many, "`get_request_status`, 256 callers", "/s", eighty()),
    ])
}

fn message(live: &Live, run: &str, number: usize) -> Message {
    let token = format!("caller-{number:04}");
    if live.name == DIRECT {
        let path = format!("/prod/v1/deployments/{DEPLOYMENT}/requests/{run}/status");
        let text = Some(format!("\"{run}\""));
        return Message::direct(&token, "GET", &path, Expected { text, payloads: None });
    }
    status(run, &token)
}
