//! ComfyUI workflows in API format, and the overrides that a request lays over one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error::is_invisible;

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
    /// [`WorkflowError::UiFormat`] for the editor's format, [`WorkflowError::NotAGraph`] for anything but
    /// an object with nodes, [`WorkflowError::BadNode`] for a node without class or inputs.
    pub fn from_value(value: Value) -> Result<Self, WorkflowError> {
        let Value::Object(nodes) = value else { return Err(WorkflowError::NotAGraph) };
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
                return Err(WorkflowError::BadNode { node_id: clip(node_id) });
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

/// Changes laid over a workflow for one request: `{"6": {"inputs": {"text": "a cat"}}}`.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Overrides(Map<String, Value>);

impl Overrides {
    /// No changes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a JSON value as overrides.
    ///
    /// # Errors
    /// [`WorkflowError::BadOverrides`] for anything but an object of objects, [`WorkflowError::StrayKey`]
    /// where a node has another key than `inputs`, `class_type` and `_meta`.
    pub fn from_value(value: Value) -> Result<Self, WorkflowError> {
        let Value::Object(nodes) = value else {
            return Err(WorkflowError::BadOverrides { node_id: None });
        };
        let unfit = |node: &Value| {
            !node.is_object() || node.get("inputs").is_some_and(|inputs| !inputs.is_object())
        };
        if let Some((node_id, _)) = nodes.iter().find(|(_, node)| unfit(node)) {
            return Err(WorkflowError::BadOverrides { node_id: Some(clip(node_id)) });
        }
        for (node_id, node) in &nodes {
            let stray = |key: &&String| !matches!(key.as_str(), "inputs" | "class_type" | "_meta");
            if let Some(key) = node.as_object().and_then(|node| node.keys().find(stray)) {
                return Err(WorkflowError::StrayKey { node_id: clip(node_id), key: clip(key) });
            }
        }
        Ok(Self(nodes))
    }

    /// Sets an input of a node. Files go in as a public https address or a `data:` URI.
    #[must_use]
    pub fn set(
        mut self,
        node_id: impl Into<String>,
        input: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        let node = self.0.entry(node_id).or_insert_with(|| Value::Object(Map::new()));
        if let Some(node) = node.as_object_mut() {
            let inputs = node.entry("inputs").or_insert_with(|| Value::Object(Map::new()));
            if let Some(inputs) = inputs.as_object_mut() {
                inputs.insert(input.into(), value.into());
            }
        }
        self
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes that it changes.
    pub fn node_ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The inputs that it sets on a node.
    pub fn inputs(&self, node_id: &str) -> impl Iterator<Item = (&str, &Value)> {
        let inputs =
            self.0.get(node_id).and_then(|node| node.get("inputs")).and_then(Value::as_object);
        inputs.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }

    /// The overrides as JSON.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may hold whole pictures and people's prompts.
        f.debug_tuple("Overrides").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn is_node(node: &Map<String, Value>) -> bool {
    node.get("class_type").is_some_and(Value::is_string)
        && node.get("inputs").is_some_and(Value::is_object)
}

/// A node id short enough to repeat in a message.
fn clip(node_id: &str) -> String {
    node_id.chars().filter(|c| !c.is_control() && !is_invisible(*c)).take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn graph() -> Workflow {
        Workflow::from_value(json!({
            "3": {"class_type": "KSampler", "inputs": {"seed": 18_446_744_073_709_551_615_u64, "model": ["4", 0]}},
            "38:42": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}, "_meta": {"title": "Prompt"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_graph_shows_its_nodes_links_and_values() {
        let graph = graph();
        let ids: Vec<_> = graph.nodes().map(|node| node.id()).collect();
        assert_eq!(ids, ["3", "38:42"]);
        let sampler = graph.node("3").unwrap();
        assert_eq!(sampler.input("model"), Some(Input::Link { node_id: "4", slot: 0 }));
        assert_eq!(sampler.settable_inputs().collect::<Vec<_>>(), [("seed", &json!(u64::MAX))]);
        assert_eq!(graph.node("38:42").unwrap().title(), Some("Prompt"));
    }

    #[test]
    fn the_largest_seed_keeps_every_digit() {
        let text = serde_json::to_string(&graph()).unwrap();
        assert!(text.contains("18446744073709551615"), "{text}");
        assert_eq!(serde_json::from_str::<Workflow>(&text).unwrap(), graph());
    }

    #[test]
    fn what_is_no_graph_in_api_format_is_refused_by_name() {
        let check =
            |value, expected| assert_eq!(Workflow::from_value(value).unwrap_err(), expected);
        check(json!({"nodes": [], "links": [], "version": 0.4}), WorkflowError::UiFormat);
        check(json!([]), WorkflowError::NotAGraph);
        check(json!({}), WorkflowError::NotAGraph);
        check(json!({"1": {"inputs": {}}}), WorkflowError::BadNode { node_id: "1".into() });
        check(json!({"1": {"class_type": "A"}}), WorkflowError::BadNode { node_id: "1".into() });
        check(json!({"1": 5}), WorkflowError::BadNode { node_id: "1".into() });
    }

    #[test]
    fn an_override_replaces_one_input_and_leaves_the_rest() {
        let merged = graph()
            .with_overrides(&Overrides::new().set("38:42", "text", "a dog").set("3", "cfg", 4.5))
            .unwrap();
        assert_eq!(merged.node("38:42").unwrap().inputs()["text"], "a dog");
        assert_eq!(merged.node("38:42").unwrap().title(), Some("Prompt"));
        assert_eq!(merged.node("3").unwrap().inputs()["seed"], u64::MAX);
        assert_eq!(merged.node("3").unwrap().inputs()["cfg"], 4.5);
    }

    #[test]
    fn an_override_of_a_node_that_is_not_there_is_refused() {
        let error = graph().with_overrides(&Overrides::new().set("99", "text", "x")).unwrap_err();
        assert_eq!(error, WorkflowError::UnknownNode { node_id: "99".into() });
    }

    #[test]
    fn an_override_that_would_break_a_node_is_refused() {
        let overrides = Overrides::from_value(json!({"3": {"class_type": 5}})).unwrap();
        let error = graph().with_overrides(&overrides).unwrap_err();
        assert_eq!(error, WorkflowError::BadNode { node_id: "3".into() });
    }

    #[test]
    fn overrides_are_objects_of_objects() {
        let check = |value, node_id: Option<&str>| {
            let expected = WorkflowError::BadOverrides { node_id: node_id.map(str::to_owned) };
            assert_eq!(Overrides::from_value(value).unwrap_err(), expected);
        };
        check(json!("text"), None);
        check(json!({"6": "a cat"}), Some("6"));
        check(json!({"6": {"inputs": "a cat"}}), Some("6"));
        let stray = Overrides::from_value(json!({"6": {"text": "a cat"}})).unwrap_err();
        assert_eq!(stray, WorkflowError::StrayKey { node_id: "6".into(), key: "text".into() });
    }

    #[test]
    fn debug_shows_no_values() {
        let secret = Overrides::new().set("6", "image", "data:image/png;base64,SECRET");
        assert_eq!(format!("{secret:?}"), r#"Overrides(["6"])"#);
        let graph = graph().with_overrides(&secret.clone()).unwrap_err();
        assert_eq!(graph, WorkflowError::UnknownNode { node_id: "6".into() });
    }

    proptest! {
        #[test]
        fn an_override_sets_what_it_names_and_nothing_else(name in "[a-z]{1,8}", value in any::<i64>()) {
            let overrides = Overrides::new().set("3", name.clone(), value);
            let merged = graph().with_overrides(&overrides).unwrap();
            let before = graph();
            for (input, old) in before.node("3").unwrap().inputs() {
                if *input != name {
                    prop_assert_eq!(&merged.node("3").unwrap().inputs()[input], old);
                }
            }
            prop_assert_eq!(&merged.node("3").unwrap().inputs()[&name], &Value::from(value));
            prop_assert_eq!(merged.node("38:42").unwrap().inputs(), before.node("38:42").unwrap().inputs());
        }
    }
}
