//! `redact`, by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runcomfy_mcp::fuzz::run("redact", bytes));
