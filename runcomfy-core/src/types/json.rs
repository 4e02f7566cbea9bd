//! JSON that passes through: raw text that is not parsed, and objects whose unknown fields are kept.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

use super::ids::{InstanceId, RequestId};

/// A JSON document kept as the text it came as: every digit, key and space of it.
///
/// A workflow can be a megabyte; most callers hand it on or read a part of it, so it is parsed only
/// when asked. What came in an answer is a part of that answer's bytes and keeps all of them in memory.
/// `Debug` prints its length, as it may hold pictures and prompts.
#[derive(Clone)]
pub struct RawJson(Text);

#[derive(Clone)]
enum Text {
    Own(Box<RawValue>),
    /// Of an answer, and well-formed.
    Part(ByteString),
}

impl RawJson {
    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// What serde reports: a map with keys that are no strings, say. A [`Value`] never fails.
    pub fn new(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(|raw| Self(Text::Own(raw)))
    }

    /// A document within `whole`, without a copy. It must be of that very text.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "answers come over HTTP"))]
    pub(crate) fn part(whole: &ByteString, document: &RawValue) -> Self {
        Self(Text::Part(whole.slice_ref(document.get())))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Own(raw) => raw.get(),
            Text::Part(text) => text,
        }
    }

    /// The JSON text, in UTF-8, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Text::Own(raw) => Box::<str>::from(raw).into_string().into(),
            Text::Part(text) => text.into_bytes(),
        }
    }

    /// Parses it into `T`.
    ///
    /// # Errors
    /// What serde reports where the document does not fit `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }

    /// The document as a [`Value`]. Integers up to 2^64-1 stay exact.
    ///
    /// # Errors
    /// What serde reports where the text nests deeper than 128, has half of a surrogate pair, or a number
    /// beyond what a float holds.
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        self.parse()
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(|raw| Self(Text::Own(raw)))
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Text::Own(raw) => raw.serialize(serializer),
            Text::Part(text) => serde_json::from_str::<&RawValue>(text)
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
        }
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.as_str().len())
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        let same_value = || matches!((self.to_value(), other.to_value()), (Ok(a), Ok(b)) if a == b);
        self.as_str() == other.as_str() || same_value()
    }
}

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

    /// A list of strings, or a single one in its place.
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

/// Declares how an answer type reads from and writes to a JSON object: its fields by name, each with
/// the [`Fields`] method that takes it, and `extra` for the rest.
macro_rules! object {
    ($type:ident { $($field:ident: $take:ident),* $(,)? }) => {
        impl From<serde_json::Map<String, serde_json::Value>> for $type {
            fn from(map: serde_json::Map<String, serde_json::Value>) -> Self {
                let mut fields = crate::types::json::Fields(map);
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
