//! JSON that is kept as text.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// A JSON document kept as the text it came as: every digit, key and space of it.
///
/// A workflow can be a megabyte; most callers hand it on or read a part of it, so it is parsed only
/// when asked. What came in a response is a part of that response's bytes and keeps all of them in memory.
/// `Debug` prints its length, as it may hold pictures and prompts.
#[derive(Clone)]
pub struct RawJson(Text);

#[derive(Clone)]
enum Text {
    Own(Box<RawValue>),
    /// Of a response, and well-formed.
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
