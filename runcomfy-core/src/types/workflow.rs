//! ComfyUI workflows in API format.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::overrides::Overrides;
use crate::text::is_invisible;

/// Why something is no workflow, or no overrides, or why the two do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// It is the graph that ComfyUI's editor saves (`nodes` and `links`), not its API export.
    #[error("this is a workflow in the editor's format (`nodes` and `links`), not in API format")]
    UiFormat,
    /// It is no object with at least one node.
    #[error("a workflow must be an object that maps node ids to nodes")]
    NotAGraph,
    /// It is something else, a request to another service say, that has a graph within.
    #[error("this is not a workflow but has one under `{at}`: pass that")]
    Wrapped {
        /// Where the graph is, as a path of keys and places in lists.
        at: String,
    },
    /// A node lacks a `class_type` text or an `inputs` object.
    #[error("node {node_id} must be an object with a text `class_type` and an object `inputs`")]
    BadNode {
        /// The node.
        node_id: String,
    },
    /// Overrides that are not an object of objects.
    #[error("overrides must be an object that maps node ids to objects like {{\"inputs\": {{…}}}}")]
    BadOverrides {
        /// The node whose override is no object, if it is one node's fault.
        node_id: Option<String>,
    },
    /// JSON that can't be held: nested too deep, half of a surrogate pair, a number beyond a float.
    #[error("the workflow is JSON that cannot be read")]
    Unreadable,
    /// An override whose value stands beside `inputs` and not under it: it would be ignored, and the run
    /// billed.
    #[error(
        "the override of node {node_id} has `{key}` beside `inputs`: inputs to set go under `inputs`"
    )]
    StrayKey {
        /// The node.
        node_id: String,
        /// The key.
        key: String,
    },
    /// An override for a node that the workflow does not have.
    #[error("the workflow has no node {node_id}")]
    UnknownNode {
        /// The node.
        node_id: String,
    },
}

/// A ComfyUI graph in API format: node ids, each with a class and its inputs.
///
/// Node ids are text: those from subgraphs hold colons (`52:42`). Nodes keep their order, integers up to
/// 2^64-1 their every digit.
#[derive(Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Workflow(Map<String, Value>);

impl Workflow {
    /// Takes a JSON value as a graph in API format.
    ///
    /// # Errors
    /// [`WorkflowError::UiFormat`] for the editor's format, [`WorkflowError::Wrapped`] for something that
    /// has a graph within, [`WorkflowError::NotAGraph`] for anything else but an object with nodes,
    /// [`WorkflowError::BadNode`] for a node without class or inputs.
    pub fn from_value(value: Value) -> Result<Self, WorkflowError> {
        let Value::Object(nodes) = value else {
            return Err(wrapped(&value).unwrap_or(WorkflowError::NotAGraph));
        };
        if nodes.get("nodes").is_some_and(Value::is_array)
            && nodes.get("links").is_some_and(Value::is_array)
        {
            return Err(WorkflowError::UiFormat);
        }
        if nodes.is_empty() {
            return Err(WorkflowError::NotAGraph);
        }
        for (node_id, node) in &nodes {
            if !node.as_object().is_some_and(is_node) {
                let bad_node = WorkflowError::BadNode { node_id: clip(node_id) };
                return Err(wrapped(&Value::Object(nodes)).unwrap_or(bad_node));
            }
        }
        Ok(Self(nodes))
    }

    /// Its nodes, in the order they came.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.0.iter().filter_map(|(id, node)| Node::new(id, node))
    }

    /// One node.
    #[must_use]
    pub fn node(&self, node_id: &str) -> Option<Node<'_>> {
        self.0.get_key_value(node_id).and_then(|(id, node)| Node::new(id, node))
    }

    /// This workflow with `overrides` laid over it: each input named replaces that input, be it a value
    /// or a link, and nothing else changes.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownNode`] for an override of a node that is not there,
    /// [`WorkflowError::BadNode`] for one that leaves the node without class or inputs.
    pub fn with_overrides(mut self, overrides: &Overrides) -> Result<Self, WorkflowError> {
        for (node_id, change) in &overrides.0 {
            let node = self
                .0
                .get_mut(node_id)
                .and_then(Value::as_object_mut)
                .ok_or_else(|| WorkflowError::UnknownNode { node_id: clip(node_id) })?;
            for (key, value) in change.as_object().into_iter().flatten() {
                match (node.get_mut(key), value) {
                    (Some(Value::Object(old)), Value::Object(new)) if key == "inputs" => {
                        old.extend(new.iter().map(|(name, value)| (name.clone(), value.clone())));
                    }
                    _ => {
                        node.insert(key.clone(), value.clone());
                    }
                }
            }
            if !is_node(node) {
                return Err(WorkflowError::BadNode { node_id: clip(node_id) });
            }
        }
        Ok(self)
    }

    /// The graph as JSON.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

