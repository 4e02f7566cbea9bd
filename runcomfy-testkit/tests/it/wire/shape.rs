//! The shape of a response: each value is replaced by its kind.

use chrono::DateTime;
use serde_json::{Map, Value, json};

/// Of lists and of objects with node ids as keys, each shape is kept once. Values of `status` and `outcome`
/// are kept for requests.
pub(super) fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("boolean"),
        Value::Number(number) if number.is_f64() => json!("number"),
        Value::Number(_) => json!("integer"),
        Value::String(text) => json!(of_text(text)),
        Value::Array(items) => Value::Array(merged(items)),
        Value::Object(fields) if is_by_node(fields) => {
            let mut nodes = merged(fields.values());
            let node = if nodes.len() == 1 { nodes.remove(0) } else { Value::Array(nodes) };
            json!({"<node>": node})
        }
        Value::Object(fields) => {
            let is_request = fields.contains_key("request_id");
            let shaped = fields.iter().map(|(key, value)| {
                let shaped = match key.as_str() {
                    "status" | "outcome" if is_request => value.clone(),
                    // The inputs of a node, which depend on its class.
                    "inputs" if value.is_object() => json!("object"),
                    _ => shape(value),
                };
                (key.clone(), shaped)
            });
            Value::Object(shaped.collect())
        }
    }
}

fn of_text(text: &str) -> &'static str {
    let is_uuid = text.len() == 36
        && text.char_indices().all(|(place, c)| match place {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        });
    match text {
        _ if is_uuid => "uuid",
        _ if text.starts_with("http://") => "url",
        _ if DateTime::parse_from_rfc3339(text).is_ok() => "time",
        _ => "text",
    }
}

fn is_by_node(fields: &Map<String, Value>) -> bool {
    !fields.is_empty() && fields.keys().all(|key| key.starts_with(|c: char| c.is_ascii_digit()))
}

/// The different shapes.
fn merged<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut shapes: Vec<Value> = Vec::new();
    for shape in values.into_iter().map(shape) {
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    shapes
}
