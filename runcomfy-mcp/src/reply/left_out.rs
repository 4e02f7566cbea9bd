//! JSON of RunComfy's that is large and goes out as it came: no tree is made of it on the way.

use std::borrow::Cow;

use bytes::Bytes;
use runcomfy_core::RawJson;
use serde_json::Value;

use crate::{
    content::{self, Changes},
    random,
};

/// What is left out of an answer's data, each with what stands for it there.
#[derive(Default)]
pub(super) struct LeftOut {
    /// What nobody else can have put into the data.
    name: String,
    parts: Vec<Bytes>,
}

/// A part, and the text that stands for it: for whoever writes the answer to put in.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) mark: String,
    pub(crate) json: Bytes,
}

impl LeftOut {
    /// Leaves `json` out, and gives what stands for it.
    pub(super) fn leave_out(&mut self, json: RawJson) -> Value {
        if self.parts.is_empty() {
            self.name = random::name();
        }
        self.parts.push(json.into_bytes());
        Value::String(self.mark(self.parts.len() - 1))
    }

    fn mark(&self, at: usize) -> String {
        format!("{}.{at}", self.name)
    }

    /// Each part fit to be shown, in order. One that can't be is null.
    pub(super) fn shown(self, changes: &mut Changes) -> Vec<Part> {
        let marks: Vec<_> = (0..self.parts.len()).map(|at| self.mark(at)).collect();
        let mut fit = |json: Bytes| {
            let text = std::str::from_utf8(&json).ok();
            match text.and_then(|text| content::fit(text, changes)) {
                Some(Cow::Borrowed(_)) => json,
                Some(Cow::Owned(cleaned)) => cleaned.into(),
                None => {
                    changes.truncated = true;
                    Bytes::from_static(b"null")
                }
            }
        };
        let parts = self.parts.into_iter().map(&mut fit);
        marks.into_iter().zip(parts).map(|(mark, json)| Part { mark, json }).collect()
    }
}

/// Puts parts in where they were left out.
pub(super) fn put_in(data: &mut Value, parts: &[Part]) {
    if parts.is_empty() {
        return;
    }
    match data {
        Value::String(text) => {
            if let Some(part) = parts.iter().find(|part| part.mark == *text) {
                // Checked when it was made fit.
                *data = serde_json::from_slice(&part.json).unwrap_or_default();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put_in(item, parts)),
        Value::Object(map) => map.values_mut().for_each(|value| put_in(value, parts)),
        _ => {}
    }
}
