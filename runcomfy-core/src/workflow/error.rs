//! What can be wrong with workflows and overrides.

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

/// A node id short enough to repeat in a message.
pub(super) fn clip(node_id: &str) -> String {
    node_id.chars().filter(|c| !c.is_control() && !is_invisible(*c)).take(40).collect()
}
