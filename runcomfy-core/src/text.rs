//! Cleans text of the service for display on one line.

/// Text without control characters and invisible ones, runs of space folded, at most `max` bytes.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut kept = String::new();
    for word in
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty())
    {
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.extend(word.chars().filter(|c| !is_invisible(*c)));
        if kept.len() > max {
            let end = (0..=max).rev().find(|at| kept.is_char_boundary(*at)).unwrap_or(0);
            kept.truncate(end);
            kept.push('…');
            break;
        }
    }
    kept.trim_end().to_owned()
}

/// Characters that change how text is shown without being seen: bidi controls, zero-width ones,
/// fillers, variation selectors and tags.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}
