//! Objects of responses: known fields are taken out, and the rest is kept.

use serde_json::{Map, Value};

use crate::id::{InstanceId, RequestId};

/// An object on its way to a type: known fields are taken out where they have the type expected of
/// them, and the rest, surprises included, stays as `extra`.
#[derive(Debug)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    pub(crate) fn string(&mut self, key: &str) -> Option<String> {
        self.take(key, |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    pub(crate) fn unsigned(&mut self, key: &str) -> Option<u64> {
        self.take(key, |value| value.as_u64().ok_or(value))
    }

    pub(crate) fn integer(&mut self, key: &str) -> Option<i64> {
        self.take(key, |value| value.as_i64().ok_or(value))
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take(key, |value| value.as_bool().ok_or(value))
    }

    /// A list of strings, or a single one in its path.
    pub(crate) fn strings(&mut self, key: &str) -> Option<Vec<String>> {
        self.take(key, |value| match value {
            Value::String(text) => Ok(vec![text]),
            Value::Array(items) if items.iter().all(Value::is_string) => Ok(items
                .into_iter()
                .filter_map(|item| if let Value::String(text) = item { Some(text) } else { None })
                .collect()),
            other => Err(other),
        })
    }

    pub(crate) fn request_id(&mut self, key: &str) -> Option<RequestId> {
        self.parsed(key, |text| RequestId::new(text).ok())
    }

    pub(crate) fn instance_id(&mut self, key: &str) -> Option<InstanceId> {
        self.parsed(key, |text| InstanceId::new(text).ok())
    }

    /// Anything but null.
    pub(crate) fn value(&mut self, key: &str) -> Option<Value> {
        self.take(key, |value| if value.is_null() { Err(value) } else { Ok(value) })
    }

    /// A text that `parse` accepts, such as an id.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.take(key, |value| value.as_str().and_then(parse).ok_or(value))
    }

    /// Takes the field if `convert` accepts it. Otherwise it goes back where it was.
    fn take<T>(&mut self, key: &str, convert: impl FnOnce(Value) -> Result<T, Value>) -> Option<T> {
        let slot = self.0.get_mut(key)?;
        match convert(slot.take()) {
            Ok(taken) => {
                self.0.shift_remove(key);
                Some(taken)
            }
            Err(unfit) => {
                *slot = unfit;
                None
            }
        }
    }
}

/// Declares how a response type reads from and writes to a JSON object: its fields by name, each with
/// the [`Fields`] method that takes it, and `extra` for the rest.
macro_rules! object {
    ($type:ident { $($field:ident: $take:ident),* $(,)? }) => {
        impl From<serde_json::Map<String, serde_json::Value>> for $type {
            fn from(map: serde_json::Map<String, serde_json::Value>) -> Self {
                let mut fields = crate::json::Fields(map);
                $(let $field = fields.$take(stringify!($field));)*
                Self { $($field,)* extra: fields.0, non_finite: None }
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde_json::Map::deserialize(deserializer).map(Self::from)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $(if let Some(value) = &self.$field {
                    map.serialize_entry(stringify!($field), value)?;
                })*
                for (key, value) in &self.extra {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    };
}
pub(crate) use object;
