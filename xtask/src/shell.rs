//! Running other programs, from the project's root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, bail};

/// The project's root: where the workspace's manifest is, wherever the folder was moved to.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    Ok(PathBuf::from(here).parent().context("xtask stands in the workspace's root")?.to_owned())
}

/// The project's files below `folder`, by their paths from the root. Neither what builds leave nor what is hidden. Not
/// asked of git: the project may be an unpacked archive.
pub(crate) fn files(root: &Path, folder: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok().context("a name that is not UTF-8")?;
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type()?.is_dir() {
            found.push(path);
        } else if name != "target" && !name.starts_with('.') {
            found.extend(files(root, &path)?);
        }
    }
    found.sort();
    Ok(found)
}

/// Where a program is once it is built: ours as they are shipped. What they are measured with and beside has a profile
/// of its own, as how ours are built must not change that.
pub(crate) fn built(file: &str) -> anyhow::Result<PathBuf> {
    let reference = file.starts_with("peer-") || file == "xtask";
    let profile = if reference { "reference" } else { "release" };
    Ok(root()?.join("target").join(profile).join(file))
}

/// A command line, split at spaces, to be run in the root.
pub(crate) fn command(line: &str) -> anyhow::Result<Command> {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().context("an empty command")?);
    command.args(words).current_dir(root()?);
    Ok(command)
}

/// Runs it, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("could not run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// What sends a signal, by its name, to a process or, by a negative number, to a group of them. The shell does it: not
/// every machine has a program `kill`.
pub(crate) fn signal(name: &str, process: i64) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("kill -s {name} -- {process}")]);
    command
}

/// Runs it and gives what it printed.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    String::from_utf8(output.stdout).context("its output is not UTF-8")
}

/// Runs a named step and says how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("── {name}");
    #[expect(clippy::disallowed_methods, reason = "this measures real time, and no test pauses it")]
    let started = Instant::now();
    let done = work().with_context(|| format!("step \"{name}\" failed"))?;
    println!("── {name}: fine, {:.1} s\n", started.elapsed().as_secs_f64());
    Ok(done)
}
