//! The emulator as a process of its own, and what it has used.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;

use super::measure;
use crate::shell::root;

/// One that listens on a port of its own. Killed when dropped.
pub(super) struct Program {
    child: Child,
    pub(super) address: SocketAddr,
    /// From the start of the process until it said where it is.
    pub(super) took: Duration,
}

/// What a process has used. Nothing where the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) peak_mib: Option<f64>,
    pub(super) cpu_seconds: Option<f64>,
}

impl Program {
    pub(super) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let program = root()?.join("target/release/runcomfy-emulator");
        let begun = measure::now();
        let mut child = Command::new(&program)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env_remove("RUNCOMFY_EMULATOR_LISTEN")
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let lines = child.stderr.take();
        // From here on it is killed whatever happens.
        let mut program = Self { child, address: ([127, 0, 0, 1], 0).into(), took: Duration::ZERO };
        let mut lines = BufReader::new(lines.context("no stderr")?).lines();
        let said = lines.next().context("the emulator said nothing")??;
        program.took = begun.elapsed();
        let address = said
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://")?.strip_suffix('/')?.parse().ok());
        program.address = address.with_context(|| format!("no address: {said}"))?;
        // Whatever else it says must not block it.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| println!("emulator: {line}"))
        });
        Ok(program)
    }

    /// Without a word of warning: SIGKILL.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(super) fn used(&self) -> Used {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.child.id()));
        let status = read("status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak_kib: Option<f64> =
            peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
        Used {
            peak_mib: peak_kib.map(|kib| kib / 1024.0),
            cpu_seconds: cpu_seconds(&read("stat").unwrap_or_default()),
        }
    }
}

/// Of user and system together.
fn cpu_seconds(stat: &str) -> Option<f64> {
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
