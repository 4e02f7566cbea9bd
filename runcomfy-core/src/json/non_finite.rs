//! `NaN` and `Infinity`, which Python writes and JSON does not have.

use std::fmt;

/// Where a response had `NaN`, `Infinity` or `-Infinity`. ComfyUI and other programs in Python write them,
/// JSON has no such numbers, and so each of them is `null` in the value beside this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NonFinite {
    paths: Vec<String>,
    /// How many there are; more than `paths` where those are too many to keep.
    count: usize,
}

impl NonFinite {
    /// Such numbers at these paths.
    #[must_use]
    pub fn new(paths: Vec<String>) -> Self {
        Self { count: paths.len(), paths }
    }

    /// Their paths from the object they are a field of, such as `outputs.9.scores[0]`; at most the first 1,000.
    /// A key that is no plain name is `…` in it.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let shown = &self.paths[..self.paths.len().min(SHOWN)];
        write!(
            f,
            "NaN or Infinity, which JSON does not have, became null at {}",
            shown.join(", ")
        )?;
        match self.count - shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(feature = "http")]
pub(crate) use reading::replace_non_finite;

#[cfg(feature = "http")]
mod reading {
    use memchr::memmem;
    use serde::de::IgnoredAny;

    use super::NonFinite;

    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    const MAX_PATHS: usize = 1_000;

    /// The same JSON with `null` for each such number. `None` where there is none, and where the rest is no
    /// JSON either.
    pub(crate) fn replace_non_finite(json: &[u8]) -> Option<(Vec<u8>, NonFinite)> {
        // Nearly all responses have neither word.
        if memmem::find(json, WORDS[0]).is_none() && memmem::find(json, WORDS[1]).is_none() {
            return None;
        }
        let mut found = NonFinite::default();
        let mut written = Vec::with_capacity(json.len() + 16);
        let mut path = JsonPath::default();
        let mut rest = json;
        while let Some(&byte) = rest.first() {
            let taken = match byte {
                b'"' => string_length(rest),
                _ => WORDS.iter().find(|word| rest.starts_with(word)).map_or(1, |word| word.len()),
            };
            let (piece, after) = rest.split_at(taken);
            if taken > 1 && byte != b'"' {
                written.extend_from_slice(b"null");
                found.count += 1;
                if found.paths.len() < MAX_PATHS {
                    found.paths.push(path.to_text());
                }
            } else {
                path.pass(piece);
                written.extend_from_slice(piece);
            }
            rest = after;
        }
        let repaired = found.count > 0 && serde_json::from_slice::<IgnoredAny>(&written).is_ok();
        repaired.then_some((written, found))
    }

    /// The length of the string that `json` begins with, quotes included.
    fn string_length(json: &[u8]) -> usize {
        let mut at = 1;
        while let Some(byte) = json.get(at) {
            match byte {
                b'"' => return at + 1,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        json.len()
    }

    /// The objects and lists around a piece of JSON, outermost first.
    #[derive(Default)]
    struct JsonPath(Vec<PathStep>);

    enum PathStep {
        Item(usize),
        /// A field. Its name is unknown until the first string.
        Field {
            name: Option<String>,
        },
    }

    impl JsonPath {
        /// Moves on by one string or one byte.
        fn pass(&mut self, piece: &[u8]) {
            match piece.first() {
                Some(b'{') => self.0.push(PathStep::Field { name: None }),
                Some(b'[') => self.0.push(PathStep::Item(0)),
                Some(b'}' | b']') => drop(self.0.pop()),
                Some(b',') => match self.0.last_mut() {
                    Some(PathStep::Item(at)) => *at += 1,
                    Some(PathStep::Field { name }) => *name = None,
                    None => {}
                },
                Some(b'"') => {
                    if let Some(PathStep::Field { name: name @ None }) = self.0.last_mut() {
                        *name = Some(plain(piece));
                    }
                }
                _ => {}
            }
        }

        fn to_text(&self) -> String {
            let mut path = String::new();
            for step in &self.0 {
                match step {
                    PathStep::Item(at) => path.push_str(&format!("[{at}]")),
                    PathStep::Field { name } => {
                        if !path.is_empty() {
                            path.push('.');
                        }
                        path.push_str(name.as_deref().unwrap_or_default());
                    }
                }
            }
            if path.is_empty() { "the top level".to_owned() } else { path }
        }
    }

    /// A key without its quotes, where it is a name and no prose: the path is shown as text of the reader's own.
    fn plain(quoted: &[u8]) -> String {
        const LONGEST: usize = 64;
        let key = quoted.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\""));
        key.filter(|key| (1..=LONGEST).contains(&key.len()))
            .filter(|key| key.iter().all(|b| b.is_ascii_alphanumeric() || b"_-:.".contains(b)))
            .and_then(|key| std::str::from_utf8(key).ok())
            .map_or_else(|| "…".to_owned(), str::to_owned)
    }

    impl NonFinite {
        /// Those within the part of a response at `prefix`, with their paths from there.
        pub(crate) fn within(&self, prefix: &str) -> Option<Self> {
            let paths: Vec<String> = self
                .paths
                .iter()
                .filter_map(|path| Some(path.strip_prefix(prefix)?.strip_prefix('.')?.to_owned()))
                .collect();
            (!paths.is_empty()).then(|| Self::new(paths))
        }
    }
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Option<(Value, NonFinite)> {
        let (json, found) = replace_non_finite(text.as_bytes())?;
        Some((serde_json::from_slice(&json).ok()?, found))
    }

    #[test]
    fn numbers_that_json_lacks_become_null_and_their_paths_are_told() {
        let text = r#"{"a": NaN, "b": [-Infinity, {"c d": Infinity}, 1], "s": "NaN \" Infinity\\", "9": {"x": NaN}}"#;
        let (value, found) = read(text).unwrap();
        assert_eq!(
            value,
            json!({"a": null, "b": [null, {"c d": null}, 1], "s": "NaN \" Infinity\\", "9": {"x": null}})
        );
        assert_eq!(found.paths(), ["a", "b[0]", "b[1].…", "9.x"]);
        assert_eq!(read("NaN").unwrap().1.paths(), ["the top level"]);
    }

    #[test]
    fn what_is_json_already_or_is_none_is_left_alone() {
        for text in [
            "",
            "{}",
            r#"{"prompt": "NaN, Infinity"}"#,
            "Error: NaN is not allowed",
            "<p>NaN</p>",
            r#"{"a": NaNa}"#,
            r#"{"a": NaN"#,
            r#"{"NaN": "\"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_deep_or_a_long_answer_is_read_in_bounded_memory() {
        let deep = "[".repeat(100_000) + "NaN" + &"]".repeat(100_000);
        assert_eq!(read(&deep), None, "serde_json reads 128 levels");
        let long = format!("[{}1]", "NaN,".repeat(5_000));
        let (_, found) = read(&long).unwrap();
        assert_eq!((found.paths().len(), found.count()), (1_000, 5_000));
        assert!(found.to_string().ends_with("[7] and 4992 more"), "{found}");
    }

    #[test]
    fn a_part_of_an_answer_has_its_own_paths() {
        let found = NonFinite::new(vec!["[1].payload.x".into(), "[10].a".into(), "[1].b".into()]);
        assert_eq!(found.within("[1]").unwrap().paths(), ["payload.x", "b"]);
        assert_eq!(found.within("[2]"), None);
    }
}
