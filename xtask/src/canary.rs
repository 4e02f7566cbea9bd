//! The whole suite with everything logged, and its output looked through for the secrets that tests use.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use crate::shell::root;

/// What every secret in a test has in it.
const MARKS: [&str; 2] = ["CANARY", "SECRET"];

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = root()?.join("target/canary");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let output = fs::File::create(folder.join("suite.txt"))?;
    // One test target of each crate that handles secrets: all of it that runs over the wire or a pipe.
    for package in ["runcomfy-core", "runcomfy-mcp"] {
        println!("the tests of {package}, everything logged");
        let status = Command::new("cargo")
            .args(["test", "--workspace", "--all-features", "--locked", "--package", package])
            .args(["--test", "it", "--", "--nocapture"])
            .current_dir(root()?)
            .env("RUNCOMFY_WATCH", &folder)
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output.try_clone()?))
            .status()?;
        ensure!(status.success(), "the tests failed: see {}", folder.join("suite.txt").display());
    }
    let mut lines = 0;
    let mut hits = Vec::new();
    let forms: Vec<(String, &str)> = MARKS.iter().flat_map(|mark| forms(mark)).collect();
    for file in fs::read_dir(&folder)? {
        let path = file?.path();
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        lines += text.lines().count();
        hits.extend(found(&path, &text, &forms));
    }
    println!("{lines} lines of output, {} forms of {} secrets' marks", forms.len(), MARKS.len());
    ensure!(lines > 5_000, "hardly anything was logged");
    if hits.is_empty() {
        println!("no secret in any of them");
        return Ok(());
    }
    hits.iter().take(20).for_each(|hit| println!("{hit}"));
    bail!("{} line(s) show a secret", hits.len());
}

fn found(path: &Path, text: &str, forms: &[(String, &str)]) -> Vec<String> {
    let shows = |line: &&str| forms.iter().find(|(form, _)| line.contains(form.as_str()));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let hit = |line: &str, how: &str| {
        let shown: String = line.chars().take(300).collect();
        format!("{file}, {how}: {shown}")
    };
    text.lines().filter_map(|line| shows(&line).map(|(_, how)| hit(line, how))).collect()
}

/// A mark as it is, and as it looks within what is encoded.
fn forms(mark: &str) -> Vec<(String, &'static str)> {
    let hex = |before: &str| mark.bytes().map(|b| format!("{before}{b:02x}")).collect::<String>();
    let mut forms = vec![(mark.to_owned(), "plain"), (hex(""), "hex"), (hex("%"), "percent")];
    for before in 0..3 {
        let all = STANDARD_NO_PAD.encode([&b"   "[..before], mark.as_bytes()].concat());
        // The characters that depend on the mark alone.
        let from = if before == 0 { 0 } else { before + 1 };
        let whole = (before + mark.len()) / 3 * 4;
        forms.push((all[from..whole].to_owned(), "base64"));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_in_whatever_it_is_wrapped() {
        let forms = forms("CANARY");
        for text in ["x CANARY y", "43414e415259", "%43%41%4e%41%52%59"] {
            assert_eq!(found(Path::new("f"), text, &forms).len(), 1, "{text}");
        }
        for before in ["", "u", "us", "user:"] {
            let text = STANDARD_NO_PAD.encode(format!("{before}CANARY-0123"));
            assert_eq!(found(Path::new("f"), &text, &forms).len(), 1, "{text}");
        }
        assert_eq!(found(Path::new("f"), "a canary", &forms).len(), 0);
    }
}
