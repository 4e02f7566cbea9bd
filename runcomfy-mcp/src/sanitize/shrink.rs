//! Cutting a result to size: what says how to go on stays, what is long gives way.

use serde_json::{Map, Value};

use super::value::{Changes, tidy};

/// From the least loss to the greatest: the longest text, in bytes, and the most entries of a list or object.
const LEVELS: [(usize, usize); 6] =
    [(8 * 1024, 1_000), (1024, 200), (256, 50), (160, 20), (80, 5), (40, 2)];

/// Fields that give way first: what RunComfy said, of which the fields beside it tell the most. The
/// addresses of files give way last.
const FIRST: [&str; 8] = [
    "result",
    "response",
    "detail",
    "status",
    "submission",
    "deployment",
    "deployments",
    "payload_summary",
];

/// Cuts `payload` to at most `most` bytes of JSON, the fields in `whole` not counted and not cut. Whether it
/// was cut.
pub(crate) fn shrink(payload: &mut Map<String, Value>, most: usize, whole: &[&str]) -> bool {
    let mut sizes = Sizes::of(payload, whole);
    let mut changes = Changes::default();
    let mut order: Vec<String> =
        payload.keys().filter(|key| !whole.contains(&key.as_str())).cloned().collect();
    order.sort_by_key(|key| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    for (text, items) in LEVELS {
        for key in &order {
            if sizes.total() <= most {
                return changes.truncated;
            }
            let Some(value) = payload.get_mut(key) else { continue };
            tidy(key, value, Some(text), &mut changes);
            cap_collections(value, items, &mut changes);
            sizes.measure(key, value);
        }
    }
    // Deep rather than wide: nobody reads that.
    while sizes.total() > most {
        let Some(key) = sizes.largest() else { break };
        let Some(value) = payload.get_mut(&key) else { break };
        *value = Value::Null;
        sizes.measure(&key, value);
        changes.truncated = true;
    }
    changes.truncated
}

/// What each field takes as JSON, in bytes.
struct Sizes(Vec<(String, usize)>);

impl Sizes {
    fn of(payload: &Map<String, Value>, whole: &[&str]) -> Self {
        let counted = payload.iter().filter(|(key, _)| !whole.contains(&key.as_str()));
        Self(counted.map(|(key, value)| (key.clone(), size(key, value))).collect())
    }

    fn measure(&mut self, key: &str, value: &Value) {
        if let Some((_, bytes)) = self.0.iter_mut().find(|(known, _)| known == key) {
            *bytes = size(key, value);
        }
    }

    /// With the braces around them.
    fn total(&self) -> usize {
        2 + self.0.iter().map(|(_, bytes)| bytes).sum::<usize>()
    }

    fn largest(&self) -> Option<String> {
        self.0.iter().max_by_key(|(_, bytes)| bytes).map(|(key, _)| key.clone())
    }
}

/// A field with its name, colon and comma.
fn size(key: &str, value: &Value) -> usize {
    let mut count = Count(0);
    let written = serde_json::to_writer(&mut count, key)
        .and_then(|()| serde_json::to_writer(&mut count, value));
    written.map_or(usize::MAX / 4, |()| count.0 + 2)
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps the first of many.
fn cap_collections(value: &mut Value, most: usize, changes: &mut Changes) {
    match value {
        Value::Array(items) => {
            changes.truncated |= items.len() > most;
            items.truncate(most);
            items.iter_mut().for_each(|item| cap_collections(item, most, changes));
        }
        Value::Object(map) => {
            if map.len() > most {
                changes.truncated = true;
                let fields = std::mem::take(map);
                map.extend(fields.into_iter().take(most));
            }
            map.values_mut().for_each(|value| cap_collections(value, most, changes));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_fits_is_not_cut() {
        let before = object(&json!({"ok": true, "result": {"outputs": "x".repeat(100)}}));
        let mut after = before.clone();
        assert!(!shrink(&mut after, 1000, &[]));
        assert_eq!(after, before);
    }

    #[test]
    fn what_runcomfy_said_gives_way_before_the_addresses_of_files() {
        let file = |n: usize| json!({"node_id": "9", "channel": "images", "url": format!("https://x.example/{n}.png")});
        let files: Vec<_> = (0..60).map(file).collect();
        let mut payload = object(&json!({
            "ok": true, "state": "succeeded", "output_urls": files,
            "result": {"outputs": {"9": {"images": files, "text": ["t".repeat(50_000)]}}},
        }));
        assert!(shrink(&mut payload, 10 * 1024, &[]));
        assert_eq!(payload["output_urls"].as_array().map(Vec::len), Some(60));
        assert!(Value::Object(payload).to_string().len() <= 10 * 1024);
    }

    #[test]
    fn a_field_that_stays_whole_is_neither_counted_nor_cut() {
        let rows: Vec<_> = (0..100).map(|n| json!({"name": "n".repeat(200), "n": n})).collect();
        let mut payload = object(&json!({"ok": true, "deployments": rows}));
        assert!(!shrink(&mut payload, 1000, &["deployments"]));
        assert_eq!(payload["deployments"], json!(rows));
    }
}
