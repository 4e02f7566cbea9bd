//! `Recording`: a recorded run of a real ComfyUI.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::comfyui::json;

pub(crate) struct Recording {
    pub(crate) graph: Value,
    pub(crate) extra_data: Option<Map<String, Value>>,
    /// The response to the submission.
    pub(crate) status: u16,
    pub(crate) answer: Value,
    /// The messages to a new WebSocket.
    pub(crate) greetings: Vec<Told>,
    /// The messages about the run.
    pub(crate) messages: Vec<Told>,
    /// The history entry.
    pub(crate) entry: Option<Value>,
    pub(crate) views: Vec<View>,
}

#[derive(Clone)]
pub(crate) enum Told {
    Binary(Vec<u8>),
    Text(String),
}

/// An output file as the server returned it.
pub(crate) struct View {
    pub(crate) item: Value,
    pub(crate) content_type: String,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/comfyui/samples")
}

pub(crate) fn sample(path: &str) -> Value {
    read(&samples().join(path)).unwrap()
}

fn read(path: &Path) -> Option<Value> {
    Some(json::read(&fs::read(path).ok()?).unwrap())
}

/// The names in a folder of samples, sorted.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(samples().join(folder)).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl Recording {
    pub(crate) fn load(name: &str) -> Self {
        let folder = samples().join("runs").join(name);
        let request = read(&folder.join("prompt_request.json")).unwrap();
        let response = read(&folder.join("prompt_response.json")).unwrap();
        let lines = fs::read_to_string(folder.join("ws.jsonl")).unwrap();
        let lines: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let posted = lines.iter().position(|line| {
            line["http"].as_str().is_some_and(|call| call.starts_with("POST /prompt"))
        });
        let (before, after) = lines.split_at(posted.unwrap());
        let entry = read(&folder.join("history.json"))
            .and_then(|mut history| Some(history.as_object_mut()?.values_mut().next()?.take()));
        let views = read(&folder.join("views.json")).unwrap_or_default();
        Self {
            graph: request["prompt"].clone(),
            extra_data: request["extra_data"].as_object().cloned(),
            status: response["status"].as_u64().unwrap() as u16,
            answer: response["body"].clone(),
            greetings: before.iter().filter_map(told).collect(),
            messages: after.iter().filter_map(told).collect(),
            entry,
            views: views
                .as_array()
                .into_iter()
                .flatten()
                .map(|view| View::load(&folder, view))
                .collect(),
        }
    }

    /// The recorded prompt id.
    pub(crate) fn prompt_id(&self) -> &str {
        self.answer["prompt_id"].as_str().unwrap_or_default()
    }

    /// The index of the first message of this type.
    pub(crate) fn index(&self, kind: &str) -> usize {
        let mark = format!("{{\"type\":\"{kind}\"");
        let is_it = |told: &Told| matches!(told, Told::Text(text) if text.starts_with(&mark));
        self.messages.iter().position(is_it).unwrap()
    }
}

impl View {
    fn load(folder: &Path, view: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let name = format!(
            "{}_{}_{}",
            text(&view["node"]),
            text(&view["channel"]),
            text(&view["item"]["filename"])
        );
        let length = view["bytes"].as_u64().unwrap() as usize;
        // Only the length of the largest files was recorded.
        let bytes = fs::read(folder.join("view").join(name))
            .unwrap_or_else(|_| (0..length).map(|at| (at % 251) as u8).collect());
        assert_eq!(bytes.len(), length);
        let content_type = text(&view["headers"]["Content-Type"]);
        Self { item: view["item"].clone(), content_type, bytes }
    }
}

fn told(line: &Value) -> Option<Told> {
    if let Some(text) = line.get("text") {
        return Some(Told::Text(text.to_string()));
    }
    let binary = line.get("binary")?;
    let head = binary["head_hex"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&head[at..at + 2], 16).unwrap();
    let mut bytes: Vec<u8> = (0..head.len()).step_by(2).map(byte).collect();
    bytes.resize(binary["len"].as_u64().unwrap() as usize, 0);
    Some(Told::Binary(bytes))
}
