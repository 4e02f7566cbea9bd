//! Recognises the placeholders of configuration files.

/// Whether `text` looks like one of these. A token is opaque, so this holds back: it takes what no token is
/// made of, and words that say what belongs there. One digit among letters is enough for it to keep out.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.trim().trim_matches(['"', '\'', '`']).trim();
    is_template(text) || is_masked(text) || is_made_of_words(text)
}

/// What clients, shells and templates put a value in place of: `${X}`, `{{x}}`, `<x>`, `%X%`, `$X`.
fn is_template(text: &str) -> bool {
    const MARKS: [&str; 5] = ["${", "{{", "#{", "$(", "<%"];
    const REFERENCES: [&str; 5] = ["env:", "env.", "process.env.", "secrets.", "op://"];
    const PAIRS: [(&str, &str); 6] =
        [("<", ">"), ("{", "}"), ("[", "]"), ("(", ")"), ("%", "%"), ("@", "@")];
    let within = |start, end| text.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    MARKS.iter().any(|mark| text.contains(mark))
        || REFERENCES.iter().any(|start| text.starts_with(start))
        || text.strip_prefix('$').is_some_and(is_name)
        || PAIRS.iter().any(|(start, end)| within(*start, *end).is_some_and(is_phrase))
        // Base64 for URLs may begin and end so, too, but has small letters or digits.
        || within("__", "__").is_some_and(is_constant)
}

/// A variable's name, perhaps with the place where it is: `RUNCOMFY_API_KEY`, `env:X`.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:".contains(&byte))
}

