//! What a run made, and why it failed, read out of the shapes the service uses.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::status::RequestResult;

/// A file that a run made. Its address may be signed, so `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OutputFile {
    /// The node that made it.
    pub node_id: String,
    /// The list it came in: `images` (videos too), `gifs`, `audio`, `files`, …
    pub channel: String,
    /// Where it is, byte for byte as it came. Open for 7 days; needs no token, so send none.
    pub url: String,
    /// Its name.
    pub filename: Option<String>,
    /// The folder it was saved in.
    pub subfolder: Option<String>,
    /// `output`, or `temp` for a preview.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

impl fmt::Debug for OutputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputFile")
            .field("node_id", &self.node_id)
            .field("channel", &self.channel)
            .field("filename", &self.filename)
            .finish_non_exhaustive()
    }
}

/// Why a run failed, as far as the service's answer tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFailure {
    /// The node at fault.
    pub node_id: Option<String>,
    /// The sort of fault, such as an exception's class or the service's number.
    pub kind: Option<String>,
    /// What went wrong, in the service's words.
    pub message: Option<String>,
}

impl RequestResult {
    /// Every file among the outputs, in the order they came.
    ///
    /// Takes both shapes: `outputs` by node and channel, and the `output` of LoRA deployments, whose
    /// files have no node (`node_id` is empty) and whose channel is the key they came under.
    #[must_use]
    pub fn output_files(&self) -> Vec<OutputFile> {
        let mut files = Vec::new();
        for (node_id, channels) in
            self.outputs.as_ref().and_then(Value::as_object).into_iter().flatten()
        {
            for (channel, items) in channels.as_object().into_iter().flatten() {
                for item in items.as_array().into_iter().flatten() {
                    files.extend(output_file(node_id, channel, item));
                }
            }
        }
        if let Some(output) = &self.output {
            collect(output, "output", &mut files, 0);
        }
        files
    }

    /// Text among the outputs, as (node id, text).
    #[must_use]
    pub fn output_texts(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for (node_id, channels) in
            self.outputs.as_ref().and_then(Value::as_object).into_iter().flatten()
        {
            let mut pending: Vec<&Value> = channels.get("text").into_iter().collect();
            while let Some(value) = pending.pop() {
                match value {
                    Value::String(text) => texts.push((node_id.clone(), text.clone())),
                    // Lists of lists come too; reversed, as the last pushed is read first.
                    Value::Array(items) => pending.extend(items.iter().rev()),
                    _ => {}
                }
            }
        }
        texts
    }

    /// Why it failed. `None` where the response carries no error.
    ///
    /// Takes the list of `{errorCode, error, debugInfo}`, the object with `type` and `message`,
    /// ComfyUI's own error, and plain text.
    #[must_use]
    pub fn failure(&self) -> Option<RunFailure> {
        self.error.as_ref().map(failure)
    }
}

fn output_file(node_id: &str, channel: &str, item: &Value) -> Option<OutputFile> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(OutputFile {
        node_id: node_id.to_owned(),
        channel: channel.to_owned(),
        url: text("url")?,
        filename: text("filename"),
        subfolder: text("subfolder"),
        kind: text("type"),
    })
}

/// Looks for files in a shape that is not fixed: objects with a `url`, and addresses as plain text.
fn collect(value: &Value, channel: &str, files: &mut Vec<OutputFile>, depth: usize) {
    const DEEPEST: usize = 8;
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::String(url) if url.starts_with("https://") || url.starts_with("http://") => {
            files.push(OutputFile {
                node_id: String::new(),
                channel: channel.to_owned(),
                url: url.clone(),
                filename: None,
                subfolder: None,
                kind: None,
            });
        }
        Value::Array(items) => {
            items.iter().for_each(|item| collect(item, channel, files, depth + 1))
        }
        Value::Object(map) => match output_file("", channel, value) {
            Some(file) => files.push(file),
            None => map.iter().for_each(|(key, item)| collect(item, key, files, depth + 1)),
        },
        _ => {}
    }
}

