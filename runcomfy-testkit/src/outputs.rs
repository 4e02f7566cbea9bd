//! Simulates the outputs of a workflow, by output node and channel as the service returns them.

use std::{collections::HashMap, path::PathBuf};

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use runcomfy_core::{
    RequestId, Workflow,
    workflow::{Node, NodeInput},
};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    graph::{Graph, Nearest, Scene},
    ids, media,
};

mod prefix;
mod table;

use table::{Saver, saver};

/// The result of a simulated run.
#[derive(Debug)]
pub(crate) struct Made {
    /// `{node id: {channel: [item]}}`
    pub(crate) outputs: Map<String, Value>,
    pub(crate) files: Vec<File>,
    /// The error of the first node that failed. The outputs of other branches are kept.
    pub(crate) failure: Option<Value>,
}

/// An output file. Its bytes are generated when they are read.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// `output`, or `temp` for a preview.
    pub(crate) kind: &'static str,
    pub(crate) subfolder: String,
    pub(crate) filename: String,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Fixed(&'static [u8]),
    Picture(Scene),
    Stored(PathBuf),
    Text(String),
}

impl File {
    /// A file on disk.
    pub(crate) fn stored(kind: &str, subfolder: String, filename: String, path: PathBuf) -> Self {
        let kind = if kind == "temp" { "temp" } else { "output" };
        Self { kind, subfolder, filename, content: Content::Stored(path) }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        media::content_type(&self.filename)
    }

    /// The bytes, which are always the same, or the path. Drawing an image takes some milliseconds.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::Here(match &self.content {
            Content::Fixed(bytes) => bytes.to_vec(),
            Content::Picture(scene) => {
                crate::picture::png(&scene.prompt, scene.seed, scene.width, scene.height)
            }
            Content::Stored(path) => return Bytes::At(path.clone()),
            Content::Text(text) => text.clone().into_bytes(),
        })
    }
}

/// The content of a file. A file on disk may be larger than the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    At(PathBuf),
    Here(Vec<u8>),
}

/// The URL of an output file.
pub(crate) fn address(
    base: &Url,
    request_id: &RequestId,
    kind: &str,
    subfolder: &str,
    filename: &str,
) -> Url {
    // Encoded by hand, because the URL parser drops tabs and line breaks, which names may contain.
    let mut path = base.path().trim_end_matches('/').to_owned();
    let folders = subfolder.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
    let parts = ["deployment_requests", request_id.as_str(), kind].into_iter();
    for part in parts.chain(folders).chain([filename]) {
        path.push('/');
        path.extend(utf8_percent_encode(part, SEGMENT));
    }
    let mut url = base.clone();
    url.set_path(&path);
    url
}

/// The characters that are escaped in a path segment.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Simulates a run as far as the graph determines its outputs.
pub(crate) fn make(
    workflow: &Workflow,
    request_id: &RequestId,
    at: DateTime<Utc>,
    base: &Url,
) -> Made {
    let graph = Graph::new(workflow);
    let mut run = WorkflowRun {
        unreadable: graph.nearest(|node| is_unreadable(node).then_some(node)),
        graph,
        request_id,
        at,
        base,
        made: Made { outputs: Map::new(), files: Vec::new(), failure: None },
        counters: HashMap::new(),
    };
    let savers: Vec<_> =
        run.graph.nodes().filter_map(|node| Some((node, saver(&run.graph, node)?))).collect();
    if savers.is_empty() {
        run.made.failure = Some(json!({
            "type": "prompt_no_outputs",
            "message": "Prompt has no outputs",
            "details": "",
            "extra_info": {},
        }));
    }
    for (node, saver) in savers {
        match run.save(node, saver) {
            // Nodes without outputs are not in ComfyUI's history either.
            Ok(channels) if channels.is_empty() => {}
            Ok(channels) => {
                run.made.outputs.insert(node.id().to_owned(), Value::Object(channels));
            }
            Err(error) => {
                run.made.failure.get_or_insert(error);
            }
        }
    }
    run.made
}

struct WorkflowRun<'a> {
    graph: Graph<'a>,
    /// The nodes that fail.
    unreadable: Nearest<'a, Node<'a>>,
    request_id: &'a RequestId,
    /// When it ran, because names may contain the time.
    at: DateTime<Utc>,
    base: &'a Url,
    made: Made,
    counters: HashMap<(&'static str, String, String), u64>,
}

