//! Refusals that the library makes, which repeat what came at any length: no more of it than tells what.

use rmcp::{ErrorData, model::ErrorCode};
use serde_json::Value;

/// The longest text that is left as it is, in bytes.
const LONGEST: usize = 60;

/// Cuts long texts; whether there were any.
pub(super) fn shorten(value: &mut Value) -> bool {
    match value {
        Value::String(text) if text.len() > LONGEST => {
            *text = cut(text);
            true
        }
        // Each, not any: none may stay long.
        Value::Array(items) => {
            items.iter_mut().filter_map(|item| shorten(item).then_some(())).count() > 0
        }
        Value::Object(map) => {
            map.values_mut().filter_map(|item| shorten(item).then_some(())).count() > 0
        }
        _ => false,
    }
}

/// The same of an error that is about the revision, which the client may have written at any length.
pub(super) fn shorten_error(error: &mut ErrorData) {
    if error.code != ErrorCode::UNSUPPORTED_PROTOCOL_VERSION {
        return;
    }
    if error.message.len() > LONGEST {
        error.message = cut(&error.message).into();
    }
    if let Some(data) = &mut error.data {
        shorten(data);
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(char::is_ascii).take(LONGEST).chain(['…']).collect()
}
