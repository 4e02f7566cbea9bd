//! JSON that is passed on as the text it came as, where that is fit to be shown.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use serde_json::Value;

use super::{Changes, is_unfit, tidy};

/// How deeply it may nest: around it there is an answer, and most readers stop at 128.
const DEEPEST: usize = 100;

/// JSON as it is fit to be shown, whole however long it is. As it came where nothing is wrong with it,
/// which is found out without a copy. `None` where it can't be shown: it nests more deeply than is read, or
/// has halves of characters.
pub(crate) fn fit<'json>(json: &'json str, changes: &mut Changes) -> Option<Cow<'json, str>> {
    if is_fit(json) {
        return Some(Cow::Borrowed(json));
    }
    let mut value: Value = serde_json::from_str(json).ok()?;
    tidy("", &mut value, None, changes);
    Some(Cow::Owned(value.to_string()))
}

/// Of well-formed JSON.
fn is_fit(json: &str) -> bool {
    const DELETE: u8 = 0x7f;
    let bytes = json.as_bytes();
    let as_written = if bytes.is_ascii() {
        memchr(DELETE, bytes).is_none()
    } else {
        !json.chars().any(is_unfit)
    };
    as_written && is_shallow_and_spelt_well(bytes)
}

fn is_shallow_and_spelt_well(json: &[u8]) -> bool {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => match end_of_text(json, at) {
                Some(end) => at = end,
                None => return false,
            },
            b'{' | b'[' if depth == DEEPEST => return false,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Behind the closing quote of the text that begins at `at`; `None` where an escape in it stands for what
/// is not shown.
fn end_of_text(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        if json.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at = match json.get(at + 1)? {
            b'b' | b'f' | b'r' => return None,
            b'u' => end_of_escape(json, at)?,
            _ => at + 2,
        };
    }
}

/// Behind `\uXXXX`, or two of them that are one character.
fn end_of_escape(json: &[u8], at: usize) -> Option<usize> {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(json.get(at + 2..at + 6)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(at)?;
    let (c, end) = match char::from_u32(first.into()) {
        Some(c) => (c, at + 6),
        None if json.get(at + 6..at + 8) == Some(b"\\u") => {
            (char::decode_utf16([first, unit(at + 6)?]).next()?.ok()?, at + 12)
        }
        None => return None,
    };
    (!is_unfit(c)).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(json: &str, shown: Option<&str>, removed: usize) {
        let mut changes = Changes::default();
        assert_eq!(fit(json, &mut changes).as_deref(), shown, "{json}");
        assert_eq!(changes, Changes { removed, truncated: false }, "{json}");
    }

    #[test]
    fn what_is_fit_stays_to_the_byte() {
        for json in [
            r#" {"a" : [1.50, "x\n\t\"\\b\\u200b", "\u00e9\ud83d\ude00", "日本語 😀"], "a":2} "#,
            "\"\\\\\"",
            "12345678901234567890123",
        ] {
            check(json, Some(json), 0);
        }
    }

    #[test]
    fn what_hides_is_taken_out_however_it_is_written() {
        check("{\"k\u{202e}\":\"a\u{200b}b\"}", Some(r#"{"k":"ab"}"#), 2);
        check(
            r#"["a\u200bb","\u001b[31mred","c\rd","\udb40\udc41"]"#,
            Some(r#"["ab","red","cd",""]"#),
            8,
        );
        check(r#"["c\rd"]"#, Some(r#"["cd"]"#), 1);
        check(r#"["c\fd"]"#, Some(r#"["cd"]"#), 1);
        check("[\"a\u{7f}b\"]", Some(r#"["ab"]"#), 1);
    }

    #[test]
    fn nothing_is_cut_however_long_it_is() {
        let long = "x".repeat(200_000);
        let json = format!(r#"{{"name":"{long}\u200b","readme":"{long}"}}"#);
        check(&json, Some(&json.replace("\\u200b", "")), 1);
    }

    #[test]
    fn what_no_reader_takes_is_not_shown() {
        check(r#""\ud800""#, None, 0);
        check(r#""\ud800\u0041""#, None, 0);
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(&nested(100), Some(&nested(100)), 0);
        check(&nested(200), None, 0);
    }

    proptest! {
        #[test]
        fn what_passes_as_it_is_has_nothing_to_take_out(text in any::<String>(), escaped in any::<bool>()) {
            let mut json = Value::from(text.as_str()).to_string();
            if escaped {
                json = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                json = format!("\"{json}\"");
            }
            prop_assert_eq!(is_fit(&json), !text.chars().any(is_unfit));
        }
    }
}