impl<'a> WorkflowRun<'a> {
    fn save(&mut self, node: Node<'a>, saver: Saver) -> Result<Map<String, Value>, Value> {
        if let Some(broken) = self.unreadable.to(node) {
            return Err(node_error(*broken, "OSError", "Truncated File Read\n"));
        }
        let mut channels = Map::new();
        if let Saver::Text { input, .. } = saver {
            channels.insert("text".to_owned(), json!([self.text(node, input)]));
        }
        if saver == Saver::Compare {
            for (input, channel) in [("image_a", "a_images"), ("image_b", "b_images")] {
                let linked = matches!(node.input(input), Some(NodeInput::Link { .. }));
                let items = linked.then(|| self.preview(node)).into_iter();
                channels.insert(channel.to_owned(), items.collect());
            }
        }
        if let Some(channel) = saver.channel() {
            let (folder, name) = self.prefix(node, saver)?;
            let (kind, ending) = (saver.kind(), saver.ending(&self.graph, node));
            let contents = self.contents(node, saver, ending).into_iter();
            let items: Vec<_> =
                contents.map(|content| self.file(kind, &folder, &name, ending, content)).collect();
            channels.insert(channel.to_owned(), Value::Array(items));
        }
        if let Some((channel, flags)) = saver.flags() {
            channels.insert(channel.to_owned(), flags);
        }
        Ok(channels)
    }

    /// The text at this input. Without a name, at any linked input of a node of an unknown class.
    fn text(&self, node: Node<'a>, input: &str) -> String {
        if !input.is_empty() {
            return self.graph.text(node, input).unwrap_or_else(|| "None".to_owned());
        }
        let mut links = node
            .inputs()
            .keys()
            .filter(|name| matches!(node.input(name), Some(NodeInput::Link { .. })));
        let said = links.find_map(|name| self.graph.text(node, name));
        said.unwrap_or_else(|| format!("simulated output of {}", node.class_type()))
    }

    /// A preview image.
    fn preview(&mut self, node: Node<'a>) -> Value {
        let name = self.drawn(node);
        let scene = self.graph.scene(node);
        self.file("temp", "", &name, "_.png", Content::Picture(scene))
    }

    /// The beginning of a preview's name.
    fn drawn(&self, node: Node<'a>) -> String {
        // ComfyUI chooses five random letters; these are derived from the request and the node.
        let drawn = ids::hash(format!("{}{}", self.request_id, node.id()).as_bytes());
        let letters = (0..5).map(|n| char::from(b'a' + ((drawn >> (8 * n)) % 26) as u8));
        format!("ComfyUI_temp_{}", letters.collect::<String>())
    }

    /// The contents of the node's files.
    fn contents(&self, node: Node<'a>, saver: Saver, ending: &str) -> Vec<Content> {
        match saver {
            Saver::Image { .. } => {
                let scene = self.graph.scene(node);
                let one = |index| Scene { seed: scene.seed.wrapping_add(index), ..scene.clone() };
                (0..self.graph.batch_size(node)).map(|index| Content::Picture(one(index))).collect()
            }
            Saver::Media { .. } => vec![Content::Fixed(media::sample(ending))],
            Saver::Text { input, .. } => {
                vec![Content::Text(self.graph.text(node, input).unwrap_or_default())]
            }
            Saver::Compare | Saver::Nothing | Saver::Shown => Vec::new(),
        }
    }

    /// The folder and the beginning of the name, from `filename_prefix`.
    fn prefix(&self, node: Node<'a>, saver: Saver) -> Result<(String, String), Value> {
        if saver.kind() == "temp" {
            return Ok((String::new(), self.drawn(node)));
        }
        let prefix =
            self.graph.text(node, "filename_prefix").unwrap_or_else(|| "ComfyUI".to_owned());
        let Scene { width, height, .. } = self.graph.scene(node);
        let prefix = prefix::expand(&prefix, (width, height), self.at);
        let ending = saver.ending(&self.graph, node);
        prefix::read(&prefix, ending)
            .map_err(|fault| node_error(node, fault.exception(), &fault.to_string()))
    }

    fn file(
        &mut self,
        kind: &'static str,
        folder: &str,
        name: &str,
        ending: &str,
        content: Content,
    ) -> Value {
        // Counted per request by folder and prefix, whatever the extension is.
        let counter = self.counters.entry((kind, folder.to_owned(), name.to_owned())).or_default();
        *counter += 1;
        let filename = format!("{name}_{counter:05}{ending}");
        let url = address(self.base, self.request_id, kind, folder, &filename);
        let item = json!({
            "url": url.as_str(),
            "filename": &filename,
            "subfolder": folder,
            "type": kind,
        });
        let subfolder = folder.to_owned();
        self.made.files.push(File { kind, subfolder, filename, content });
        item
    }
}

/// An image named `corrupt` cannot be read, so that a failed run can be requested.
fn is_unreadable(node: Node<'_>) -> bool {
    let file = node.inputs().get("image").and_then(Value::as_str).unwrap_or_default();
    node.class_type().starts_with("LoadImage")
        && file.rsplit('/').next().and_then(|name| name.split('.').next()) == Some("corrupt")
}

/// ComfyUI's exception as the service's error object.
fn node_error(node: Node<'_>, exception: &str, message: &str) -> Value {
    json!({
        "type": exception,
        "message": message,
        "node_id": node.id(),
        "node_type": node.class_type(),
    })
}

#[cfg(test)]
mod tests;
