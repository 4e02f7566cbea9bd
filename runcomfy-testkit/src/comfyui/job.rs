//! `Job`, its progress, its outcome and its files.

use std::{path::PathBuf, time::Duration};

use runcomfy_core::{RequestId, Workflow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request to run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) request_id: RequestId,
    /// The id under which it runs: a lower-case UUID that no job had before.
    pub(crate) prompt_id: String,
    /// The graph with the overrides applied.
    pub(crate) graph: Workflow,
    pub(crate) extra_data: Option<Map<String, Value>>,
}

/// The server's response when it accepted a job. `Server::resume` needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AcceptedJob {
    /// The id under which it runs. It differs from the job's id on servers that choose their own.
    pub(crate) prompt_id: String,
    /// The server's job counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<f64>,
    /// Validation errors by node. Outputs that depend on these nodes do not run.
    #[serde(default)]
    pub(crate) node_errors: Map<String, Value>,
}

/// The progress of a job. Any of these may be missing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Progress {
    Accepted(AcceptedJob),
    /// It left the server's queue, `ago` as far as is known.
    Started {
        ago: Duration,
    },
    /// This node runs.
    Node(String),
    /// The progress of a node.
    Step {
        node: String,
        value: f64,
        max: f64,
    },
}

/// The outcome of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Succeeded {
        /// Node id → channel → items, as in ComfyUI's history.
        outputs: Map<String, Value>,
        files: Vec<StoredFile>,
    },
    Failed {
        /// `type` and `message`, and if one node failed, `node_id` and `node_type`.
        error: Value,
        /// The outputs of nodes that succeeded.
        outputs: Map<String, Value>,
        files: Vec<StoredFile>,
    },
    Cancelled,
}

impl Outcome {
    /// A failure without outputs.
    pub(super) fn failed(error: Value) -> Self {
        Self::Failed { error, outputs: Map::new(), files: Vec::new() }
    }
}

/// A copied output file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredFile {
    pub(crate) kind: FileKind,
    /// As in the outputs.
    pub(crate) subfolder: String,
    /// As in the outputs.
    pub(crate) filename: String,
    /// The copy: `<folder>/<kind>/<subfolder>/<filename>`, or below `<folder>/renamed`.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// Which of ComfyUI's folders a file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    Input,
    Output,
    Temp,
}

impl FileKind {
    /// ComfyUI's name for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Temp => "temp",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Input, Self::Output, Self::Temp].into_iter().find(|kind| kind.as_str() == word)
    }
}
