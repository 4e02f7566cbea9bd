//! The report of a run: Markdown with plots.

use std::{fmt::Write as _, fs, path::Path};

use super::{PARTS, figures::Figure, machine, plot, table};

const HEAD: &str = "\
# Beside others

Written by `cargo xtask bench`, all of it in one go on one machine.
Ratios travel, times do not: compare columns, and measure again where it matters.

- **ours**: the release build of `runcomfy-mcp serve`, with all its defaults.
- **direct**: the service itself, called without anything between: what a call costs at the least.
- **hop**: a JSON-RPC pass-through written by hand on hyper, with no check and no library of MCP: about the least that one more hop can cost ([source](../../peers/src/bin/hop.rs)).
- **bare**: a throw-away server on rmcp, the library that ours is on, with the same calls and nothing else ([source](../../peers/src/bin/bare.rs)).
";

const STAND_INS: &str = "\
- **python** and **typescript**: stand-ins on the official SDKs, 1.x, with httpx and fetch ([source](../../clients/peers)).
  They are not the official server, nor anybody's: they have the measured tools and nothing else, and show what those stacks cost at the least.
";

const HOW: &str = "\
## How it is measured

- Everything is a process of its own on this machine: the service ([source](../../peers/src/bin/upstream/main.rs)), the servers, and the driver, which is the same for all. They share its cores, so that a server that leaves more of them free is answered faster, too.
- Every answer is checked: HTTP 200, a result under the id that was asked with, no error, the run that was asked for; payloads byte by byte. ⚠ marks figures where not all answers were right or whole; a target is not held then.
- Contestants take turns in short slices, several rounds of them. A figure is the median of the rounds; what is added to a direct call is told within each round.
- CPU and memory are those of the server's process with all that it started, from `/proc`. Peaks are of a process that has done nothing else.
- Waits are `submit_request` with `wait_for_completion` and 60 s, by 50 accounts, one every 2 ms, for runs of 10 s, give or take up to 1.5. The delay is from the run's `finished_at` to the answer. \"Once more\" is the same again in the same process.
- Ours is built as it is shipped: for size where speed does not matter. The others, and the driver, are built for speed (`[profile.reference]` in `Cargo.toml`).
- `number × NAME` as a target is in terms of that contestant's figure of the same run. Targets are those that were set before the work began.
- Instructions and memory per call, which no busy machine disturbs, are kept in [budget.json](budget.json): `cargo xtask budget`. How long the parts of a call take: `cargo bench -p budget`.
";

/// The figures that are drawn, by file, and how their names begin.
const PLOTS: [(&str, &str, &[&str]); 4] = [
    ("start.svg", "Starting and idling", &["Cold start", "Idle memory, after the first call"]),
    (
        "calls.svg",
        "The smallest call",
        &[
            "`get_request_status`, 1 caller, added p50",
            "`get_request_status`, 32",
            "`get_request_status`, 256",
        ],
    ),
    (
        "lists.svg",
        "Lists with workflows",
        &["`list_deployments` with", "`list_deployments`, 10 × 1 MB"],
    ),
    ("waits.svg", "A thousand waits", &["1000 waits at once"]),
];

pub(super) fn write(
    folder: &Path,
    figures: &[Figure],
    notes: &[String],
    words: &[&str],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let mut text = HEAD.to_owned();
    if words.contains(&"--stand-ins") {
        text += STAND_INS;
    }
    let _ = write!(text, "\n## The machine\n\n{}", machine::description()?);
    let _ = write!(text, "\n## The figures\n\n{}\n", table::of(figures, notes));
    for (file, title, names) in PLOTS {
        let wanted = |figure: &&Figure| names.iter().any(|name| figure.what.starts_with(name));
        let drawn: Vec<&Figure> = figures.iter().filter(wanted).collect();
        fs::write(folder.join(file), plot::bars(&drawn))?;
        let _ = write!(text, "\n![{title}]({file})\n");
    }
    let _ = write!(text, "\n{HOW}\n{}", commands(words));
    fs::write(folder.join("README.md"), text)?;
    println!("written: {}", folder.join("README.md").display());
    Ok(())
}

/// What gives the whole, and each part of it.
fn commands(words: &[&str]) -> String {
    let quoted =
        |word: &&str| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() };
    let words: String = words.iter().map(|word| format!(" {}", quoted(word))).collect();
    let mut text = format!(
        "## Commands\n\n```sh\ncargo xtask bench{words}\n```\n\ngave all of this; the parts alone, by the last column of the table:\n\n```sh\n"
    );
    for (part, _) in PARTS {
        let _ = writeln!(text, "cargo xtask bench{words} --only {part}");
    }
    text + "```\n\nWithin five minutes, with shorter slices and fewer rounds: `cargo xtask bench --quick`.\n\
        Another server: `--peer-cmd NAME='command with {port} and {upstream}'`, or `--peer NAME=http://ADDRESS:PORT/mcp` for one that runs already and calls `--upstream-port PORT`.\n"
}
