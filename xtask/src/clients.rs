//! Real MCP clients against the release binary on its emulator: the official SDKs for Python and TypeScript,
//! both major versions each, fastmcp and the MCP Inspector, over stdio and HTTP, on the newest revision and on
//! those before it. What they were seen to do is the table in docs/clients.md.

mod install;
mod table;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;

pub(crate) use self::install::{node, npm_ci, python_1};
use self::table::Seen;
use crate::{
    needs::look_for,
    program::Program,
    shell::{self, built, command, read, root, step},
};

/// What the clients need: a server that asks before it deletes, and no limits in their way.
const SERVE: [&str; 9] = [
    "serve",
    "--emulator",
    "--confirm",
    "require",
    "--refusals-per-minute",
    "0",
    "--calls-per-second",
    "0",
    "--log=warn",
];

/// Runs them all. The table must be as it is in the documentation, or is written there.
pub(crate) fn run(write: bool) -> anyhow::Result<()> {
    look_for("what real MCP clients do", &["npm", "python3-venv"])?;
    let folder = root()?.join("target/clients");
    step("release binary", || {
        shell::run(&mut command("cargo build --release --locked --package runcomfy-mcp")?)
    })?;
    step("install clients", || install::all(&folder))?;
    let binary = built("runcomfy-mcp")?;
    let seen = step("clients", || drive(&binary, &folder))?;
    table::keep(&seen, write)
}

fn drive(binary: &Path, folder: &Path) -> anyhow::Result<Vec<Seen>> {
    let program = binary.to_str().context("the binary's path is not UTF-8")?;
    let mut seen = Vec::new();
    let both: &[&str] = &["auto", "legacy"];
    let runs: [(PathBuf, PathBuf, &[&str]); 5] = [
        (python(folder, "python-1"), script("python/sdk1.py")?, &["legacy"]),
        (python(folder, "python-2"), script("python/sdk2.py")?, both),
        (python(folder, "fastmcp"), script("python/fastmcp4.py")?, both),
        (node(&folder.join("typescript")), folder.join("typescript/sdk1.mjs"), &["legacy"]),
        (node(&folder.join("typescript")), folder.join("typescript/sdk2.mjs"), both),
    ];
    for (interpreter, script, modes) in runs {
        for mode in modes {
            // Each has deployments of its own to make and delete.
            let server = Program::start("runcomfy-mcp", &SERVE)?;
            let url = url(&server);
            // Mostly they wait for machines to start: both at once.
            let lines = std::thread::scope(|scope| {
                let sessions = [["stdio", program], ["http", &url]].map(|target| {
                    let mut session = Command::new(&interpreter);
                    session.arg(&script).args(target).arg(mode).env("PYTHONWARNINGS", "ignore");
                    scope.spawn(move || read(&mut session))
                });
                sessions.map(|session| session.join().map_err(|_| anyhow!("a session broke"))?)
            });
            for said in lines {
                let said = said?;
                let line = said.lines().last().context("it said nothing")?;
                println!("{line}");
                seen.push(Seen::of(&serde_json::from_str(line)?)?);
            }
        }
    }
    let server = Program::start("runcomfy-mcp", &SERVE)?;
    let url = url(&server);
    let place = folder.join("inspector");
    for (transport, target) in [
        ("stdio", &[program, "--emulator"][..]),
        ("http", &["--server-url", &url, "--transport", "http"]),
    ] {
        for (era, revision) in [("legacy", "2025-11-25"), ("modern", "2026-07-28")] {
            let inspector = Inspector { place: &place, target, era };
            let name = install::version(&place, "@modelcontextprotocol/inspector")?;
            let mut features = vec![("ten tools", "yes, strict")];
            inspector.lists()?;
            // The only one of them that asks for tasks' ends by itself.
            if era == "modern" {
                inspector.follows_a_task()?;
                features.push(("tasks", "yes"));
            }
            println!("Inspector, {transport}, {era}: {features:?}");
            seen.push(Seen::new(format!("MCP Inspector {name}"), transport, revision, &features));
        }
    }
    Ok(seen)
}

fn url(server: &Program) -> String {
    format!("http://{}/mcp", server.address)
}

fn python(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).join("bin/python")
}

fn script(name: &str) -> anyhow::Result<PathBuf> {
    Ok(root()?.join("clients").join(name))
}

/// The MCP Inspector's command line.
struct Inspector<'a> {
    place: &'a Path,
    target: &'a [&'a str],
    era: &'a str,
}

impl Inspector<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut inspector = Command::new(node(self.place));
        inspector
            .arg(self.place.join("node_modules/.bin/mcp-inspector"))
            .args(["--cli", "--format", "json", "-q"])
            .args(self.target)
            .args(["--protocol-era", self.era])
            .args(arguments)
            .current_dir(self.place);
        let said = read(&mut inspector)?;
        serde_json::from_str(&said)
            .with_context(|| format!("the Inspector printed no JSON: {said}"))
    }

    /// Lists the tools, and objects to schemas that some client would not take.
    fn lists(&self) -> anyhow::Result<()> {
        let listed = self.run(&["--strict", "--method", "tools/list"])?;
        let tools = listed.pointer("/tools").or_else(|| listed.pointer("/result/tools"));
        match tools.and_then(Value::as_array).map(Vec::len) {
            Some(10) => Ok(()),
            seen => bail!("the Inspector lists {seen:?} tools, not 10"),
        }
    }

    /// Submits with waiting, which comes back as a task, and has its result in the end.
    fn follows_a_task(&self) -> anyhow::Result<()> {
        let deployment = "deployment_id=a1b2c3d4-0000-4000-8000-000000000001";
        let call = ["--method", "tools/call", "--tool-name", "submit_request", "--tool-arg"];
        let wait = ["--tool-arg", "wait_for_completion=true"];
        let answer = self.run(&[&call[..], &[deployment], &wait].concat())?;
        let data = answer
            .pointer("/structuredContent")
            .or_else(|| answer.pointer("/result/structuredContent"));
        let state = data.and_then(|data| data["state"].as_str());
        ensure!(state == Some("succeeded"), "the Inspector's task came to {answer}");
        // An ordinary wait says how long it took; a task does not know.
        let waited = data.is_some_and(|data| data["waited_seconds"].is_number());
        ensure!(!waited, "the Inspector got no task: {answer}");
        Ok(())
    }
}
