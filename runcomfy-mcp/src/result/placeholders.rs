//! JSON of RunComfy's that is large and goes out as it came: no tree is made of it on the way.

use bytes::Bytes;
use runcomfy_core::json::RawJson;
use serde_json::Value;

use crate::{
    entropy,
    sanitize::{self, Changes},
};

/// What is left out of an answer's data, each with what stands for it there.
#[derive(Default)]
pub(super) struct Placeholders {
    /// What nobody else can have put into the data.
    name: String,
    /// Each with the resource that has it, too.
    parts: Vec<(Bytes, String)>,
}

/// A part, and the text that stands for it: for whoever writes the answer to put in.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) mark: String,
    pub(crate) json: Bytes,
    /// The resource that has it, too.
    at: String,
}

impl Part {
    /// What it says.
    pub(super) fn value(&self) -> Value {
        // Checked when it was made fit.
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// What there is to say of it where it is too long.
    pub(super) fn description(&self) -> Value {
        let kilobytes = self.json.len().div_ceil(1024);
        format!("left out here: {kilobytes} KB; the resource {} has the graph", self.at).into()
    }
}

impl Placeholders {
    /// Leaves `json` out, and gives what stands for it.
    pub(super) fn defer(&mut self, json: RawJson, at: String) -> Value {
        if self.parts.is_empty() {
            self.name = entropy::name();
        }
        self.parts.push((json.into_bytes(), at));
        Value::String(self.mark(self.parts.len() - 1))
    }

    fn mark(&self, at: usize) -> String {
        format!("{}.{at}", self.name)
    }

    /// Each part as it came, in order. One that no reader takes is null.
    pub(super) fn shown(self, changes: &mut Changes) -> Vec<Part> {
        let marks: Vec<_> = (0..self.parts.len()).map(|at| self.mark(at)).collect();
        let mut readable = |json: Bytes| {
            if std::str::from_utf8(&json).is_ok_and(sanitize::is_readable) {
                return json;
            }
            changes.truncated = true;
            Bytes::from_static(b"null")
        };
        let parts = self.parts.into_iter().map(|(json, at)| (readable(json), at));
        marks.into_iter().zip(parts).map(|(mark, (json, at))| Part { mark, json, at }).collect()
    }
}

/// Puts parts in where they were left out.
pub(super) fn inline_deferred(data: &mut Value, parts: &[Part]) {
    if !parts.is_empty() {
        visit(data, parts, &|data, part| *data = part.value());
    }
}

/// Puts something else in there, for a text to show: numbers as a client that reads and writes them would.
pub(super) fn replace(data: &mut Value, parts: &[Part], shown: fn(&Part) -> Value) {
    visit(data, parts, &|data, part| {
        *data = shown(part);
        sanitize::whole_numbers(data);
    });
}

fn visit(data: &mut Value, parts: &[Part], found: &dyn Fn(&mut Value, &Part)) {
    match data {
        Value::String(text) => {
            if let Some(part) = parts.iter().find(|part| part.mark == *text) {
                found(data, part);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, parts, found)),
        Value::Object(map) => map.values_mut().for_each(|value| visit(value, parts, found)),
        _ => {}
    }
}
