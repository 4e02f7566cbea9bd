//! Arguments that a client has sent in another form than the schema's: as text, empty, or as a word that
//! stands for nothing.

use serde_json::Value;

use crate::protocol::message;

/// Reads a text as the value that it spells, where the schema wants one other type; whether it was such a
/// text. Some clients quote numbers, flags and whole objects, and the model behind them can't stop it.
/// Anything else stays as it is, for the schema to refuse.
pub(super) fn from_text(rules: &Value, value: Value) -> (Value, bool) {
    let Value::String(text) = &value else { return (value, false) };
    let wanted = rules.get("type").and_then(Value::as_str).unwrap_or("string");
    let read = match (wanted, text.trim()) {
        ("string", _) => None,
        (_, "null") => Some(Value::Null),
        // As Python writes it, too.
        ("boolean", "true" | "True") => Some(Value::Bool(true)),
        ("boolean", "false" | "False") => Some(Value::Bool(false)),
        ("integer", text) => json(text).filter(Value::is_number),
        ("object", text) => json(text).filter(Value::is_object),
        ("array", text) => json(text).filter(Value::is_array),
        _ => None,
    };
    match read {
        Some(read) => (read, true),
        None => (value, false),
    }
}

/// As strictly as a message itself is read: a key twice could be meant in two ways.
fn json(text: &str) -> Option<Value> {
    let looks_like_json = text.starts_with(|c: char| "{[-".contains(c) || c.is_ascii_digit());
    // A list is no message, but may well be an argument.
    let fit = matches!(message::check(text.as_bytes()), Ok(()) | Err(message::Unfit::Batch));
    (looks_like_json && fit).then(|| serde_json::from_str(text).ok()).flatten()
}

/// Whether there is nothing in it. Some models fill in every optional argument, most of them with this.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// The rule that an optional text breaks which is only a word for nothing. As a value it would be taken at
/// its word: as a key, it would make every submit the same run.
pub(super) fn placeholder_rule(rules: &Value, value: &Value) -> Option<String> {
    const WORDS: [&str; 4] = ["null", "undefined", "none", "nil"];
    let is_free_text =
        rules.get("type").and_then(Value::as_str) == Some("string") && rules.get("enum").is_none();
    let text = value.as_str().filter(|_| is_free_text)?;
    let text = text.trim().trim_matches(['"', '\'']);
    let word = WORDS.into_iter().find(|word| text.eq_ignore_ascii_case(word))?;
    Some(format!("is the word `{word}`, which stands for no value: leave the argument out"))
}
