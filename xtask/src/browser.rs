//! The emulator's page in a real browser: Debian's chromium, driven by `clients/browser`.

use std::{path::Path, process::Command};

use anyhow::Context as _;

use crate::{
    clients::{node, npm_ci},
    needs::{find, look_for},
    shell::{self, command, root, step},
};

/// What is asked, the modules that it is made of, and what makes pictures for the documentation of its own.
const SCRIPTS: [&str; 6] =
    ["page.mjs", "browser.mjs", "emulator.mjs", "looks.mjs", "sample.mjs", "pictures.mjs"];

pub(crate) fn run() -> anyhow::Result<()> {
    look_for("the emulator's page in a browser", &["chromium", "npm"])?;
    let browser = find("chromium").context("chromium")?;
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
