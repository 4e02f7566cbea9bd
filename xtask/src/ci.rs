//! What must be green, cheapest first.

use std::{collections::BTreeSet, fs};

use crate::{
    codegen,
    needs::Skipped,
    shell::{self, command, root, step},
    tidy,
};

fn run_cargo(line: &str) -> anyhow::Result<()> {
    // No RUSTFLAGS: they would rebuild every dependency.
    shell::run(
        command(line)?
            .env("RUSTDOCFLAGS", "-D warnings")
            .env("INSTA_UPDATE", "no")
            .env("RUNCOMFY_SKIPS", root()?.join(SKIPS)),
    )
}

/// Where tests note down what they skip, a line each.
const SKIPS: &str = "target/skipped.txt";

pub(crate) fn run() -> anyhow::Result<()> {
    let skips = root()?.join(SKIPS);
    fs::create_dir_all(root()?.join("target"))?;
    fs::write(&skips, "")?;
    steps()?;
    Ok(skipped(&fs::read_to_string(skips)?)?)
}

/// What tests noted down. Several skip the same.
fn skipped(noted: &str) -> Result<(), Skipped> {
    let lines: BTreeSet<&str> = noted.lines().collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Skipped(Vec::from_iter(lines).join("\n")))
}

fn steps() -> anyhow::Result<()> {
    step("format (mend with: cargo fmt --all)", || run_cargo("cargo fmt --all --check"))?;
    step("tidy", tidy::run)?;
    step("lints", || {
        run_cargo("cargo clippy --workspace --all-targets --all-features --locked -- -D warnings")
    })?;
    step("core without http", || {
        run_cargo(
            "cargo clippy --package runcomfy-core --no-default-features --locked -- -D warnings",
        )
    })?;
    step("testkit without its program", || {
        run_cargo(
            "cargo clippy --package runcomfy-testkit --no-default-features --locked -- -D warnings",
        )
    })?;
    step("tests", || run_cargo("cargo test --workspace --all-features --locked"))?;
    step("docs", || run_cargo("cargo doc --workspace --no-deps --all-features --locked"))?;
    step("generated files (mend with: cargo xtask codegen)", || codegen::run(codegen::Mode::Check))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs::look_for;

    #[test]
    fn what_several_tests_skip_is_told_once() {
        assert!(skipped("").is_ok());
        assert_eq!(skipped("b\na\nb\n").unwrap_err().0, "a\nb");
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_else() {
        let has_cargo = look_for("builds", &["cargo"]);
        assert!(has_cargo.is_ok(), "{has_cargo:?}");
        let Skipped(said) = look_for("wonders", &["cargo", "no-such-thing"]).unwrap_err();
        assert_eq!(said, "wonders: missing no-such-thing (Debian: apt-get install no-such-thing)");
    }
}
