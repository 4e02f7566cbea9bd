//! Skips a test where a program that it needs is not installed.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write as _},
};

#[path = "../../../xtask/src/needs.rs"]
mod programs;

/// Whether the programs of these Debian packages are there. Where not, the test says which and must return; where the
/// environment has `CI=true`, it fails, now or, where `cargo xtask ci` takes note of it, in the end.
pub(crate) fn found(check: &str, packages: &[&str]) -> bool {
    let Err(skipped) = programs::look_for(check, packages) else { return true };
    match env::var_os("RUNCOMFY_SKIPS") {
        Some(file) => {
            let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
            file.write_all(format!("{skipped}\n").as_bytes()).unwrap();
        }
        None => assert!(!programs::is_ci(), "CI=true, and skipped: {skipped}"),
    }
    // Not by `eprintln!`: of a test that passes, the harness keeps that to itself.
    io::stderr().write_all(format!("SKIPPED {skipped}\n").as_bytes()).unwrap();
    false
}
