//! JSON values whose texts are cleaned and cut, and whose whole numbers are integers.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::text::{clean, cut};

/// What had to be done to show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Characters that were taken out.
    pub(crate) removed: usize,
    /// Whether something was cut short.
    pub(crate) truncated: bool,
}

impl Changes {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { removed: self.removed + other.removed, truncated: self.truncated || other.truncated }
    }
}

/// One text, whatever it is; a deployment's documentation; its name. In bytes.
pub(super) const MAX_TEXT: usize = 64 * 1024;
pub(super) const MAX_README: usize = 32 * 1024;
pub(super) const MAX_NAME: usize = 1024;

/// Cleans all texts, and cuts those that are longer than `most`, where there is one.
pub(super) fn tidy(key: &str, value: &mut Value, most: Option<usize>, changes: &mut Changes) {
    match value {
        Value::String(text) => {
            if names_a_file(key) {
                return;
            }
            if let Cow::Owned(clean) = clean(text) {
                changes.removed += text.chars().count() - clean.chars().count();
                *text = clean;
            }
            let most = most.map(|most| match key {
                "readme" => most.min(MAX_README),
                "name" => most.min(MAX_NAME),
                _ => most,
            });
            changes.truncated |= most.is_some_and(|most| cut(text, most));
        }
        Value::Number(_) => whole_numbers(value),
        Value::Array(items) => items.iter_mut().for_each(|item| tidy(key, item, most, changes)),
        Value::Object(map) => {
            map.iter_mut().for_each(|(key, value)| tidy(key, value, most, changes));
            if map.keys().any(|key| matches!(clean(key), Cow::Owned(_))) {
                let fields = std::mem::take(map);
                map.extend(fields.into_iter().map(|(key, value)| {
                    let clean = clean(&key).into_owned();
                    changes.removed += key.chars().count() - clean.chars().count();
                    (clean, value)
                }));
            }
        }
        _ => {}
    }
}

/// The same number without a fraction, where it has none.
fn whole(number: &Number) -> Option<Number> {
    /// Up to here a float holds every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !number.is_f64() {
        return None;
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    Some(Number::from(float as i64))
}

/// Gives all numbers without a fraction as integers.
pub(crate) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(integer) = whole(number) {
                *number = integer;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Whether a field leads to a file. Changed, it would lead elsewhere.
fn names_a_file(key: &str) -> bool {
    matches!(key, "url" | "filename" | "subfolder") || key.ends_with("_url")
}
