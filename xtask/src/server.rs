//! The release build of `runcomfy-mcp serve` under load and under abuse: each run says what is held, and
//! fails if it is not. Times stand beside those of a server of the same library that does nothing else.

mod ends;
mod hostile;
mod large;
mod speed;
mod waits;

use anyhow::bail;

use crate::{
    program::Program,
    shell::{command, run as run_command, step},
};

/// What a run found.
struct Figure {
    what: String,
    hold: &'static str,
    measured: String,
    held: bool,
}

type Run = fn(&tokio::runtime::Runtime) -> anyhow::Result<Vec<Figure>>;

const RUNS: [(&str, Run); 9] = [
    ("start", speed::start),
    ("speed", speed::speed),
    ("waits", waits::distinct),
    ("one-request", waits::one_request),
    ("large", large::messages),
    ("bombs", large::bombs),
    ("idle", hostile::idle),
    ("slow", hostile::slow),
    ("end", ends::under_load),
];

/// Makes all runs, or the one of that name.
pub(crate) fn run(name: Option<&str>) -> anyhow::Result<()> {
    if let Some(name) = name
        && !RUNS.iter().any(|(known, _)| *known == name)
    {
        bail!("there are the runs {}", RUNS.map(|(known, _)| known).join(", "));
    }
    step("the release programs", || {
        for what in [
            "--release --package runcomfy-mcp --bins",
            "--release --package runcomfy-testkit --bins",
            "--profile reference --package peers --bin peer-bare",
        ] {
            run_command(&mut command(&format!("cargo build --locked {what}"))?)?;
        }
        Ok(())
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut figures = Vec::new();
    for (known, run) in RUNS {
        if name.is_none_or(|name| name == known) {
            step(known, || {
                figures.extend(run(&runtime)?);
                Ok(())
            })?;
        }
    }
    println!(
        "caller, server and emulator share {} cores\n\n| Run | Hold | Measured | |\n|---|---|---|---|",
        std::thread::available_parallelism()?
    );
    for Figure { what, hold, measured, held } in &figures {
        println!(
            "| {what} | {hold} | {measured} | {} |",
            if *held { "held" } else { "**not held**" }
        );
    }
    let missed = figures.iter().filter(|figure| !figure.held).count();
    if missed > 0 {
        bail!("{missed} figure(s) not held");
    }
    Ok(())
}

/// The server, and what stands behind it.
struct Pair {
    emulator: Program,
    server: Program,
}

/// Many callers, each with a token of their own, who may call as fast as they like.
const FREELY: [&str; 8] = [
    "--calls-per-second",
    "0",
    "--paid-calls-per-second",
    "0",
    "--refusals-per-minute",
    "0",
    "--log",
    "warn",
];

impl Pair {
    fn start(emulator: &[&str], server: &[&str]) -> anyhow::Result<Self> {
        let emulator = Program::start("runcomfy-emulator", emulator)?;
        let base = format!("http://{}", emulator.address);
        let server = [&["--base-url", &base, "serve"], &FREELY[..], server].concat();
        let server = Program::start("runcomfy-mcp", &server)?;
        Ok(Self { emulator, server })
    }
}

/// The account of a caller by number.
fn token(number: usize) -> String {
    format!("caller-{number:04}")
}

/// In the emulator, everyone's first deployment.
const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";
