//! Reading a workflow against its links: the text, picture and size that reach a node.

use std::{cell::Cell, collections::HashSet};

use runcomfy_core::{Input, Node, Workflow};
use serde_json::Value;

/// A workflow being read. One reading follows a bounded number of links: a graph in which every node
/// joins the one before it with itself would otherwise double its text at each.
pub(crate) struct Graph<'a> {
    workflow: &'a Workflow,
    /// The nodes that others take something from.
    used: HashSet<&'a str>,
    links_left: Cell<u32>,
}

const MOST_LINKS: u32 = 10_000;
const DEEPEST: u32 = 200;
const MOST_TEXT: usize = 64 * 1024;
const MOST_PICTURES: u64 = 64;

/// What a picture shows, as far as the fake can tell from the nodes that lead to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scene {
    pub(crate) prompt: String,
    pub(crate) seed: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(workflow: &'a Workflow) -> Self {
        let inputs = workflow
            .nodes()
            .flat_map(|node| node.inputs().keys().filter_map(move |name| node.input(name)));
        let used = inputs.filter_map(|input| match input {
            Input::Link { node_id, .. } => Some(node_id),
            Input::Value(_) => None,
        });
        Self { workflow, used: used.collect(), links_left: Cell::new(MOST_LINKS) }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.workflow.nodes()
    }

    /// The node and all that lead to it, nearest first.
    pub(crate) fn upstream(&self, node: Node<'a>) -> Vec<Node<'a>> {
        let mut found = vec![node];
        let mut seen = HashSet::from([node.id()]);
        let mut next = 0;
        while let Some(node) = found.get(next).copied() {
            next += 1;
            let sources = node.inputs().keys().filter_map(|name| self.linked(node, name));
            found.extend(sources.filter(|source| seen.insert(source.id())));
        }
        found
    }

    /// Whether any node takes something from this one.
    pub(crate) fn is_used(&self, node: Node<'a>) -> bool {
        self.used.contains(node.id())
    }

    /// The text at an input: a value written out, or what the node at its link makes.
    pub(crate) fn text(&self, node: Node<'a>, input: &str) -> Option<String> {
        self.text_within(node, input, DEEPEST)
    }

    fn text_within(&self, node: Node<'a>, input: &str, depth: u32) -> Option<String> {
        match node.input(input)? {
            Input::Value(value) => plain(value),
            Input::Link { .. } => {
                self.text_made_by(self.linked(node, input)?, depth.checked_sub(1)?)
            }
        }
    }

    fn text_made_by(&self, node: Node<'a>, depth: u32) -> Option<String> {
        self.links_left.set(self.links_left.get().checked_sub(1)?);
        if node.class_type() == "StringConcatenate" {
            let part = |input| self.text_within(node, input, depth).unwrap_or_default();
            let joined = [part("string_a"), part("delimiter"), part("string_b")].concat();
            return (joined.len() <= MOST_TEXT).then_some(joined);
        }
        ["value", "text", "string", "prompt", "source"]
            .iter()
            .find_map(|input| self.text_within(node, input, depth))
    }

    /// What the picture at this node shows.
    pub(crate) fn scene(&self, node: Node<'a>) -> Scene {
        let upstream = self.upstream(node);
        let sampler = upstream.iter().copied().find(|node| {
            ["positive", "guider"].iter().any(|input| self.linked(*node, input).is_some())
        });
        let (width, height) = sampler
            .and_then(|sampler| {
                let latent = self.linked(sampler, "latent_image")?;
                self.upstream(latent).into_iter().find_map(size)
            })
            .or_else(|| upstream.iter().copied().find_map(size))
            .unwrap_or((512, 512));
        Scene {
            prompt: sampler
                .and_then(|sampler| self.prompt(sampler))
                .or_else(|| upstream.iter().find_map(|node| self.text(*node, "image")))
                .unwrap_or_default(),
            seed: sampler
                .and_then(|sampler| self.seed(sampler))
                .unwrap_or_else(|| fingerprint(&upstream)),
            width,
            height,
        }
    }

    /// How many pictures come at once.
    pub(crate) fn batch_size(&self, node: Node<'a>) -> u64 {
        let size = |node: &Node<'_>| node.inputs().get("batch_size").and_then(Value::as_u64);
        self.upstream(node).iter().find_map(size).unwrap_or(1).clamp(1, MOST_PICTURES)
    }

    fn prompt(&self, sampler: Node<'a>) -> Option<String> {
        let conditioning = ["positive", "guider"].iter().find_map(|i| self.linked(sampler, i))?;
        // A guider has both sides; only the positive one describes the picture.
        let conditioning = self.linked(conditioning, "positive").unwrap_or(conditioning);
        self.upstream(conditioning).into_iter().find_map(|node| {
            ["text", "text_g", "t5xxl", "clip_l", "prompt"].iter().find_map(|i| self.text(node, i))
        })
    }

    fn seed(&self, sampler: Node<'a>) -> Option<u64> {
        let seed_of = |node: Node<'a>| {
            ["seed", "noise_seed"].iter().find_map(|input| match node.input(input)? {
                Input::Value(value) => value.as_u64(),
                Input::Link { .. } => self.text(node, input)?.parse().ok(),
            })
        };
        seed_of(sampler).or_else(|| self.linked(sampler, "noise").and_then(seed_of))
    }

    fn linked(&self, node: Node<'a>, input: &str) -> Option<Node<'a>> {
        match node.input(input)? {
            Input::Link { node_id, .. } => self.workflow.node(node_id),
            Input::Value(_) => None,
        }
    }
}

