//! The emulator's page in a real browser: Debian's chromium, driven by `clients/browser`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::bail;

use crate::{
    clients::{node, npm_ci},
    shell::{self, command, root, step},
};

/// Debian's own command comes first, as that is what the tests are run with.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// What is asked, the modules that it is made of, and what makes pictures for the documentation of its own.
const SCRIPTS: [&str; 6] =
    ["page.mjs", "browser.mjs", "emulator.mjs", "looks.mjs", "sample.mjs", "pictures.mjs"];

pub(crate) fn run() -> anyhow::Result<()> {
    let browser = browser()?;
    let place = root()?.join("target/clients/browser");
    step("emulator", || {
        shell::run(&mut command(
            "cargo build --locked --package runcomfy-testkit --bin runcomfy-emulator",
        )?)
    })?;
    step("install what drives a browser", || npm_ci("browser", &place))?;
    step("page", || page(&browser, &place))
}

fn page(browser: &Path, place: &Path) -> anyhow::Result<()> {
    // Beside what it needs: Node looks for packages from where a script is.
    for script in SCRIPTS {
        std::fs::copy(root()?.join("clients/browser").join(script), place.join(script))?;
    }
    let mut test = Command::new(node(place));
    test.arg(place.join(SCRIPTS[0]))
        .arg(root()?.join("target/debug/runcomfy-emulator"))
        .arg(browser)
        .arg(root()?.join("target/browser"))
        .arg(root()?.join("runcomfy-testkit/src/emulator/page/overview.sample.json"));
    shell::run(&mut test)
}

fn browser() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for name in BROWSERS {
        let found = std::env::split_paths(&path).map(|folder| folder.join(name));
        if let Some(found) = found.into_iter().find(|place| place.exists()) {
            return Ok(found);
        }
    }
    bail!("none of {} is installed (Debian: apt-get install chromium)", BROWSERS.join(", "))
}
