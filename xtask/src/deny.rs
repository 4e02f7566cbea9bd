//! What the project depends on: licences, versions that may not come in, registries, known holes. cargo-deny
//! does the work; this finds it, and the advisories.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};

use crate::{
    needs::look_for,
    shell::{self, command, root, step},
};

/// Raised by hand, as the lock file is.
const VERSION: &str = "0.20.2";

/// RustSec's advisories.
const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

/// Names a copy of them, for machines without a network: a folder or a .tgz of that repository.
const COPY: &str = "ADVISORY_DB";

pub(crate) fn run() -> anyhow::Result<()> {
    let root = root()?;
    let folder = root.join("target/deny");
    fs::create_dir_all(&folder)?;
    let program = step("cargo-deny", || install(&folder))?;
    // What is skipped or allowed for nothing would let the next one in unseen.
    let check = "--locked check --deny unmatched-skip --deny unnecessary-skip";
    step("licences, bans, sources", || {
        shell::run(
            Command::new(&program)
                .args(check.split(' '))
                .args(["bans", "licenses", "sources"])
                .current_dir(&root),
        )
    })?;
    look_for("advisories for what we depend on", &["git"])?;
    let copy = std::env::var_os(COPY).filter(|place| !place.is_empty());
    let repository = match &copy {
        // Where the tools run is the root: a relative path is meant from where the user is.
        Some(place) => adopt(&std::path::absolute(place)?, &folder.join("advisories"))?,
        None if is_reachable(ADVISORIES) => ADVISORIES.to_owned(),
        None => {
            println!(
                "── advisories: SKIPPED, as {ADVISORIES} can't be reached and {COPY} names no copy of it\n"
            );
            return Ok(());
        }
    };
    step("advisories", || {
        let written = fs::read_to_string(root.join("deny.toml"))?;
        let (config, databases) = (folder.join("deny.toml"), folder.join("databases"));
        // What was fetched from a copy has another history each time.
        clear(&databases)?;
        fs::write(&config, with_database(&written, &databases)?)?;
        let mut checked = Command::new(&program);
        checked
            .arg("--locked")
            .arg("--config")
            .arg(config)
            .args(["check", "advisories"])
            .current_dir(&root);
        // cargo-deny knows its database by the address of a host: git is told where that really is.
        if copy.is_some() {
            checked
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", format!("url.{repository}.insteadOf"))
                .env("GIT_CONFIG_VALUE_0", ADVISORIES);
        }
        shell::run(&mut checked)
    })
}

/// Installs the tool where it is not there yet: under target/, as nobody else's business.
fn install(folder: &Path) -> anyhow::Result<PathBuf> {
    let program = folder.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    // Unoptimised: it runs for seconds, and building it takes longer than all it does.
    let mut installing = command(&format!(
        "cargo install --locked --debug --quiet --version ={VERSION} cargo-deny"
    ))?;
    installing.arg("--root").arg(folder).arg("--target-dir").arg(folder.join("target"));
    shell::run(&mut installing)?;
    // The program is all that is needed of half a gigabyte.
    clear(&folder.join("target"))?;
    Ok(program)
}

/// Makes the git repository that cargo-deny wants of a copy, and gives its address.
fn adopt(copy: &Path, folder: &Path) -> anyhow::Result<String> {
    println!("── advisories: the copy at {}", copy.display());
    clear(folder)?;
    fs::create_dir_all(folder)?;
    ensure!(copy.exists(), "{COPY}={}: nothing is there", copy.display());
    if copy.is_dir() {
        shell::run(Command::new("cp").arg("-R").arg(copy.join(".")).arg(folder))?;
        // The history of a clone, which may be half a one.
        clear(&folder.join(".git"))?;
    } else {
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--strip-components=1", "--file"]).arg(copy);
        shell::run(tar.current_dir(folder))?;
    }
    ensure!(
        folder.join("crates").is_dir(),
        "{COPY}={}: no copy of {ADVISORIES}, as it has no folder `crates`",
        copy.display()
    );
    for line in [
        "init --quiet --initial-branch=main",
        "add --all",
        "commit --quiet --no-verify --message copy",
    ] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=xtask", "-c", "user.email=xtask@localhost"])
            .args(["-c", "commit.gpgsign=false"])
            .args(line.split(' '))
            .current_dir(folder);
        shell::run(&mut git)?;
    }
    Ok(format!("file://{}", folder.display()))
}

/// `deny.toml`, with advisories kept in `folder`: the ones of a copy must not get into cargo's own folder.
fn with_database(written: &str, folder: &Path) -> anyhow::Result<String> {
    const SECTION: &str = "\n[advisories]\n";
    if written.matches(SECTION).count() != 1 {
        bail!("deny.toml has no [advisories], or more than one");
    }
    let folder = folder.to_str().context("the project's path is not UTF-8")?;
    // A TOML text in single quotes is taken as it stands.
    Ok(written.replace(
        SECTION,
        &format!("{SECTION}db-path = '{folder}'\ndb-urls = [\"{ADVISORIES}\"]\n"),
    ))
}

/// Removes a folder, whether or not it is there.
fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("could not remove {}", folder.display()))?;
    }
    Ok(())
}

fn is_reachable(repository: &str) -> bool {
    Command::new("git")
        .args(["ls-remote", "--quiet", repository, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_named_in_the_section_that_is_there() {
        let config = with_database("a = 1\n\n[advisories]\nb = 2\n", Path::new("/x y")).unwrap();
        let expected = format!(
            "a = 1\n\n[advisories]\ndb-path = '/x y'\ndb-urls = [\"{ADVISORIES}\"]\nb = 2\n"
        );
        assert_eq!(config, expected);
        assert!(with_database("a = 1\n", Path::new("/x")).is_err());
    }
}
