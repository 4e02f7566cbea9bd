//! Reads a workflow through its links: the text, image and size that reach a node.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{HashMap, HashSet},
    sync::Arc,
};

use runcomfy_core::{
    Workflow,
    workflow::{Node, NodeInput},
};
use serde_json::Value;

#[cfg(test)]
mod tests;
mod upstream;

use upstream::Links;
pub(crate) use upstream::Nearest;

/// A workflow with its links. The number of links that one read follows is bounded, because a graph in which
/// every node concatenates its input with itself would double the text at each node.
pub(crate) struct Graph<'a> {
    workflow: &'a Workflow,
    /// Nodes whose outputs are used.
    used: HashSet<&'a str>,
    links_left: Cell<u32>,
    links: Links<'a>,
    samplers: OnceCell<Nearest<'a, Node<'a>>>,
    sizes: OnceCell<Nearest<'a, (u32, u32)>>,
    batch_sizes: OnceCell<Nearest<'a, u64>>,
    image_texts: OnceCell<Nearest<'a, Arc<str>>>,
    /// By sampler.
    prompts: RefCell<HashMap<&'a str, Option<Arc<str>>>>,
}

const MOST_LINKS: u32 = 10_000;
const DEEPEST: u32 = 200;
const MOST_TEXT: usize = 64 * 1024;
const MOST_PICTURES: u64 = 64;

/// The parameters of an image that the graph determines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scene {
    pub(crate) prompt: Arc<str>,
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
            NodeInput::Link { node_id, .. } => Some(node_id),
            NodeInput::Value(_) => None,
        });
        Self {
            workflow,
            used: used.collect(),
            links_left: Cell::new(MOST_LINKS),
            links: Links::new(workflow),
            samplers: OnceCell::new(),
            sizes: OnceCell::new(),
            batch_sizes: OnceCell::new(),
            image_texts: OnceCell::new(),
            prompts: RefCell::default(),
        }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.workflow.nodes()
    }

    /// For each node, the nearest upstream node, itself included, for which `has` returns a value.
    pub(crate) fn nearest<T>(&self, has: impl Fn(Node<'a>) -> Option<T>) -> Nearest<'a, T> {
        self.links.nearest(has)
    }

    /// The node and all nodes upstream, nearest first. Walks the graph at each call.
    fn upstream(&self, node: Node<'a>) -> Vec<Node<'a>> {
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

    /// Whether another node uses an output of this node.
    pub(crate) fn is_used(&self, node: Node<'a>) -> bool {
        self.used.contains(node.id())
    }

    /// The text at an input: a literal, or the text that the linked node produces.
    pub(crate) fn text(&self, node: Node<'a>, input: &str) -> Option<String> {
        self.text_within(node, input, DEEPEST)
    }

    fn text_within(&self, node: Node<'a>, input: &str, depth: u32) -> Option<String> {
        match node.input(input)? {
            NodeInput::Value(value) => plain(value),
            NodeInput::Link { .. } => {
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

    /// The parameters of the image at this node.
    pub(crate) fn scene(&self, node: Node<'a>) -> Scene {
        let is_sampler = |node: Node<'a>| {
            ["positive", "guider"].iter().any(|input| self.linked(node, input).is_some())
        };
        let samplers =
            self.samplers.get_or_init(|| self.nearest(|node| is_sampler(node).then_some(node)));
        let sampler = samplers.to(node).copied();
        let sizes = self.sizes.get_or_init(|| self.nearest(size));
        let (width, height) = sampler
            .and_then(|sampler| sizes.to(self.linked(sampler, "latent_image")?))
            .or_else(|| sizes.to(node))
            .copied()
            .unwrap_or((512, 512));
        Scene {
            prompt: sampler
                .and_then(|sampler| self.prompt_once(sampler))
                .or_else(|| self.image_texts().to(node).cloned())
                .unwrap_or_default(),
            seed: sampler
                .and_then(|sampler| self.seed(sampler))
                .unwrap_or_else(|| self.links.fingerprint(node)),
            width,
            height,
        }
    }

    /// The number of images in a batch.
    pub(crate) fn batch_size(&self, node: Node<'a>) -> u64 {
        let size = |node: Node<'a>| node.inputs().get("batch_size").and_then(Value::as_u64);
        let sizes = self.batch_sizes.get_or_init(|| self.nearest(size));
        sizes.to(node).copied().unwrap_or(1).clamp(1, MOST_PICTURES)
    }

    fn image_texts(&self) -> &Nearest<'a, Arc<str>> {
        let text = |node| self.text(node, "image").map(Arc::from);
        self.image_texts.get_or_init(|| self.nearest(text))
    }

    fn prompt_once(&self, sampler: Node<'a>) -> Option<Arc<str>> {
        let mut prompts = self.prompts.borrow_mut();
        let prompt = prompts.entry(sampler.id());
        prompt.or_insert_with(|| self.prompt(sampler).map(Arc::from)).clone()
    }

    fn prompt(&self, sampler: Node<'a>) -> Option<String> {
        let conditioning = ["positive", "guider"].iter().find_map(|i| self.linked(sampler, i))?;
        // A guider has a positive and a negative side; the positive one describes the image.
        let conditioning = self.linked(conditioning, "positive").unwrap_or(conditioning);
        self.upstream(conditioning).into_iter().find_map(|node| {
            ["text", "text_g", "t5xxl", "clip_l", "prompt"].iter().find_map(|i| self.text(node, i))
        })
    }

    fn seed(&self, sampler: Node<'a>) -> Option<u64> {
        let seed_of = |node: Node<'a>| {
            ["seed", "noise_seed"].iter().find_map(|input| match node.input(input)? {
                NodeInput::Value(value) => value.as_u64(),
                NodeInput::Link { .. } => self.text(node, input)?.parse().ok(),
            })
        };
        seed_of(sampler).or_else(|| self.linked(sampler, "noise").and_then(seed_of))
    }

    fn linked(&self, node: Node<'a>, input: &str) -> Option<Node<'a>> {
        match node.input(input)? {
            NodeInput::Link { node_id, .. } => self.workflow.node(node_id),
            NodeInput::Value(_) => None,
        }
    }
}

/// A value as ComfyUI prints it.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// The size that a node sets, up to ComfyUI's maximum. A side of 0 is derived from the other.
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
