//! What must be green, cheapest first.

use crate::{
    codegen,
    shell::{self, command, step},
    tidy,
};

pub(crate) fn run_cargo(line: &str) -> anyhow::Result<()> {
    // No RUSTFLAGS: they would rebuild every dependency.
    shell::run(command(line)?.env("RUSTDOCFLAGS", "-D warnings").env("INSTA_UPDATE", "no"))
}

pub(crate) fn run() -> anyhow::Result<()> {
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
