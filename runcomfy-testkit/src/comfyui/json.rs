//! Reads JSON as Python writes it.

use serde_json::Value;

use crate::text;

/// Reads JSON and replaces `NaN`, `Infinity` and `-Infinity` by null. ComfyUI repeats the values that it was
/// given, and ranges of custom nodes are often infinite.
pub(super) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let bytes = text::json(bytes);
    serde_json::from_slice(bytes).or_else(|error| match with_nulls(bytes) {
        Some(text) => serde_json::from_slice(&text),
        None => Err(error),
    })
}

/// `None` if there is nothing to replace.
fn with_nulls(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut in_text = false;
    let mut found = false;
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        if in_text {
            // A backslash escapes the next character, which may be a quote.
            let taken = if *byte == b'\\' { rest.len().min(2) } else { 1 };
            in_text = *byte != b'"';
            out.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            continue;
        }
        let words: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
        if let Some(word) = words.into_iter().find(|word| rest.starts_with(word)) {
            found = true;
            out.extend_from_slice(b"null");
            rest = &rest[word.len()..];
        } else {
            in_text = *byte == b'"';
            out.push(*byte);
            rest = after;
        }
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_are_none_become_null_and_text_stays() {
        let text = br#"{"a": NaN, "b": [-Infinity, Infinity, 18446744073709551615], "c": "NaN \" -Infinity\\"}"#;
        let expected = json!({"a": null, "b": [null, null, u64::MAX], "c": "NaN \" -Infinity\\"});
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn a_byte_order_mark_is_nothing() {
        assert_eq!(read(b"\xef\xbb\xbf{\"a\": NaN}").unwrap(), json!({"a": null}));
        read(b"\xef\xbb{}").unwrap_err();
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["", "{", "<html>", "NaNa", "\"NaN", "\"\\"] {
            read(text.as_bytes()).unwrap_err();
        }
    }
}
