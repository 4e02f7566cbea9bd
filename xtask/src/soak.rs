//! The release server for minutes under users, faults and a restart: nothing is kept that should go.

mod samples;
mod user;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{sync::watch, time::sleep};

use self::{
    samples::{Sample, Samples},
    user::{Done, User},
};
use crate::{
    measure,
    program::Program,
    shell::{command, run as run_command, step},
};

const USERS: usize = 20;
/// How long the server is left alone in the end before it is looked at.
const QUIET: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(5);
/// Of each life of the server, before its memory is watched: pools, caches and allocators fill up.
const WARM_UP: Duration = Duration::from_secs(60);

/// Runs that a user can wait for, and a bad day for the service.
const EMULATOR: [&str; 10] = [
    "--cold-start",
    "1",
    "--run-time",
    "0.5",
    "--balance",
    "100000",
    "--scenario",
    "flaky",
    "--scenario",
    "answers-lost",
];

/// What is asked of it.
const MOST_GROWTH_MIB: f64 = 1.0;
const MOST_LOG_BYTES_PER_CALL: f64 = 2048.0;

pub(crate) fn run(minutes: u64) -> anyhow::Result<()> {
    step("the release programs", || {
        for what in ["--package runcomfy-mcp --bins", "--package runcomfy-testkit --bins"] {
            run_command(&mut command(&format!("cargo build --release --locked {what}"))?)?;
        }
        Ok(())
    })?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(soak(minutes))
}

/// A server, and where its figures are.
struct Server {
    program: Program,
    figures: SocketAddr,
}

impl Server {
    fn start(emulator: &Program) -> anyhow::Result<Self> {
        // Free now: nobody else on this machine is known to want it.
        let figures = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (base, shown) = (format!("http://{}", emulator.address), figures.to_string());
        let free = ["--calls-per-second", "0", "--paid-calls-per-second", "0"];
        let known = ["--refusals-per-minute", "0", "--linger", "0", "--log-format", "json"];
        let arguments =
            [&["--base-url", &base, "serve", "--metrics", &shown], &free[..], &known].concat();
        Ok(Self { program: Program::start("runcomfy-mcp", &arguments)?, figures })
    }
}

async fn soak(minutes: u64) -> anyhow::Result<()> {
    let whole = Duration::from_secs(60 * minutes.max(3));
    let emulator = Program::start("runcomfy-emulator", &EMULATOR)?;
    let mut server = Server::start(&emulator)?;
    let done = Arc::new(Done::default());
    // Where the server is; nowhere while it is restarted, and in the end.
    let (tell, place) = watch::channel(Some(server.program.address));
    let users: Vec<_> = (0..USERS)
        .map(|number| tokio::spawn(User::new(number, place.clone(), Arc::clone(&done)).live()))
        .collect();
    drop(place);

    // One life of a quarter of the time, then one for the rest.
    let mut log_bytes = 0;
    let (mut first, mut samples) = (Sample::take(server.figures).await?, Samples::default());
    for part in [whole / 4, whole - whole / 4] {
        if !samples.is_empty() {
            tell.send_replace(None);
            log_bytes += server.program.said();
            server.program.ask_to_end()?;
            let status = server.program.ended()?;
            anyhow::ensure!(status.success(), "it ended with {status}");
            server = Server::start(&emulator)?;
            (first, samples) = (Sample::take(server.figures).await?, Samples::default());
            println!("restarted");
            tell.send_replace(Some(server.program.address));
        }
        let began = measure::now();
        while began.elapsed() < part {
            sleep(EVERY).await;
            let sample = Sample::take(server.figures).await?;
            if samples.push(began.elapsed(), sample) % 12 == 0 {
                println!("{:>5.0} s {sample}", began.elapsed().as_secs_f64());
            }
        }
    }
    tell.send_replace(None);
    drop(tell);
    for user in users {
        user.await??;
    }
    sleep(QUIET).await;
    let last = Sample::take(server.figures).await?;
    log_bytes += server.program.said();
    println!("first {first}\nlast  {last}");
    judge(first, last, &samples, &done, log_bytes)
}

fn judge(
    first: Sample,
    last: Sample,
    samples: &Samples,
    done: &Done,
    log_bytes: u64,
) -> anyhow::Result<()> {
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (calls, unknown, paid) = (count(&done.calls), count(&done.unknown), count(&done.paid));
    println!(
        "{calls} calls, {paid} of them paid, {unknown} unknown, {} broken off by users, {} refused, {} while it \
         restarted",
        count(&done.left),
        count(&done.refused),
        count(&done.unanswered)
    );
    let slope = samples.growth_mib_in_ten_minutes(WARM_UP).context("too few samples")?;
    let per_call = log_bytes as f64 / calls.max(1) as f64;
    // A third of submits lose their answer, and of hundred calls some ten meet something.
    let unknown_rate = unknown as f64 / paid.max(1) as f64;
    let figures = [
        ("growth of memory in 10 min", format!("{slope:+.2} MiB"), slope < MOST_GROWTH_MIB),
        (
            "descriptors, at first and in the end",
            format!("{} and {}", first.descriptors, last.descriptors),
            last.descriptors <= first.descriptors + 5,
        ),
        (
            "tasks, at first and in the end",
            format!("{} and {}", first.tasks, last.tasks),
            last.tasks <= first.tasks + 5,
        ),
        (
            "calls, waits, pollers, message bytes in the end",
            format!("{}, {}, {}, {}", last.calls, last.waits, last.pollers, last.bytes),
            [last.calls, last.waits, last.pollers, last.bytes] == [0; 4],
        ),
        ("of paid calls unknown", format!("{:.1} %", unknown_rate * 100.0), unknown_rate < 0.45),
        (
            "log bytes per call",
            format!("{per_call:.0}"),
            per_call < MOST_LOG_BYTES_PER_CALL && log_bytes > 0,
        ),
        ("panics", last.panics.to_string(), last.panics == 0),
        ("calls", calls.to_string(), calls > 1_000),
    ];
    for (what, measured, held) in &figures {
        println!("{what}: {measured}{}", if *held { "" } else { "  NOT HELD" });
    }
    if figures.iter().any(|(.., held)| !held) {
        bail!("not everything was held");
    }
    Ok(())
}
