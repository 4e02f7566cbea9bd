//! The release build of our server beside others: one run, the same load, every answer checked. What it finds
//! is told as ratios, to calling the service directly, to a bare server of the same library, and to about the
//! least that one more hop can cost: times alone say more of the machine than of the server.

pub(crate) mod budget;
mod calls;
mod cold;
mod contestant;
mod figures;
mod large;
mod load;
mod machine;
mod message;
mod options;
mod plot;
mod process;
mod report;
mod rounds;
mod stand_ins;
mod table;
mod upstream;
mod waits;
mod wire;

use std::{cell::RefCell, process::Command};

use anyhow::bail;
use tokio::runtime::Runtime;

use self::{
    contestant::{Contestant, Live},
    figures::Figure,
    load::Pace,
    options::Options,
    process::Process,
    upstream::Upstream,
};
use crate::shell::{built, command, run as run_command, step};

type Part = fn(&Bench) -> anyhow::Result<Vec<Figure>>;

const PARTS: [(&str, Part); 7] = [
    ("start", cold::starts),
    ("idle", cold::idle),
    ("calls", calls::calls),
    ("lists", large::small),
    ("large", large::large),
    ("waits-256", waits::some),
    ("waits-1000", waits::many),
];

/// A run.
struct Bench {
    quick: bool,
    /// Where the service is to listen, for servers that run already.
    port: Option<u16>,
    contestants: Vec<Contestant>,
    runtime: Runtime,
    /// What was not as it should be.
    notes: RefCell<Vec<String>>,
}

pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let options = Options::read(words)?;
    if cfg!(debug_assertions) {
        return again_as_release(words);
    }
    let mut contestants = Contestant::own()?;
    contestants.extend(options.peers()?);
    if options.stand_ins {
        contestants.extend(stand_ins::install()?);
    }
    // One thread: it is enough, and leaves the other cores to those who are measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bench = Bench {
        quick: options.quick,
        port: options.port,
        contestants,
        runtime,
        notes: RefCell::default(),
    };
    let mut figures = Vec::new();
    for (name, part) in PARTS {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            step(name, || {
                figures.extend(part(&bench)?);
                Ok(())
            })?;
        }
    }
    let notes = bench.notes.take();
    println!("{}", table::of(&figures, &notes));
    if let Some(folder) = &options.report {
        report::write(folder, &figures, &notes, words)?;
    }
    let missed = figures.iter().filter(|figure| figure.held() == Some(false)).count();
    if missed > 0 && options.strict {
        bail!("{missed} target(s) not held");
    }
    Ok(())
}

/// A driver with debug assertions would be what is measured: this program's own release build takes over.
fn again_as_release(words: &[&str]) -> anyhow::Result<()> {
    step("the release programs", || {
        // Apart, as each is to have the features that it asks for and no others.
        for what in [
            "--release --package runcomfy-mcp --bins",
            "--profile reference --package peers --bins",
            "--profile reference --package xtask",
        ] {
            run_command(&mut command(&format!("cargo build --locked {what}"))?)?;
        }
        Ok(())
    })?;
    run_command(Command::new(built("xtask")?).arg("bench").args(words))
}

impl Bench {
    fn either<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    fn start_all(&self, upstream: &Upstream) -> anyhow::Result<Vec<Live>> {
        self.contestants.iter().map(|contestant| contestant.start(upstream.address)).collect()
    }

    fn say(&self, note: String) {
        println!("{note}");
        self.notes.borrow_mut().push(note);
    }

    /// Says so where answers were not as they should be.
    fn note(&self, what: &str, name: &str, pace: &Pace) {
        let answers = pace.latencies.len();
        if let Some(first) = &pace.first_wrong {
            let wrong = pace.wrong;
            self.say(format!("{what}, {name}: {wrong} wrong, {answers} right; the first: {first}"));
        }
        if pace.cut_short > 0 {
            let cut = pace.cut_short;
            self.say(format!("{what}, {name}: {cut} of {answers} answers say `truncated`"));
        }
    }
}
