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

/// JSON for the terminal, with what could drive it or hide in it escaped. Programs read the same from it.
pub(super) fn say_json(value: &impl serde::Serialize) {
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if (c.is_control() && c != '\n') || runcomfy_core::is_invisible(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units)
                .iter()
                .for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    say(&shown);
}

/// A line for the person at the terminal, beside the answer.
pub(super) fn note(line: &str) {
    eprintln!("{line}");
}

/// Why it did not work.
pub(super) fn complain(line: &str) {
    eprintln!("runcomfy-mcp: {line}");
}
