//! Ten thousand requests from a hundred accounts against the release program: how fast, how large, and
//! whether every call is accounted for.

use std::{fs, net::SocketAddr, path::PathBuf, sync::mpsc, time::Duration};

use anyhow::{Context as _, ensure};

use crate::{
    measure,
    program::{Program, Used},
    shell::{command, root, run as run_command, step},
};

mod books;
mod customer;
mod kill;
mod line;

pub(crate) use kill::run as run_kills;

use customer::{Customer, Stop};
use line::{Gone, Line, Seen};

const ACCOUNTS: usize = 100;
const REQUESTS_EACH: usize = 100;
/// As many calls are under way at a time, each over a connection that it has for itself.
const WORKERS: usize = 25;
const BALANCE_USD: f64 = 100.0;

/// Runs that take so long that a queue forms, and no longer.
const TIMES: [&str; 6] =
    ["--cold-start", "0.01", "--run-time", "0.01", "--cancel-latency", "0.002"];
const FAULTS: [&str; 4] = ["--scenario", "flaky", "--scenario", "answers-lost"];

/// What is asked of it on two cores that it shares with its callers.
const LEAST_CALLS_PER_SECOND: f64 = 2_000.0;
const MOST_MIB: f64 = 150.0;
const MOST_SECONDS_TO_REOPEN: f64 = 2.0;
const MOST_SECONDS: f64 = 60.0;

/// One way to load it.
struct Load {
    name: &'static str,
    overrides: bool,
    faults: bool,
    state: bool,
}

const LOADS: [Load; 4] = [
    Load { name: "plain", overrides: false, faults: false, state: false },
    Load { name: "overrides", overrides: true, faults: false, state: false },
    Load { name: "faults", overrides: true, faults: true, state: false },
    Load { name: "faults, state", overrides: true, faults: true, state: true },
];

pub(crate) fn run() -> anyhow::Result<()> {
    build()?;
    let mut lines = Vec::new();
    for load in &LOADS {
        step(load.name, || {
            lines.extend(under(load)?);
            Ok(())
        })?;
    }
    println!(
        "{ACCOUNTS} accounts, {REQUESTS_EACH} requests each, {WORKERS} connections; callers and emulator \
         share {} cores\n",
        std::thread::available_parallelism()?
    );
    println!(
        "{:<16}{:>9}{:>10}{:>11}{:>9}{:>9}{:>8}{:>10}{:>8}{:>9}{:>9}",
        "load",
        "calls",
        "calls/s",
        "submits/s",
        "p50 ms",
        "p99 ms",
        "wall s",
        "peak MiB",
        "cpu s",
        "runs",
        "lost"
    );
    lines.iter().for_each(|line| println!("{line}"));
    println!("\nEvery book agrees with the counters, and nothing is broken.");
    Ok(())
}

pub(crate) fn build() -> anyhow::Result<()> {
    step("the release program", || {
        run_command(&mut command("cargo build --release --locked --package runcomfy-testkit")?)
    })
}

/// Loads one emulator, checks its books, and tells in lines of a table how it went.
fn under(load: &Load) -> anyhow::Result<Vec<String>> {
    let folder = folder(load.name)?;
    let state = folder.join("state");
    let state = state.to_str().context("a path that is no text")?;
    let mut arguments = TIMES.to_vec();
    if load.faults {
        arguments.extend(FAULTS);
    }
    if load.state {
        arguments.extend(["--state", state]);
    }
    let program = Program::start("runcomfy-emulator", &arguments)?;
    let mut customers: Vec<_> =
        (0..ACCOUNTS).map(|number| Customer::new(number, load.overrides)).collect();
    customers.iter_mut().for_each(|customer| customer.want(REQUESTS_EACH));

    let begun = measure::now();
    let mut seen = all(&mut customers, &program, &mpsc::channel().0)?;
    let wall = begun.elapsed();
    let mut line = Line::new(program.address);
    for place in 0..customers.len() {
        let other = customers[(place + 1) % ACCOUNTS].requests[0].id.clone();
        while !right(customers[place].pry(&mut line, &other))? {}
    }
    let used = program.used();
    let runs = books::agree(&mut line, &customers, &seen)?;
    let mut ids: Vec<_> =
        customers.iter().flat_map(|one| &one.requests).map(|one| &one.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == ACCOUNTS * REQUESTS_EACH, "two requests have one id");
    ensure!(customers.iter().all(|one| one.pictures == 1), "a picture is missing");
    let speed = seen.latencies.len() as f64 / wall.as_secs_f64();
    ensure!(speed >= LEAST_CALLS_PER_SECOND, "{speed:.0} calls a second: too slow");
    ensure!(wall.as_secs_f64() <= MOST_SECONDS, "{wall:?}: too slow");
    let peak = used.peak_mib.unwrap_or_default();
    ensure!(peak <= MOST_MIB, "{peak:.0} MiB at its peak: too large");
    seen.latencies.sort_unstable();
    let mut lines = vec![row(load.name, &seen, &customers, wall, used, &runs)];

    if load.state {
        let size = fs::metadata(state)?.len();
        program.kill()?;
        let again = Program::start("runcomfy-emulator", &arguments)?;
        let took = again.took.as_secs_f64();
        ensure!(took <= MOST_SECONDS_TO_REOPEN, "{took:.1} s to reopen: too slow");
        customers.iter_mut().for_each(Customer::new_book);
        let seen = recalled(&mut customers, &again)?;
        let after = books::agree(&mut Line::new(again.address), &customers, &seen)?;
        ensure!(after.started == runs.started, "{runs:?}, and after a restart {after:?}");
        lines.push(format!(
            "  reopened in {:.2} s with every request as it was; the file is {:.1} MiB",
            took,
            size as f64 / 1_048_576.0
        ));
    }
    fs::remove_dir_all(folder)?;
    Ok(lines)
}

