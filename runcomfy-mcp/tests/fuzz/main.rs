//! Samples and what becomes of them when their bytes are changed at random, through every fuzz target.
//! `fuzz/` has a machine look for more.
#![expect(
    clippy::print_stdout,
    reason = "whoever makes a failure happen again needs its bytes and seed"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod mutations;

use std::{cell::Cell, fs, panic, path::PathBuf, sync::Once};

use runcomfy_mcp::fuzz::{TARGETS, run};

use self::mutations::mutate;

/// The samples of a target, as they lie in the folder for libFuzzer.
fn samples(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort(); // the same in every run
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// A panic that a task or a `catch_unwind` keeps to itself is one too.
fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |about| {
            PANICKED.set(true);
            usual(about);
        }));
    });
}

/// Says which bytes it was, where the target panics.
struct Trying<'a> {
    target: &'a str,
    seed: u64,
    bytes: &'a [u8],
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if PANICKED.get() {
            let Self { target, seed, bytes } = self;
            println!("{target}, seed {seed}: b\"{}\"", bytes.escape_ascii());
        }
    }
}

fn try_one(target: &str, seed: u64, bytes: &[u8]) {
    let trying = Trying { target, seed, bytes };
    run(target, bytes);
    drop(trying);
    assert!(!PANICKED.get(), "something panicked and kept it to itself");
}

/// The target's samples, then `count` changes of them from each of two seeds, and from one that was never
/// there before where that is asked for.
#[track_caller]
fn check(target: &str, count: usize) {
    notice_panics();
    let samples = samples(target);
    assert!(!samples.is_empty(), "no samples for {target}");
    for sample in &samples {
        try_one(target, 0, sample);
    }
    // The same in every run, so that a change is to blame for what it breaks; others for who asks.
    let mut seeds = vec![1, 2];
    if std::env::var_os("RUNCOMFY_FUZZ_NEW").is_some() {
        let new = fastrand::u64(..);
        println!("{target}: the new seed is {new}");
        seeds.push(new);
    }
    for seed in seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..count {
            let bytes = mutate(&samples, &mut random);
            try_one(target, seed, &bytes);
        }
    }
}

#[test]
fn http_request() {
    check("http_request", 1_000);
}

#[test]
fn idempotency_store() {
    check("idempotency_store", 10_000);
}

#[test]
fn jsonrpc_line() {
    check("jsonrpc_line", 1_000);
}

#[test]
fn redact() {
    check("redact", 10_000);
}

#[test]
fn retry_after() {
    check("retry_after", 50_000);
}

#[test]
fn safe_id_and_path() {
    check("safe_id_and_path", 10_000);
}

#[test]
fn sanitize_text() {
    check("sanitize_text", 2_000);
}

#[test]
fn tool_args() {
    check("tool_args", 2_000);
}

#[test]
fn upstream_reply() {
    check("upstream_reply", 10_000);
}

#[test]
fn webhook_url() {
    check("webhook_url", 50_000);
}

#[test]
fn every_target_is_tried_here_and_in_fuzz() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let tried = include_str!("main.rs");
    let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        assert!(tried.contains(&format!("check(\"{target}\"")), "{target}");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
}
