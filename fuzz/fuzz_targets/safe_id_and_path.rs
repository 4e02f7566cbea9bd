//! `safe_id_and_path`, by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runcomfy_mcp::fuzz::run("safe_id_and_path", bytes));
