//! Helpers for texts: byte order marks and truncation.

/// Removes the byte order mark that some editors write before JSON.
pub(crate) fn json(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Truncates `text` to at most `most` bytes.
#[cfg(feature = "comfyui")]
pub(crate) fn clip(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    // The end must not be inside a character.
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}…", &text[..end])
}

#[cfg(all(test, feature = "comfyui"))]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, expected) in [
            ("", 0, ""),
            ("cat", 3, "cat"),
            ("cats", 3, "cat…"),
            ("猫猫", 5, "猫…"),
            ("猫", 2, "…"),
        ] {
            assert_eq!(clip(text, most), expected, "{text} {most}");
        }
    }
}
