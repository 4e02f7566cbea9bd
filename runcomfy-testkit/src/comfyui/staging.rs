//! Uploads inputs that are URLs or data URIs, because ComfyUI's loaders accept file names only.

use std::collections::{HashMap, hash_map::Entry};

use runcomfy_core::Workflow;
use serde_json::Value;

use super::{api::Api, failure, job::Job, names};

mod data_uri;
mod fetch;

pub(super) use fetch::Fetcher;

/// An input to upload.
struct Input<'a> {
    node_id: &'a str,
    class_type: &'a str,
    name: &'a str,
    value: &'a str,
}

/// Uploads the file inputs of a job. Returns the graph with their names, or the failure of the run.
pub(super) async fn stage(api: &Api, fetcher: &Fetcher, job: &Job) -> Result<Value, Value> {
    let limits = api.limits();
    let mut graph = job.graph.clone().into_value();
    let mut uploaded: HashMap<&str, String> = HashMap::new();
    let mut left = limits.all_inputs;
    for input in file_inputs(api, &job.graph).await {
        let failed =
            |why: &str| failure::of_input(input.node_id, input.class_type, input.name, why);
        let number = uploaded.len() + 1;
        let place = match uploaded.entry(input.value) {
            // Equal values are uploaded once.
            Entry::Occupied(place) => place.get().clone(),
            Entry::Vacant(place) => {
                if number > limits.inputs {
                    let why = format!("more than {} inputs are URLs or data URIs", limits.inputs);
                    return Err(failed(&why));
                }
                let most = limits.input.min(left);
                let content = match data_uri::is_one(input.value) {
                    true => data_uri::decode(input.value, most),
                    false => fetcher.fetch(input.value, most).await,
                };
                let content = content.map_err(|why| failed(&why))?;
                left -= content.bytes.len() as u64;
                let name = names::plain(number, &content.name, content.media_type.as_deref());
                let upload = api.upload(&job.prompt_id, &name, content.bytes).await;
                let upload = upload.map_err(|error| match error.is_absence() {
                    true => failure::of_submit(job.request_id.as_str(), &error),
                    false => failed(&error.to_string()),
                });
                place.insert(upload?).clone()
            }
        };
        graph[input.node_id]["inputs"][input.name] = Value::String(place);
    }
    Ok(graph)
}

/// The file inputs that are URLs or data URIs. Asks the server only if a value looks like one.
async fn file_inputs<'a>(api: &Api, graph: &'a Workflow) -> Vec<Input<'a>> {
    let mut found = Vec::new();
    let mut classes: HashMap<&str, Option<Value>> = HashMap::new();
    for node in graph.nodes() {
        let (node_id, class_type) = (node.id(), node.class_type());
        for (name, value) in node.inputs() {
            let Some(value) = value.as_str().filter(|value| is_elsewhere(value)) else { continue };
            let class = match classes.entry(class_type) {
                Entry::Occupied(class) => class.into_mut(),
                // Without a response, inputs are recognized by their usual names.
                Entry::Vacant(class) => {
                    class.insert(api.get(&["object_info", class_type]).await.ok())
                }
            };
            let is_file = match class {
                Some(info) => is_uploaded(info, class_type, name),
                None => is_known_loader(class_type, name),
            };
            if is_file {
                found.push(Input { node_id, class_type, name, value });
            }
        }
    }
    found
}

fn is_elsewhere(value: &str) -> bool {
    data_uri::is_one(value) || fetch::is_url(value)
}

/// Whether ComfyUI's editor offers an upload for this input, which marks a file input, also of custom nodes.
fn is_uploaded(info: &Value, class_type: &str, input: &str) -> bool {
    let inputs = info.get(class_type).and_then(|class| class.get("input"));
    let specs =
        ["required", "optional"].into_iter().filter_map(|part| inputs?.get(part)?.get(input));
    let marks = ["image_upload", "video_upload", "audio_upload", "file_upload"];
    specs
        .filter_map(|spec| spec.get(1))
        .any(|options| marks.iter().any(|mark| options.get(mark) == Some(&Value::Bool(true))))
}

fn is_known_loader(class_type: &str, input: &str) -> bool {
    class_type.contains("Load")
        && matches!(input, "audio" | "file" | "image" | "mask" | "model_file" | "video")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_input_is_one_with_an_upload() {
        let info = json!({"N": {"input": {
            "required": {
                "image": [["a.png"], {"image_upload": true}],
                "text": ["STRING", {"multiline": true}],
                "bare": ["IMAGE"],
            },
            "optional": {
                "file": ["COMBO", {"options": [], "video_upload": true}],
                "off": ["COMBO", {"options": [], "image_upload": false}],
            },
        }}});
        for (input, expected) in [
            ("image", true),
            ("file", true),
            ("text", false),
            ("bare", false),
            ("off", false),
            ("no", false),
        ] {
            assert_eq!(is_uploaded(&info, "N", input), expected, "{input}");
        }
        assert!(!is_uploaded(&info, "M", "image"));
        assert!(!is_uploaded(&json!({}), "N", "image"));
    }
}
