//! `Fields`: reads a JSON object and collects all invalid fields.

use runcomfy_core::{Error, error::Operation, id::WorkflowId};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{account::service_error, text};

pub(super) struct Fields {
    operation: Operation,
    map: Map<String, Value>,
    faults: Vec<Value>,
}

/// The message and the type of the validation error.
type TypeMismatch = (&'static str, &'static str);

pub(super) const NOT_A_URL: TypeMismatch = ("Input should be a valid URL", "url_parsing");

/// One entry of the list of validation errors.
fn fault(place: &[&str], message: &str, kind: &str) -> Value {
    json!({"loc": place, "msg": message, "type": kind})
}

/// A URL that can be called.
pub(super) fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

impl Fields {
    pub(super) fn of(operation: Operation, body: &[u8]) -> Result<Self, Error> {
        let refused = |message, kind| {
            Err(service_error::faults(operation, vec![fault(&["body"], message, kind)]))
        };
        match serde_json::from_slice(text::json(body)) {
            Ok(Value::Object(map)) => Ok(Self { operation, map, faults: Vec::new() }),
            Ok(_) => refused("Input should be a valid dictionary", "dict_type"),
            Err(_) if body.is_empty() => refused("Field required", "missing"),
            Err(_) => refused("JSON decode error", "json_invalid"),
        }
    }

    /// A required field. Records an error if it is missing or invalid.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Value) -> Result<T, TypeMismatch>,
    ) -> Option<T> {
        match self.map.remove(key) {
            Some(value) => self.read(key, value, read),
            None => {
                self.fault(key, "Field required", "missing");
                None
            }
        }
    }

    /// An optional field. Missing and null are the same.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Value) -> Result<T, TypeMismatch>,
    ) -> Option<T> {
        let value = self.map.remove(key).filter(|value| !value.is_null())?;
        self.read(key, value, read)
    }

    pub(super) fn fault(&mut self, key: &str, message: &str, kind: &str) {
        self.faults.push(fault(&["body", key], message, kind));
    }

    /// Ends reading. Returns the collected errors, if any. Unknown fields are ignored.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        match std::mem::take(&mut self.faults) {
            faults if faults.is_empty() => Ok(()),
            faults => Err(service_error::faults(self.operation, faults)),
        }
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    fn read<T>(
        &mut self,
        key: &str,
        value: Value,
        read: impl FnOnce(Value) -> Result<T, TypeMismatch>,
    ) -> Option<T> {
        read(value).map_err(|(message, kind)| self.fault(key, message, kind)).ok()
    }

    pub(super) fn any(value: Value) -> Result<Value, TypeMismatch> {
        Ok(value)
    }

    pub(super) fn text(value: Value) -> Result<String, TypeMismatch> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err(("Input should be a valid string", "string_type")),
        }
    }

    pub(super) fn address(value: Value) -> Result<Url, TypeMismatch> {
        address(&Self::text(value)?).ok_or(NOT_A_URL)
    }

    pub(super) fn workflow_id(value: Value) -> Result<WorkflowId, TypeMismatch> {
        let invalid = ("Input should be a valid workflow id", "uuid_parsing");
        WorkflowId::new(Self::text(value)?).map_err(|_| invalid)
    }

    pub(super) fn count(value: Value) -> Result<u64, TypeMismatch> {
        value.as_u64().ok_or(("Input should be an integer of 0 or more", "int_type"))
    }

    pub(super) fn flag(value: Value) -> Result<bool, TypeMismatch> {
        value.as_bool().ok_or(("Input should be a valid boolean", "bool_type"))
    }

    pub(super) fn object(value: Value) -> Result<Map<String, Value>, TypeMismatch> {
        match value {
            Value::Object(map) => Ok(map),
            _ => Err(("Input should be a valid dictionary", "dict_type")),
        }
    }

    /// The text of a one-element list, such as `hardware`.
    pub(super) fn single_item(value: Value) -> Result<String, TypeMismatch> {
        match value {
            Value::Array(mut items) if items.len() == 1 => match items.pop() {
                Some(Value::String(text)) => Ok(text),
                _ => Err(("Input should be a list of one string", "string_type")),
            },
            Value::Array(_) => Err(("List should have exactly 1 item", "too_long")),
            _ => Err(("Input should be a valid list", "list_type")),
        }
    }
}
