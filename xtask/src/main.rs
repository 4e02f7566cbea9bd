//! The developer's one command: `cargo xtask ci`, and what it is made of.
#![expect(clippy::print_stdout, reason = "a command line tool answers on stdout")]

mod bench;
mod browser;
mod canary;
mod ci;
mod clients;
mod codegen;
mod conformance;
mod deny;
mod history;
mod load;
mod measure;
mod needs;
mod peer;
mod program;
mod replicas;
mod server;
mod shell;
mod soak;
mod tidy;

use std::process::ExitCode;

use anyhow::Context as _;

use self::needs::Skipped;

const USAGE: &str = "\
cargo xtask ci                 format, tidy, lints, tests, docs, generated files: what must be green
cargo xtask codegen [--check]  write docs/tools.*, docs/errors.md and the README's table; --check only compares
cargo xtask tidy               the rules that no lint knows
cargo xtask deny               licences, banned versions, registries, advisories of what we depend on (needs git)
cargo xtask clients [--write]  real MCP clients against the release binary (needs python3-venv, npm); writes the table of what they do, or compares
cargo xtask conformance        the official conformance suite of MCP against the release binary (needs npm)
cargo xtask replicas           three servers behind nginx, two of them killed while callers wait (needs nginx, redis-server)
cargo xtask browser            the emulator's page in a real browser (needs chromium, npm)
cargo xtask canary             the tests with everything logged: no secret in any output
cargo xtask history [SEED]     10,000 calls under each of 20 seeds, or under this one: what users are told is true
cargo xtask load               10,000 requests against the emulator: speed, size, and books that agree
cargo xtask load --kill [SEED] the same, killed in the middle ten times: nothing is lost or run twice
cargo xtask soak [MINUTES]     20 users and faults for 10 minutes, a restart within: nothing is kept that should go
cargo xtask server [NAME]      the MCP server under load and abuse, beside a bare one: speed, size, manners
cargo xtask budget [--write]   instructions and memory of hot paths against docs/benchmarks/budget.json (needs valgrind)
cargo xtask bench [--quick]    the MCP server beside others, as ratios; the full run writes docs/benchmarks. More: --only PART,
                               --stand-ins (needs python3, npm), --strict, --report FOLDER, --peer NAME=URL with --upstream-port PORT,
                               --peer-cmd NAME='command with {port} and {upstream}', --peer-stdio-cmd NAME='command'

Where a program that is needed is missing, what needs it is skipped; with CI=true in the environment that is a failure.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["ci"] => ci::run(),
        ["codegen"] => codegen::run(codegen::Mode::Write),
        ["codegen", "--check"] => codegen::run(codegen::Mode::Check),
        ["tidy"] => tidy::run(),
        ["deny"] => deny::run(),
        ["clients"] => clients::run(false),
        ["clients", "--write"] => clients::run(true),
        ["conformance"] => conformance::run(),
        ["replicas"] => replicas::run(),
        ["browser"] => browser::run(),
        ["canary"] => canary::run(),
        ["history"] => history::run(None),
        ["history", seed] => seed.parse().context("SEED").and_then(|seed| history::run(Some(seed))),
        ["load"] => load::run(),
        ["load", "--kill"] => load::run_kills(None),
        ["load", "--kill", seed] => {
            seed.parse().context("SEED").and_then(|seed| load::run_kills(Some(seed)))
        }
        ["soak"] => soak::run(10),
        ["soak", minutes] => minutes.parse().context("MINUTES").and_then(soak::run),
        ["budget"] => bench::budget::run(false),
        ["budget", "--write"] => bench::budget::run(true),
        ["bench", words @ ..] => bench::run(words),
        ["server"] => server::run(None),
        ["server", name] => server::run(Some(name)),
        _ => {
            println!("{USAGE}");
            return if words == ["--help"] { ExitCode::SUCCESS } else { ExitCode::from(64) };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Skipped>() {
            Some(skipped) => report(skipped),
            None => {
                println!("xtask: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Says what was not checked, which may be so on a developer's machine.
fn report(skipped: &Skipped) -> ExitCode {
    let lines: Vec<&str> = skipped.0.lines().collect();
    println!("{} skipped:\n  {}", lines.len(), lines.join("\n  "));
    if needs::is_ci() {
        println!("xtask: CI=true, so nothing may be skipped");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
