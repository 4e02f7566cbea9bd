//! `webhook_url`, by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runcomfy_mcp::fuzz::run("webhook_url", bytes));
