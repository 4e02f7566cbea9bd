//! Overrides of a workflow's inputs for one request.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{
    Workflow,
    error::{WorkflowError, clip},
    is_node,
};

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

impl Workflow {
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

#[cfg(test)]
mod tests;
