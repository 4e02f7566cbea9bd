//! The official conformance suite of MCP: all that two revisions require, against fixtures behind the server's
//! own HTTP layer; and against the release binary on its emulator every scenario that needs no tool, prompt or
//! resource made for it.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    clients::{node, npm_ci},
    needs::look_for,
    program::Program,
    shell::{self, command, root, step},
};

/// Of the newest revision, and of the one before it.
const SCENARIOS: [(&str, &[&str]); 2] = [
    (
        "2026-07-28",
        &[
            "server-stateless",
            "tools-list",
            "resources-list",
            "prompts-list",
            "completion-complete",
            "sep-2164-resource-not-found",
            "dns-rebinding-protection",
            "caching",
            "http-header-validation",
            "server-sse-multiple-streams",
            "input-required-result-unsupported-methods",
            "input-required-result-validate-input",
        ],
    ),
    (
        "2025-11-25",
        &[
            "server-initialize",
            "ping",
            "tools-list",
            "resources-list",
            "prompts-list",
            "completion-complete",
            "dns-rebinding-protection",
        ],
    ),
];

/// Checks that can't pass here, each with its reason. One that passes after all is an error, so that none
/// outlives its reason.
const KNOWN: [(&str, &str); 4] = [
    (
        "sep-2575-server-rejects-undeclared-capability",
        "calls a tool `test_missing_capability`, which a product does not ship",
    ),
    (
        "sep-2575-missing-capability-http-400",
        "calls a tool `test_missing_capability`, which a product does not ship",
    ),
    (
        "sep-2575-http-server-no-independent-requests-on-stream",
        "calls a tool `test_streaming_elicitation`, which a product does not ship",
    ),
    (
        "sep-2575-server-no-log-without-loglevel",
        "calls a tool `test_logging_tool`, which a product does not ship",
    ),
];

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

pub(crate) fn run() -> anyhow::Result<()> {
    look_for("the conformance suite of MCP", &["npm"])?;
    step("release binary", || {
        shell::run(&mut command("cargo build --release --locked --package runcomfy-mcp")?)
    })?;
    let place = root()?.join("target/clients/conformance");
    step("fixtures", || {
        let build = "cargo build --locked --package runcomfy-mcp --example fixtures";
        shell::run(&mut command(build)?)
    })?;
    step("install the suite", || npm_ci("conformance", &place))?;
    step("conformance of the HTTP layer", || requirements(&place))?;
    step("conformance of the server", || {
        let free = ["--calls-per-second", "0", "--refusals-per-minute", "0", "--log", "warn"];
        let server =
            Program::start("runcomfy-mcp", &[&["serve", "--emulator"], &free[..]].concat())?;
        let url = format!("http://{}/mcp", server.address);
        let (mut passed, mut known, mut faults) = (0, Vec::new(), Vec::new());
        for (revision, scenarios) in SCENARIOS {
            for scenario in scenarios {
                let out = place.join("results").join(revision).join(scenario);
                if out.exists() {
                    fs::remove_dir_all(&out)?;
                }
                let output = Command::new(node(&place))
                    .arg(place.join("node_modules/.bin/conformance"))
                    .args(["server", "--url", &url, "--scenario", scenario])
                    .args(["--spec-version", revision, "-o"])
                    .arg(&out)
                    .output()
                    .context("could not run the suite")?;
                let checks = checks(&out).with_context(|| {
                    format!("{scenario}: {}", String::from_utf8_lossy(&output.stdout))
                })?;
                let before = passed;
                for check in &checks {
                    let (id, status) = (text(check, "id"), text(check, "status"));
                    let is_known = KNOWN.iter().any(|(known, _)| *known == id);
                    match (status, is_known) {
                        ("FAILURE" | "WARNING", true) => known.push(id.to_owned()),
                        ("SUCCESS", true) => {
                            faults.push(format!("{id} passes: it is no exception any more"))
                        }
                        ("SUCCESS", false) => passed += 1,
                        ("FAILURE" | "WARNING", false) => {
                            let why = text(check, "errorMessage");
                            faults.push(format!("{revision} {scenario}: {id}: {status}: {why}"));
                        }
                        _ => {}
                    }
                }
                if passed == before {
                    faults.push(format!("{revision} {scenario}: nothing was checked"));
                }
            }
        }
        println!("{passed} checks pass; {} can't:", known.len());
        for (id, why) in KNOWN {
            println!("  {id}: {why}");
            if !known.iter().any(|seen| seen == id) {
                faults.push(format!("{id} was not checked"));
            }
        }
        ensure!(faults.is_empty(), "not conforming:\n  {}", faults.join("\n  "));
        Ok(())
    })
}

/// Everything that the revisions require. What fails without sessions is listed, each entry with its reason.
fn requirements(place: &Path) -> anyhow::Result<()> {
    let fixtures = Program::start_as("fixtures", "../debug/examples/fixtures", &LISTEN)?;
    let url = format!("http://{}/mcp", fixtures.address);
    for (revision, expected) in
        [("2026-07-28", None), ("2025-11-25", Some("expected-2025-11-25.yml"))]
    {
        let mut suite = Command::new(node(place));
        suite
            .arg(place.join("node_modules/.bin/conformance"))
            .args(["server", "--url", &url, "--requirements", revision])
            // What asks its client without a session is never answered: no reason to wait for long.
            .args(["--timeout", "10000"])
            .arg("-o")
            .arg(place.join("results/required").join(revision));
        if let Some(expected) = expected {
            let expected = root()?.join("clients/conformance").join(expected);
            suite.arg("--expected-failures").arg(expected);
        }
        let output = suite.output().context("could not run the suite")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{revision}:\n{said}\n{complaints}");
        let total = said.lines().find(|line| line.starts_with("Total:"));
        println!("{revision}: {}", total.context("the suite counted nothing")?);
        let failed = said.lines().filter(|line| line.starts_with('✗'));
        failed.for_each(|line| println!("  expected: {line}"));
    }
    Ok(())
}

/// What the suite wrote down of one scenario.
fn checks(out: &Path) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for run in fs::read_dir(out).context("no results")? {
        let checks = fs::read_to_string(run?.path().join("checks.json"))?;
        let checks: Vec<Value> = serde_json::from_str(&checks)?;
        all.extend(checks);
    }
    Ok(all)
}

fn text<'a>(check: &'a Value, key: &str) -> &'a str {
    check[key].as_str().unwrap_or_default()
}
