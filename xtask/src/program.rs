//! One of the project's programs as a process of its own, and what it uses.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;

use crate::{
    measure,
    shell::{self, built},
};

/// One that listens on a port of its own. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process until it said where it is.
    pub(crate) took: Duration,
    said: Arc<AtomicU64>,
}

/// What a process has used. Nothing where the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) peak_mib: Option<f64>,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) descriptors: Option<usize>,
}

impl Program {
    /// Starts a release build by its name, on a port of its own, with these arguments more.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let listen = ["--listen", "127.0.0.1:0"];
        Self::start_as(name, name, &[arguments, &listen].concat())
    }

    /// Starts a release build that is at `file`, with these arguments.
    pub(crate) fn start_as(name: &str, file: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(name, file, arguments, &[])
    }

    /// The same with these variables set.
    pub(crate) fn start_in(
        name: &str,
        file: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let program = built(file)?;
        let begun = measure::now();
        let mut command = Command::new(&program);
        command.args(arguments).stderr(Stdio::piped());
        // What the developer's own environment says of the programs is not what is measured.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("RUNCOMFY_") {
                command.env_remove(variable);
            }
        }
        command.envs(variables.iter().copied());
        let mut child =
            command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        let lines = child.stderr.take();
        // From here on it is killed whatever happens.
        let mut program = Self {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            took: Duration::ZERO,
            said: Arc::default(),
        };
        let mut lines = BufReader::new(lines.context("no stderr")?).lines();
        let said = lines.next().with_context(|| format!("{name} said nothing"))??;
        program.took = begun.elapsed();
        let address = said
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://")?.split('/').next()?.parse().ok());
        program.address = address.with_context(|| format!("no address: {said}"))?;
        // Whatever else it says must not block it.
        let (name, said) = (name.to_owned(), Arc::clone(&program.said));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                said.fetch_add(line.len() as u64 + 1, Ordering::Relaxed);
                if !is_routine(&line) {
                    println!("{name}: {line}");
                }
            }
        });
        Ok(program)
    }

    /// Bytes of log so far.
    pub(crate) fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    /// Without a word of warning: SIGKILL.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end: SIGTERM.
    pub(crate) fn ask_to_end(&self) -> anyhow::Result<()> {
        shell::run(&mut shell::signal("TERM", self.child.id().into()))
    }

    /// How it ended, once it has.
    pub(crate) fn ended(mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    pub(crate) fn used(&self) -> Used {
        let folder = format!("/proc/{}", self.child.id());
        let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
        let status = read("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let entries = |name: &str| Some(fs::read_dir(format!("{folder}/{name}")).ok()?.count());
        Used {
            peak_mib: field("VmHWM:").map(|kib| kib / 1024.0),
            cpu_seconds: cpu_seconds(&read("stat")),
            descriptors: entries("fd"),
        }
    }
}

/// A line for each call is what a server logs; here it would hide what is out of the ordinary.
fn is_routine(line: &str) -> bool {
    line.contains(" INFO ") || line.contains("\"level\":\"INFO\"")
}

/// Of user and system together.
pub(crate) fn cpu_seconds(stat: &str) -> Option<f64> {
    /// What Linux counts in here, whatever the machine.
    const TICKS_PER_SECOND: f64 = 100.0;
    // The name, in parentheses, may hold anything.
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

impl Drop for Program {
    fn drop(&mut self) {
        // Ended already is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