/// A value as ComfyUI would print it.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// The size that a node sets, at most that of ComfyUI. A side of 0 is worked out from the other.
fn size(node: Node<'_>) -> Option<(u32, u32)> {
    const LARGEST: u64 = 16_384;
    let side = |name: &str| node.inputs().get(name).and_then(Value::as_u64);
    let (width, height) = (side("width")?, side("height")?);
    let (width, height) = match (width, height) {
        (0, 0) => return None,
        (0, side) | (side, 0) => (side, side),
        both => both,
    };
    let fit = |side: u64| u32::try_from(side.min(LARGEST)).ok();
    Some((fit(width)?, fit(height)?))
}

/// A number that differs with anything that leads to a picture.
fn fingerprint(nodes: &[Node<'_>]) -> u64 {
    let mut hash = crate::ids::hash(&[]);
    for node in nodes {
        for (name, value) in node.inputs() {
            let text = format!("{}\0{name}\0{value}", node.class_type());
            hash = hash.rotate_left(5) ^ crate::ids::hash(text.as_bytes());
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graph(value: Value) -> Workflow {
        Workflow::from_value(value).unwrap()
    }

    fn encoded(text: Value) -> Value {
        json!({"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}})
    }

    #[test]
    fn a_scene_is_read_from_the_samplers_positive_side_seed_and_latent() {
        let workflow = graph(json!({
            "1": {"class_type": "KSampler", "inputs": {
                "seed": u64::MAX, "negative": ["3", 0], "positive": ["2", 0], "latent_image": ["5", 0]}},
            "2": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["6", 0]}},
            "3": encoded(json!("blurry")),
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": 384, "batch_size": 2}},
            "6": encoded(json!(["7", 0])),
            "7": {"class_type": "PrimitiveString", "inputs": {"value": "a cat"}},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
        }));
        let graph = Graph::new(&workflow);
        let save = workflow.node("9").unwrap();
        let expected = Scene { prompt: "a cat".into(), seed: u64::MAX, width: 640, height: 384 };
        assert_eq!(graph.scene(save), expected);
        assert_eq!(graph.batch_size(save), 2);
    }

    #[test]
    fn a_custom_sampler_is_read_through_its_guider_and_noise() {
        let workflow = graph(json!({
            "1": {"class_type": "SamplerCustomAdvanced", "inputs": {
                "noise": ["2", 0], "guider": ["3", 0], "latent_image": ["4", 0]}},
            "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
            "3": {"class_type": "CFGGuider", "inputs": {"negative": ["5", 0], "positive": ["6", 0]}},
            "4": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 64}},
            "5": encoded(json!("no")),
            "6": encoded(json!("yes")),
        }));
        let scene = Graph::new(&workflow).scene(workflow.node("1").unwrap());
        assert_eq!((scene.prompt.as_str(), scene.seed), ("yes", 7));
    }

    #[test]
    fn a_graph_that_doubles_its_text_at_each_node_or_goes_in_circles_comes_to_an_end() {
        let mut nodes = serde_json::Map::new();
        for n in 0..200_u32 {
            let before = n.checked_sub(1).unwrap_or(199).to_string();
            nodes.insert(
                n.to_string(),
                json!({"class_type": "StringConcatenate", "inputs": {
                    "string_a": [before, 0], "string_b": [before, 0], "delimiter": "x"}}),
            );
        }
        let workflow = graph(Value::Object(nodes));
        let graph = Graph::new(&workflow);
        let last = workflow.node("199").unwrap();
        assert!(graph.text(last, "string_a").is_none_or(|text| text.len() <= MOST_TEXT));
        assert_eq!(graph.upstream(last).len(), 200);
    }
}
