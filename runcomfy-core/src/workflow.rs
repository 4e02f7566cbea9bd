//! ComfyUI workflows in API format.

mod error;
mod overrides;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use self::error::clip;
pub use self::{error::WorkflowError, overrides::Overrides};

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
    pub fn input(&self, name: &str) -> Option<NodeInput<'a>> {
        self.inputs.get(name).map(NodeInput::of)
    }

    /// The inputs that hold values: those that overrides may set without breaking the wiring.
    pub fn settable_inputs(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.inputs.iter().filter_map(|(name, value)| match NodeInput::of(value) {
            NodeInput::Value(value) => Some((name.as_str(), value)),
            NodeInput::Link { .. } => None,
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
pub enum NodeInput<'a> {
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

impl<'a> NodeInput<'a> {
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

#[cfg(test)]
mod tests;
