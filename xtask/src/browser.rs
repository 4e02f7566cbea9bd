//! The emulator's page in a real browser: Debian's chromium, driven by `clients/browser`.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};

use crate::{
    clients::{node, npm_ci},
    shell::{self, command, root, step},
};

/// Debian's own command comes first, as that is what the tests are run with.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const SCRIPTS: [&str; 2] = ["page.mjs", "stand_in.mjs"];

pub(crate) fn run() -> anyhow::Result<()> {
    let browser = browser()?;
    let place = root()?.join("target/clients/browser");
    step("emulator", || {
        shell::run(&mut command(
            "cargo build --locked --package runcomfy-testkit --bin runcomfy-emulator",
        )?)
    })?;
    step("install what drives a browser", || npm_ci("browser", &place))?;
    step("page", || {
        for script in SCRIPTS {
            std::fs::copy(root()?.join("clients/browser").join(script), place.join(script))?;
        }
        let emulator = Emulator::start()?;
        let mut test = Command::new(node(&place));
        test.arg(place.join(SCRIPTS[0]))
            .args([&emulator.url])
            .arg(&browser)
            .arg(root()?.join("target/browser"))
            .arg(root()?.join("runcomfy-testkit/src/emulator/page/overview.sample.json"))
            .arg("--stand-in");
        shell::run(&mut test)
    })
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

/// An emulator that nobody has called, ended when dropped. Its runs are short, and its instances are gone
/// soon after.
struct Emulator {
    child: Child,
    url: String,
}

impl Emulator {
    fn start() -> anyhow::Result<Self> {
        let program = root()?.join("target/debug/runcomfy-emulator");
        let mut child = Command::new(&program)
            .args(["--listen", "127.0.0.1:0", "--cold-start", "1", "--run-time", "1.5"])
            .args(["--keep-warm", "0.2"])
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let lines = child.stderr.take();
        let mut emulator = Self { child, url: String::new() };
        let mut lines = BufReader::new(lines.context("no stderr")?).lines();
        let first = lines.next().context("the emulator said nothing")??;
        let url = first.split_whitespace().find(|word| word.starts_with("http://"));
        emulator.url =
            url.with_context(|| format!("the emulator named no address: {first}"))?.to_owned();
        // Whatever else it says must not block it.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| println!("emulator: {line}"))
        });
        Ok(emulator)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Ended already is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
