//! JSON that is passed on as the text it came as, where readers take it.

use memchr::memchr2;

/// How deeply it may nest: around it there is an answer, and most readers stop at 128.
const DEEPEST: usize = 100;

/// Whether well-formed JSON can be passed on, byte for byte: it nests no more deeply than is read, and has no
/// halves of characters. What its texts say is not asked: who changes a workflow and sends it back must have
/// it as it is.
pub(crate) fn is_readable(json: &str) -> bool {
    let (json, mut at, mut depth) = (json.as_bytes(), 0, 0_usize);
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

/// Behind the closing quote of the text that begins at `at`; `None` where an escape in it is half of a
/// character.
fn end_of_text(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', json.get(at..)?)?;
        if json.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at = if json.get(at + 1)? == &b'u' { end_of_escape(json, at)? } else { at + 2 };
    }
}

/// Behind `\uXXXX`, or two of them that are one character.
fn end_of_escape(json: &[u8], at: usize) -> Option<usize> {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(json.get(at + 2..at + 6)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(at)?;
    if char::from_u32(first.into()).is_some() {
        return Some(at + 6);
    }
    let pair = json.get(at + 6..at + 8) == Some(b"\\u");
    let whole = pair && char::decode_utf16([first, unit(at + 6)?]).next()?.is_ok();
    whole.then_some(at + 12)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn whatever_its_texts_say_it_is_passed_on() {
        for json in [
            r#" {"a" : [1.50, "x\n\t\"\\b\\u200b", "\u00e9\ud83d\ude00", "日本語 😀"], "a":2} "#,
            r#"["a\u200bb","\u001b[31mred","c\rd","\udb40\udc41"]"#,
            "{\"k\u{202e}\":\"a\u{200b}b\u{7f}\"}",
            "\"\\\\\"",
            "12345678901234567890123",
        ] {
            assert!(is_readable(json), "{json}");
        }
    }

    #[test]
    fn what_no_reader_takes_is_not() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_readable(&nested(100)) && !is_readable(&nested(101)));
        for json in [r#""\ud800""#, r#""\ud800\u0041""#, r#""\udc00""#, r#"["\ud800x"]"#] {
            assert!(!is_readable(json), "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_a_reader_takes_is_readable(text in any::<String>(), escaped in any::<bool>()) {
            let mut json = Value::from(text.as_str()).to_string();
            if escaped {
                json = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                json = format!("\"{json}\"");
            }
            prop_assert!(is_readable(&json));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