fn failure(error: &Value) -> RunFailure {
    let first = |value: &Value, keys: &[&str]| {
        keys.iter().find_map(|key| match value.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    match error {
        Value::String(text) => {
            RunFailure { message: Some(text.trim().to_owned()), ..RunFailure::default() }
        }
        Value::Array(items) => items.first().map(failure).unwrap_or_default(),
        Value::Object(_) => {
            // ComfyUI's own errors come wrapped: {"error": {…}}.
            if let Some(inner @ Value::Object(_)) = error.get("error") {
                return failure(inner);
            }
            RunFailure {
                node_id: first(error, &["node_id", "nodeId"]),
                kind: first(error, &["exception_type", "type", "errorCode", "error_code", "code"]),
                message: first(
                    error,
                    &[
                        "exception_message",
                        "message",
                        "error",
                        "error_message",
                        "debugInfo",
                        "details",
                    ],
                ),
            }
        }
        _ => RunFailure::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn result(wire: Value) -> RequestResult {
        from_value(wire).unwrap()
    }

    #[test]
    fn files_are_found_by_node_and_channel_and_nothing_else_is() {
        let result = result(json!({"status": "succeeded", "outputs": {
            "9": {"images": [
                {"url": "https://x/a.png?sig=1%2F2", "filename": "a.png", "subfolder": "", "type": "output"},
                {"url": "https://x/b.mp4", "filename": "b.mp4"},
            ], "animated": [true]},
            "52:42": {"audio": [{"url": "https://x/c.flac"}], "text": ["hello", ["there", 5]], "odd": "https://x/d"},
            "7": null,
        }}));
        let files = result.output_files();
        let seen: Vec<_> = files
            .iter()
            .map(|f| (f.node_id.as_str(), f.channel.as_str(), f.url.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("9", "images", "https://x/a.png?sig=1%2F2"),
                ("9", "images", "https://x/b.mp4"),
                ("52:42", "audio", "https://x/c.flac"),
            ]
        );
        assert_eq!(files[0].kind.as_deref(), Some("output"));
        assert_eq!(files[1].kind, None);
        let texts = result.output_texts();
        assert_eq!(
            texts,
            [("52:42".to_owned(), "hello".to_owned()), ("52:42".to_owned(), "there".to_owned())]
        );
    }

    #[test]
    fn the_output_of_a_lora_deployment_yields_its_files_too() {
        let result = result(
            json!({"output": {"images": ["https://x/a.png"], "video": {"url": "https://x/v.mp4"}, "n": 3}}),
        );
        let seen: Vec<_> = result.output_files().into_iter().map(|f| (f.channel, f.url)).collect();
        assert_eq!(
            seen,
            [
                ("images".into(), "https://x/a.png".into()),
                ("video".into(), "https://x/v.mp4".into())
            ] as [(String, String); 2]
        );
    }

    #[test]
    fn each_shape_of_error_tells_its_cause() {
        let check = |error: Value,
                     node_id: Option<&str>,
                     kind: Option<&str>,
                     message: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let expected =
                RunFailure { node_id: owned(node_id), kind: owned(kind), message: owned(message) };
            assert_eq!(result(json!({ "error": error })).failure(), Some(expected), "{error}");
        };
        check(
            json!([{"errorCode": 3, "error": "boom", "debugInfo": "x"}]),
            None,
            Some("3"),
            Some("boom"),
        );
        check(
            json!({"type": "ValueError", "message": "bad\n"}),
            None,
            Some("ValueError"),
            Some("bad"),
        );
        check(
            json!({"node_id": "3", "exception_type": "OSError", "exception_message": "corrupt"}),
            Some("3"),
            Some("OSError"),
            Some("corrupt"),
        );
        check(
            json!({"error": {"type": "invalid_prompt", "message": "no"}}),
            None,
            Some("invalid_prompt"),
            Some("no"),
        );
        check(json!("plain"), None, None, Some("plain"));
        check(json!(5), None, None, None);
        assert_eq!(result(json!({"error": null})).failure(), None);
    }
}
