//! Text without characters that hide, reorder or erase what is around them.

use std::borrow::Cow;

/// Text without control characters (but for tab and line feed), terminal sequences, and characters that
/// are not seen, change the direction of what is around them, or spell out words that nobody sees.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    // Nearly all texts are so, and bytes are sooner looked at than characters.
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(plain) || !text.chars().any(is_disallowed) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        // A terminal's command: ESC [ … letter, or ESC ] … BEL.
        if c == '\u{1b}' || c == '\u{9b}' {
            let introducer =
                if c == '\u{9b}' { Some('[') } else { rest.next_if(|c| matches!(c, '[' | ']')) };
            match introducer {
                Some('[') => {
                    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                    rest.next_if(|c| matches!(c, '@'..='~'));
                }
                Some(_) => while rest.next_if(|c| !matches!(c, '\u{7}' | '\u{1b}')).is_some() {},
                None => {}
            }
        } else if !is_disallowed(c) || joins(kept.chars().next_back(), c) {
            kept.push(c);
        }
    }
    if kept.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned(kept) }
}

/// Whether an invisible character belongs to the letter or emoji before it: U+200C and U+200D in scripts that
/// need them, such as Persian, Hindi or Sinhala, and in composed emoji. A second one, or one behind ASCII,
/// would only hide something.
fn joins(before: Option<char>, c: char) -> bool {
    let belongs =
        |before: char| !before.is_ascii() && !before.is_whitespace() && !is_disallowed(before);
    matches!(c, '\u{200c}' | '\u{200d}') && before.is_some_and(belongs)
}

pub(super) fn is_disallowed(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(
            c,
            '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2064}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Cuts a text to `most` bytes, and says in it how much is missing. Whether it was longer.
pub(super) fn cut(text: &mut String, most: usize) -> bool {
    if text.len() <= most {
        return false;
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let left = text.len() - end;
    text.truncate(end);
    text.push_str(&format!("… ({left} bytes more)"));
    // What says how much was cut must not be cut itself for ever.
    true
}
