//! The only place that writes to the terminal.
#![expect(
    clippy::print_stderr,
    reason = "notes for the person at the terminal, beside a command's answer"
)]

/// A line of a command's answer.
pub(super) fn say(line: &str) {
    // A closed pipe (`| head`) is the reader's choice, not an error worth a panic.
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line for the person at the terminal, beside the answer.
pub(super) fn note(line: &str) {
    eprintln!("{line}");
}

/// Why it did not work.
pub(super) fn complain(line: &str) {
    eprintln!("runcomfy-mcp: {line}");
}
