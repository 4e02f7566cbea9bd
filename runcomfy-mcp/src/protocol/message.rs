//! A message's bytes, before anything is made of them: what readers of JSON agree on, and no more.

use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// No JSON, not UTF-8, or nested more deeply than is read (some 120 levels).
    NotJson,
    /// An object has a key twice: one reader would take the first, another the last.
    DuplicateKey,
    /// More than one message, which MCP does not have any more.
    Batch,
}

impl Unfit {
    /// JSON-RPC's own codes.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::NotJson => -32700,
            Self::DuplicateKey | Self::Batch => -32600,
        }
    }

    /// What is wrong, and nothing of what is in it.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NotJson => "the message is no JSON, or nested too deeply",
            Self::DuplicateKey => "an object in the message has the same key twice",
            Self::Batch => "a batch is not taken: send one message at a time",
        }
    }
}

/// Reads all of it once, without keeping anything of it but the keys of the objects it is in.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Unfit> {
    let duplicate = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Reading { duplicate: &duplicate }.deserialize(&mut reader);
    match read.and_then(|()| reader.end()) {
        Ok(()) if bytes.trim_ascii_start().starts_with(b"[") => Err(Unfit::Batch),
        Ok(()) => Ok(()),
        Err(_) if duplicate.get() => Err(Unfit::DuplicateKey),
        Err(_) => Err(Unfit::NotJson),
    }
}

#[derive(Clone, Copy)]
struct Reading<'a> {
    duplicate: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = fields.next_key_seed(Key)? {
            if !keys.insert(key) {
                self.duplicate.set(true);
                return Err(A::Error::custom("a key twice"));
            }
            fields.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// The keys of an object so far.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    /// `false` where it is there already.
    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        /// So many are found sooner by a look at each; nearly all objects have fewer.
        const FEW: usize = 12;
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(key);
            return true;
        }
        self.many.insert(key)
    }
}

/// A key, where possible without copying it.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn fails(text: impl AsRef<[u8]>, expected: Unfit) {
        let text = text.as_ref();
        assert_eq!(check(text), Err(expected), "{:?}", String::from_utf8_lossy(text));
    }

    #[test]
    fn what_is_no_json_is_no_message() {
        for text in [
            "",
            "{",
            "NaN",
            "{\"a\":Infinity}",
            "{\"a\":1e400}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":1,}",
            "{'a':1}",
            "{} {}",
            "{\"a\":\"\n\"}",
        ] {
            fails(text, Unfit::NotJson);
        }
    }

    #[test]
    fn a_key_twice_is_refused_at_any_depth_however_it_is_written() {
        for text in [
            r#"{"deployment_id":"a","deployment_id":"b"}"#,
            r#"{"a":[{"b":{"k":1,"k":1}}]}"#,
            r#"{"k":1,"\u006b":2}"#,
            r#"{"":1,"":2}"#,
        ] {
            fails(text, Unfit::DuplicateKey);
        }
        assert_eq!(check(br#"{"a":{"k":1},"b":{"k":1},"K":0,"k":0}"#), Ok(()));
    }

    #[test]
    fn a_lone_surrogate_and_bytes_that_are_no_text_are_refused() {
        fails(r#"{"a":"\ud800"}"#, Unfit::NotJson);
        fails(b"{\"a\":\"\xff\"}", Unfit::NotJson);
        fails(b"{\"\xff\":1}", Unfit::NotJson);
    }

    #[test]
    fn depth_has_an_end_long_before_the_stack() {
        let nested = |depth| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(nested(100).as_bytes()), Ok(()));
        fails(nested(130), Unfit::NotJson);
        fails(nested(1_000_000), Unfit::NotJson);
    }

    #[test]
    fn many_items_and_keys_are_read() {
        let items = format!("{{\"a\":[{}0]}}", "0,".repeat(1_000_000));
        assert_eq!(check(items.as_bytes()), Ok(()));
        let keys: Vec<_> = (0..100_000).map(|number| format!("\"k{number}\":0")).collect();
        assert_eq!(check(format!("{{{}}}", keys.join(",")).as_bytes()), Ok(()));
    }

    #[test]
    fn more_than_one_message_is_refused() {
        fails("[]", Unfit::Batch);
        fails(" [{\"jsonrpc\":\"2.0\"}]", Unfit::Batch);
    }

    proptest! {
        #[test]
        fn what_passes_is_what_the_reader_makes_of_it(text in r#"[\[\]{}:,"a\\ue0-9. -]{0,40}"#) {
            let read = serde_json::from_str::<Value>(&text);
            match check(text.as_bytes()) {
                Ok(()) => prop_assert!(read.is_ok()),
                Err(Unfit::NotJson) => prop_assert!(read.is_err()),
                Err(_) => {}
            }
        }
    }
}
