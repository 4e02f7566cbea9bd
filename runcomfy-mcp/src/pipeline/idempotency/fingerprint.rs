//! What was asked for, as a number: the same for arguments that mean the same, however they are written.

use ring::digest::{Context, SHA256};
use serde_json::{Map, Value};

/// A hash of what a call sends. Large pictures are hashed where they stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(String);

/// Collects what belongs to a fingerprint.
pub(crate) struct Hashing(Context);

impl Fingerprint {
    /// Begins one; add what the call sends, in the same order each time.
    pub(crate) fn of() -> Hashing {
        Hashing(Context::new(&SHA256))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it to find a call again in a log.
    pub(crate) fn short(&self) -> &str {
        &self.0[..16]
    }
}

impl Hashing {
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.part(b's', text.as_bytes());
        self
    }

    pub(crate) fn value(mut self, value: &Value) -> Self {
        self.add(value);
        self
    }

    pub(crate) fn map(mut self, map: Option<&Map<String, Value>>) -> Self {
        match map {
            Some(map) => self.object(map),
            None => self.part(b'-', b""),
        }
        self
    }

    pub(crate) fn done(self) -> Fingerprint {
        Fingerprint(hexadecimal(self.0.finish().as_ref()))
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::Null => self.part(b'0', b""),
            Value::Bool(yes) => self.part(b'b', if *yes { b"1" } else { b"0" }),
            Value::Number(number) => self.part(b'n', number.to_string().as_bytes()),
            Value::String(text) => self.part(b's', text.as_bytes()),
            Value::Array(items) => {
                self.part(b'[', &items.len().to_be_bytes());
                items.iter().for_each(|item| self.add(item));
            }
            Value::Object(map) => self.object(map),
        }
    }

    /// The order of keys means nothing.
    fn object(&mut self, map: &Map<String, Value>) {
        self.part(b'{', &map.len().to_be_bytes());
        let mut fields: Vec<_> = map.iter().collect();
        fields.sort_unstable_by_key(|(key, _)| key.as_str());
        for (key, value) in fields {
            self.part(b'k', key.as_bytes());
            self.add(value);
        }
    }

    /// With its kind and length in front, so that no two values run together into a third.
    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update(&[kind]);
        self.0.update(&bytes.len().to_be_bytes());
        self.0.update(bytes);
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four_bits: u8| char::from(DIGITS[usize::from(four_bits)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(value: &Value) -> Fingerprint {
        Fingerprint::of().value(value).done()
    }

    #[test]
    fn the_order_of_keys_means_nothing_and_all_else_does() {
        let one = json!({"a": {"x": 1, "y": [1, 2]}, "b": "t"});
        let same: Value = serde_json::from_str(r#"{"b":"t","a":{"y":[1,2],"x":1}}"#).unwrap();
        assert_eq!(of(&one), of(&same));
        for other in [
            json!({"a": {"x": 1, "y": [2, 1]}, "b": "t"}),
            json!({"a": {"x": "1", "y": [1, 2]}, "b": "t"}),
            json!({"a": {"x": 1, "y": [1, 2], "b": "t"}}),
            json!({"a": {"x": 1, "y": [1, 2]}, "b": null}),
            json!({"a": {"x": 1, "y": [1, 2]}}),
        ] {
            assert_ne!(of(&one), of(&other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn texts_do_not_run_together(a in ".{0,8}", b in ".{0,8}", c in ".{0,8}", d in ".{0,8}") {
            let (one, two) = ((&a, &b), (&c, &d));
            let hash = |pair: (&String, &String)| Fingerprint::of().text(pair.0).text(pair.1).done();
            prop_assert_eq!(hash(one) == hash(two), one == two);
        }
    }
}
