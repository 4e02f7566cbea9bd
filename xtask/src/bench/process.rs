//! A process with all that it started, and what they use together.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

use crate::{program::cpu_seconds, shell::signal};

/// A command line to be run without the developer's own settings of the programs.
pub(super) fn plain(line: &str) -> Command {
    let simple = |letter: char| letter.is_alphanumeric() || " _./:=,@+%-".contains(letter);
    let mut command = if line.chars().all(simple) {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    } else {
        // The shell becomes the program: none stands between.
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec {line}"));
        command
    };
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("RUNCOMFY_") {
            command.env_remove(variable);
        }
    }
    command
}

/// Killed when dropped, with all that it started.
pub(super) struct Process {
    pub(super) child: Child,
}

impl Process {
    /// Starts it in a group of its own. The developer's own settings are kept from it by [`plain()`].
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        // What it logs must not cost those who would have to read it.
        command.stderr(Stdio::null()).process_group(0);
        let child = command.spawn().with_context(|| format!("could not start {command:?}"))?;
        Ok(Self { child })
    }

    /// The memory that it has now.
    pub(super) fn rss_mib(&self) -> f64 {
        self.sum("status", |text| field(text, "VmRSS:")) / 1024.0
    }

    /// The most that it ever had.
    pub(super) fn peak_mib(&self) -> f64 {
        self.sum("status", |text| field(text, "VmHWM:")) / 1024.0
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        self.sum("stat", cpu_seconds)
    }

    fn sum(&self, file: &str, read: impl Fn(&str) -> Option<f64>) -> f64 {
        let text = |id: &u32| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        tree(self.child.id()).iter().filter_map(|id| read(&text(id))).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group has the number of its first process. Gone already is as good as killed.
        let group = -i64::from(self.child.id());
        let _ = signal("KILL", group).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(id) = found.get(at).copied() {
        at += 1;
        // Each thread has the children that it started itself.
        let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    found
}