/// An empty folder for what an emulator writes.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = root()?.join("target/load").join(name.replace([',', ' '], ""));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn row(
    name: &str,
    seen: &Seen,
    customers: &[Customer],
    wall: Duration,
    used: Used,
    runs: &books::Runs,
) -> String {
    let seconds = wall.as_secs_f64();
    let submits: u64 = customers
        .iter()
        .map(|one| one.book.calls.get("submit_request").copied().unwrap_or_default())
        .sum();
    let told =
        |number: Option<f64>| number.map_or_else(|| "?".to_owned(), |one| format!("{one:.1}"));
    let ms = |hundredths| measure::percentile(&seen.latencies, hundredths).as_secs_f64() * 1e3;
    format!(
        "{name:<16}{:>9}{:>10.0}{:>11.0}{:>9.2}{:>9.2}{:>8.1}{:>10}{:>8}{:>9}{:>9}",
        seen.latencies.len(),
        seen.latencies.len() as f64 / seconds,
        submits as f64 / seconds,
        ms(50),
        ms(99),
        seconds,
        told(used.peak_mib),
        told(used.cpu_seconds),
        runs.started,
        runs.lost,
    )
}

/// Everything that customers want, all at once. `accepted` is told of each request.
fn all(
    customers: &mut [Customer],
    program: &Program,
    accepted: &mpsc::Sender<()>,
) -> anyhow::Result<Seen> {
    each(customers, program.address, |group, line| {
        while right(go_round(group, line, accepted))? {}
        Ok(())
    })
}

/// That each request is as it was.
fn recalled(customers: &mut [Customer], program: &Program) -> anyhow::Result<Seen> {
    each(customers, program.address, |group, line| {
        for customer in group {
            for place in 0..customer.requests.len() {
                right(customer.recall(line, place))?;
            }
        }
        Ok(())
    })
}

fn go_round(
    group: &mut [Customer],
    line: &mut Line,
    accepted: &mpsc::Sender<()>,
) -> Result<bool, Stop> {
    let mut goes_on = false;
    for customer in group {
        goes_on |= customer.go_on(line, &mut || {
            // Whoever does not count does not listen.
            let _ = accepted.send(());
        })?;
    }
    Ok(goes_on)
}

/// Has some worker do this with each customer. What was seen by all.
fn each(
    customers: &mut [Customer],
    address: SocketAddr,
    work: impl Fn(&mut [Customer], &mut Line) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Seen> {
    let work = &work;
    let size = customers.len().div_ceil(WORKERS);
    let seen: Vec<anyhow::Result<Seen>> = std::thread::scope(|scope| {
        let worker = |group| {
            scope.spawn(move || {
                let mut line = Line::new(address);
                work(group, &mut line)?;
                Ok(line.seen)
            })
        };
        let workers: Vec<_> = customers.chunks_mut(size).map(worker).collect();
        let ended = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(ended).collect()
    });
    let mut all = Seen::default();
    for seen in seen {
        all.add(seen?);
    }
    Ok(all)
}

/// What must not happen while the emulator is there.
fn right<T>(outcome: Result<T, Stop>) -> anyhow::Result<T> {
    outcome.map_err(|stop| match stop {
        Stop::Gone(Gone(error)) => anyhow::Error::new(error).context("the emulator is gone"),
        Stop::Wrong(error) => error,
    })
}