fn is_constant(text: &str) -> bool {
    is_name(text) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// A name, or words with anything between them that people write there.
fn is_phrase(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
        && text.chars().all(|c| c.is_alphanumeric() || " _-.:/|'…".contains(c))
}

/// `xxxx`, `rc_xxxx`, `****`, `...`, or a token of which only the ends are shown.
fn is_masked(text: &str) -> bool {
    if text.contains(['…', '•']) || text.contains("***") || text.ends_with("...") {
        return true;
    }
    let rest = match text.split_once(['_', '-']) {
        Some((start, rest)) if is_short_word(start) => rest,
        _ => text,
    };
    let filled = rest.bytes().filter(|byte| b"xX*?.".contains(byte)).count();
    filled >= 3 && rest.bytes().all(|byte| b"xX*?._-".contains(&byte))
}

fn is_short_word(text: &str) -> bool {
    text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// `YOUR_API_KEY`, `your-token-here`, `changeme`, `undefined`: nothing but words of such texts, and one at
/// least that no token would be without the others.
fn is_made_of_words(text: &str) -> bool {
    let mut telling = false;
    for part in text.split(|c: char| c.is_ascii_whitespace() || "_-.,:;/!".contains(c)) {
        match part.is_empty()
            || words(&part.to_ascii_lowercase()).map(|found| telling |= found).is_some()
        {
            true => {}
            false => return false,
        }
    }
    telling
}

/// Words that tell it.
const TELLING: [&str; 25] = [
    "add",
    "apikey",
    "change",
    "dummy",
    "enter",
    "example",
    "fill",
    "fixme",
    "insert",
    "key",
    "missing",
    "none",
    "null",
    "paste",
    "placeholder",
    "put",
    "redacted",
    "replace",
    "tbd",
    "todo",
    "token",
    "undefined",
    "unset",
    "your",
    "yours",
];

/// Words beside them.
const OTHERS: [&str; 47] = [
    "a",
    "access",
    "account",
    "actual",
    "an",
    "api",
    "app",
    "auth",
    "authorization",
    "bearer",
    "by",
    "comfy",
    "env",
    "environment",
    "for",
    "from",
    "goes",
    "here",
    "in",
    "into",
    "is",
    "it",
    "its",
    "me",
    "mcp",
    "my",
    "name",
    "new",
    "of",
    "own",
    "personal",
    "real",
    "run",
    "runcomfy",
    "secret",
    "serverless",
    "string",
    "text",
    "the",
    "this",
    "to",
    "value",
    "valid",
    "variable",
    "web",
    "with",
    "www",
];

/// Whether such words make up all of `part`, written together or not, with one that tells it among them;
/// `None` where they do not.
fn words(part: &str) -> Option<bool> {
    const LONGEST: usize = 64;
    if part.len() > LONGEST || !part.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    // For each length, whether the start of that length is made of words, and whether one of them tells it.
    let mut starts = vec![None; part.len() + 1];
    starts[0] = Some(false);
    for at in 0..part.len() {
        let Some(before) = starts[at] else { continue };
        let all =
            TELLING.iter().map(|word| (word, true)).chain(OTHERS.iter().map(|word| (word, false)));
        for (word, tells) in all.filter(|(word, _)| part[at..].starts_with(**word)) {
            let end = &mut starts[at + word.len()];
            *end = Some(end.unwrap_or(false) || before || tells);
        }
    }
    starts[part.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_leave_in_is_a_placeholder() {
        for text in [
            // Not filled in: VS Code, Claude, Cursor, compose, shells, Windows, n8n, CI, templates.
            "${RUNCOMFY_API_KEY}",
            "${input:runcomfy}",
            "${env:RUNCOMFY_API_KEY}",
            "${RUNCOMFY_API_KEY:-}",
            "${{ secrets.RUNCOMFY_API_KEY }}",
            "$RUNCOMFY_API_KEY",
            "$env:RUNCOMFY_API_KEY",
            "$(cat /run/secrets/runcomfy)",
            "%RUNCOMFY_API_KEY%",
            "{{token}}",
            "{{ $json.token }}",
            "={{$env.RUNCOMFY_API_KEY}}",
            "{token}",
            "[API_KEY]",
            "(your token)",
            "#{RUNCOMFY_API_KEY}#",
            "<%= ENV['X'] %>",
            "@RUNCOMFY_API_KEY@",
            "__RUNCOMFY_API_KEY__",
            "env:RUNCOMFY_API_KEY",
            "process.env.RUNCOMFY_API_KEY",
            "op://vault/runcomfy/token",
            "\"${RUNCOMFY_API_KEY}\"",
            " ${RUNCOMFY_API_KEY} ",
            // Not replaced.
            "<token>",
            "<your token>",
            "<RunComfy API token>",
            "<YOUR_API_KEY_1>",
            "YOUR_API_KEY",
            "your-token",
            "your_token_here",
            "your-runcomfy-api-token-goes-here",
            "yourApiKey",
            "YOURTOKEN",
            "RUNCOMFY_API_KEY",
            "runcomfy-token",
            "API_KEY",
            "token",
            "paste your token here",
            "Paste-Your-Token-Here!",
            "REPLACE_ME",
            "replace_with_your_api_key",
            "changeme",
            "change-me",
            "INSERT_TOKEN",
            "todo",
            "placeholder",
            "undefined",
            "null",
            "None",
            "[object Object]",
            "[REDACTED]",
            "xxx",
            "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX",
            "rc_xxxxxxxxxxxx",
            "sk-...",
            "****************",
            "rc_0123****",
            "rc_0123...",
            "...",
            "…",
            "rc_01…89",
            "••••••••",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_token_is_none() {
        for text in [
            "",
            "rc_0123456789",
            "tok",
            "me",
            "SECRET",
            "another-token",
            "token-one",
            "token1",
            "your-token-7f3a",
            "user:grant:secret",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "a1b2c3d4-0000-4000-8000-000000000001",
            "deadbeefdeadbeefdeadbeefdeadbeef",
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "AbCdEfGhIjKlMnOpQrStUvWxYz",
            "__a3bCdEf-ghIj__",
            "xxx1",
            "$2b$12$abc",
            "p%41%42",
            "xoxb-xoxb",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_at_random_as_tokens_have_it_is_no_placeholder(
            text in "[A-Za-z0-9][A-Za-z0-9._~+/=-]{18,80}[0-9A-Za-z]"
        ) {
            // Where no digit is among them, words could in theory be.
            prop_assume!(text.bytes().any(|byte| byte.is_ascii_digit()));
            prop_assert!(!is_placeholder(&text), "{}", text);
        }

        #[test]
        fn any_text_can_be_asked_about(text in "\\PC{0,200}") {
            is_placeholder(&text);
        }
    }
}
