//! What the server's hot paths may take: instructions, as callgrind counts them, and memory asked for, as dhat
//! does. Neither depends on how busy the machine is. A copy of a megabyte is few instructions, but it is a
//! megabyte.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{figures::number, upstream::Upstream};
use crate::{
    needs::look_for,
    shell::{built, command, root, run as run_command, step},
};

/// What is measured: a name, the path by the name that `budget` has for it, how often, and before what.
const PATHS: [(&str, &str, u32, &str); 6] = [
    ("tools/list", "tools-list", 50, ""),
    ("get_request_status", "get-request-status", 50, ""),
    ("submit_request", "submit-request", 25, ""),
    ("list_deployments", "list-deployments", 25, ""),
    ("list_deployments, 10 x 100 KB", "list-payload", 4, "--payload-bytes 100000"),
    ("list_deployments, 1 x 1 MB", "list-payload", 4, "--deployments 1 --payload-bytes 1000000"),
];

/// What one call takes.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct Cost {
    instructions: f64,
    /// Bytes of memory asked for, given back or not.
    bytes: f64,
}

#[derive(Deserialize, Serialize)]
struct Budget {
    /// How much more than this, in percent, is no fault yet.
    tolerance_percent: Cost,
    /// The same of calls with payloads: how large the pieces are that are read depends on the network.
    tolerance_percent_of_payloads: Cost,
    calls: BTreeMap<String, Cost>,
}

/// Counts, and compares with what may be, or writes down what is.
pub(crate) fn run(write: bool) -> anyhow::Result<()> {
    look_for("instructions and memory of hot paths", &["valgrind"])?;
    step("the release programs", || {
        for what in [
            "--release --package budget",
            "--profile reference --package peers --bin peer-upstream",
        ] {
            run_command(&mut command(&format!("cargo build --locked {what}"))?)?;
        }
        Ok(())
    })?;
    let found = step("counting", || {
        let counted = PATHS.iter().map(|path| Ok((path.0.to_owned(), cost(path)?)));
        counted.collect::<anyhow::Result<BTreeMap<_, _>>>()
    })?;
    let file = root()?.join("docs/benchmarks/budget.json");
    let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
    let mut budget: Budget = serde_json::from_str(&text).context("the budget")?;
    let over = compare(&budget, &found);
    if write {
        budget.calls = found;
        return Ok(fs::write(file, serde_json::to_string_pretty(&budget)? + "\n")?);
    }
    if over > 0 {
        bail!(
            "{over} figure(s) over budget: mend it, or say why in the commit that raises it (cargo xtask budget --write)"
        );
    }
    Ok(())
}

/// Tells what was found, and how much of it is more than may be.
fn compare(budget: &Budget, found: &BTreeMap<String, Cost>) -> usize {
    println!("| Call | | Budget | Now | % | |\n|---|---|---:|---:|---:|---|");
    let mut over = 0;
    for (call, now) in found {
        let may = budget.calls.get(call);
        let has_payload =
            PATHS.iter().any(|(name, path, ..)| name == call && *path == "list-payload");
        let tolerance = if has_payload {
            budget.tolerance_percent_of_payloads
        } else {
            budget.tolerance_percent
        };
        for (what, may, now, tolerance) in [
            (
                "instructions",
                may.map(|may| may.instructions),
                now.instructions,
                tolerance.instructions,
            ),
            ("bytes allocated", may.map(|may| may.bytes), now.bytes, tolerance.bytes),
        ] {
            let verdict = Verdict::of(may, now, tolerance);
            over += usize::from(matches!(verdict, Verdict::New | Verdict::Over));
            let (may, percent) = may.map_or(("–".into(), "–".into()), |may| {
                (number(may), format!("{:+.2}", (now / may - 1.0) * 100.0))
            });
            println!(
                "| {call} | {what} | {may} | {} | {percent} | {} |",
                number(now),
                verdict.word()
            );
        }
    }
    over
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Held,
    /// The budget does not have it.
    New,
    Over,
    /// So much less that the budget would let half of it come back unseen.
    Under,
}

impl Verdict {
    fn of(may: Option<f64>, now: f64, tolerance_percent: f64) -> Self {
        let Some(may) = may else { return Self::New };
        let more = (now / may - 1.0) * 100.0;
        match more {
            more if more > tolerance_percent => Self::Over,
            less if less < -2.0 * tolerance_percent => Self::Under,
            _ => Self::Held,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::New => "new: write it down with --write",
            Self::Over => "**over**",
            Self::Under => "under: lower it with --write",
        }
    }
}

/// What a call takes more: the start, and what is made once, are in both runs and so in neither figure.
fn cost((name, path, times, upstream): &(&str, &str, u32, &str)) -> anyhow::Result<Cost> {
    let upstream = Upstream::start(None, upstream)?;
    let url = format!("http://{}", upstream.address);
    // As many processes at once as there are cores on the smallest machine.
    let each = |tool: fn(&str, u32, &str) -> anyhow::Result<f64>| {
        std::thread::scope(|scope| {
            let twice = scope.spawn(|| tool(path, times * 2, &url));
            let once = tool(path, *times, &url)?;
            let twice = twice.join().map_err(|_| anyhow!("a count broke"))??;
            ensure!(twice > once, "{name}: {times} calls cost {once}, twice as many {twice}");
            Ok(((twice - once) / f64::from(*times)).round())
        })
    };
    Ok(Cost { instructions: each(instructions)?, bytes: each(bytes)? })
}

fn instructions(path: &str, times: u32, url: &str) -> anyhow::Result<f64> {
    let said = valgrind("callgrind", "--callgrind-out-file=/dev/null", path, times, url)?;
    after(&said, "Collected :")
}

fn bytes(path: &str, times: u32, url: &str) -> anyhow::Result<f64> {
    let said = valgrind("dhat", "--dhat-out-file=/dev/null", path, times, url)?;
    after(&said, "Total:")
}

fn valgrind(tool: &str, out: &str, path: &str, times: u32, url: &str) -> anyhow::Result<String> {
    let program: PathBuf = built("budget")?;
    let output = Command::new("valgrind")
        .arg(format!("--tool={tool}"))
        .arg(out)
        .arg(program)
        .args([path, &times.to_string(), url])
        .stdin(Stdio::null())
        .output()
        .context("valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{path}: {said}");
    Ok(said)
}

/// The number that stands behind this word.
fn after(said: &str, word: &str) -> anyhow::Result<f64> {
    let (_, rest) = said.split_once(word).with_context(|| format!("no {word} in {said}"))?;
    let digits = rest.split_whitespace().next().unwrap_or_default().replace(',', "");
    digits.parse().with_context(|| format!("no number behind {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_tolerance_is_over_and_twice_as_much_less_is_under() {
        let check = |may, now, expected| assert_eq!(Verdict::of(may, now, 3.0), expected, "{now}");
        check(Some(100.0), 102.9, Verdict::Held);
        check(Some(100.0), 103.2, Verdict::Over);
        check(Some(100.0), 94.1, Verdict::Held);
        check(Some(100.0), 93.8, Verdict::Under);
        check(None, 1.0, Verdict::New);
    }

    #[test]
    fn what_valgrind_says_is_read() -> anyhow::Result<()> {
        assert_eq!(after("==1== Collected : 61331621\n", "Collected :")?, 61_331_621.0);
        let dhat = "==1== Total:     89,239,526 bytes in 455,818 blocks";
        assert_eq!(after(dhat, "Total:")?, 89_239_526.0);
        Ok(())
    }
}