impl fmt::Debug for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Inputs may hold whole pictures and people's prompts.
        write!(f, "Workflow({} nodes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Workflow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Names the place of the first graph within, as in a request to ComfyUI or to another service.
fn wrapped(value: &Value) -> Option<WorkflowError> {
    graph_within(value, DEEPEST_GRAPH).map(|at| WorkflowError::Wrapped { at })
}

/// How deep within something a graph is looked for.
const DEEPEST_GRAPH: usize = 5;

fn graph_within(value: &Value, depth: usize) -> Option<String> {
    /// Of a list, the first few say enough.
    const ITEMS: usize = 16;
    let depth = depth.checked_sub(1)?;
    let path = |part: String, value: &Value| {
        if is_graph(value) {
            return Some(part);
        }
        let rest = graph_within(value, depth)?;
        Some(if rest.starts_with('[') { format!("{part}{rest}") } else { format!("{part}.{rest}") })
    };
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| path(clip(key), value)),
        Value::Array(items) => {
            let items = items.iter().take(ITEMS).enumerate();
            items.into_iter().find_map(|(at, value)| path(format!("[{at}]"), value))
        }
        _ => None,
    }
}

fn is_graph(value: &Value) -> bool {
    let nodes = value.as_object();
    nodes.is_some_and(|nodes| {
        !nodes.is_empty() && nodes.values().all(|node| node.as_object().is_some_and(is_node))
    })
}

/// One node of a workflow.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    id: &'a str,
    class_type: &'a str,
    inputs: &'a Map<String, Value>,
    title: Option<&'a str>,
}

impl<'a> Node<'a> {
    fn new(id: &'a str, node: &'a Value) -> Option<Self> {
        Some(Self {
            id,
            class_type: node.get("class_type")?.as_str()?,
            inputs: node.get("inputs")?.as_object()?,
            title: node.get("_meta").and_then(|meta| meta.get("title")).and_then(Value::as_str),
        })
    }

    /// Its id, which overrides and outputs are keyed by.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// Its class, such as `KSampler`.
    #[must_use]
    pub fn class_type(&self) -> &'a str {
        self.class_type
    }

    /// The title that the author gave it.
    #[must_use]
    pub fn title(&self) -> Option<&'a str> {
        self.title
    }

    /// All inputs, links included.
    #[must_use]
    pub fn inputs(&self) -> &'a Map<String, Value> {
        self.inputs
    }

    /// One input.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<Input<'a>> {
        self.inputs.get(name).map(Input::of)
    }

    /// The inputs that hold values: those that overrides may set without breaking the wiring.
    pub fn settable_inputs(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.inputs.iter().filter_map(|(name, value)| match Input::of(value) {
            Input::Value(value) => Some((name.as_str(), value)),
            Input::Link { .. } => None,
        })
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}: {})", self.id, self.class_type)
    }
}

/// What stands at an input of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a> {
    /// The output of another node: `["4", 0]`.
    Link {
        /// The node it comes from.
        node_id: &'a str,
        /// Which of its outputs, from 0.
        slot: u64,
    },
    /// A value set in place.
    Value(&'a Value),
}

impl<'a> Input<'a> {
    fn of(value: &'a Value) -> Self {
        if let Value::Array(items) = value
            && let [Value::String(node_id), slot] = items.as_slice()
            && let Some(slot) = slot.as_u64()
        {
            return Self::Link { node_id, slot };
        }
        Self::Value(value)
    }
}

fn is_node(node: &Map<String, Value>) -> bool {
    node.get("class_type").is_some_and(Value::is_string)
        && node.get("inputs").is_some_and(Value::is_object)
}

/// A node id short enough to repeat in a message.
pub(super) fn clip(node_id: &str) -> String {
    node_id.chars().filter(|c| !c.is_control() && !is_invisible(*c)).take(40).collect()
}

#[cfg(test)]
mod tests;
