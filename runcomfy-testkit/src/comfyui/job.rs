//! A job for a ComfyUI server, its progress, and what it left.

use std::{path::PathBuf, time::Duration};

use runcomfy_core::{RequestId, Workflow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A request to be run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) request_id: RequestId,
    /// The id to run it under: a UUID in lower case that no job had before.
    pub(crate) prompt_id: String,
    /// The graph, with the overrides laid over it.
    pub(crate) graph: Workflow,
    pub(crate) extra_data: Option<Map<String, Value>>,
}

/// What a server said when it took a job. To be kept for [`Server::resume`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AcceptedJob {
    /// The id that it runs under: the one that was asked for, but for servers that choose their own.
    pub(crate) prompt_id: String,
    /// How many jobs the server had taken before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<f64>,
    /// What does not validate, by node. The outputs that hang on it will not run.
    #[serde(default)]
    pub(crate) node_errors: Map<String, Value>,
}

/// How far a job is. Told as it happens; no step is promised.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Progress {
    Accepted(AcceptedJob),
    /// It left the server's queue, so long ago as far as is known.
    Started {
        ago: Duration,
    },
    /// This node runs.
    Node(String),
    /// A node is this far.
    Step {
        node: String,
        value: f64,
        max: f64,
    },
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Succeeded {
        /// Node id → channel → items, as ComfyUI's history has it.
        outputs: Map<String, Value>,
        files: Vec<StoredFile>,
    },
    Failed {
        /// `type`, `message`, and where it is one node's fault `node_id` and `node_type`.
        error: Value,
        /// What was made before the failure, or beside it.
        outputs: Map<String, Value>,
        files: Vec<StoredFile>,
    },
    Cancelled,
}

impl Outcome {
    /// A failure that made nothing.
    pub(super) fn failed(error: Value) -> Self {
        Self::Failed { error, outputs: Map::new(), files: Vec::new() }
    }
}

/// A file that a job made, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredFile {
    pub(crate) kind: FileKind,
    /// As the item in the outputs has it.
    pub(crate) subfolder: String,
    /// As the item in the outputs has it.
    pub(crate) filename: String,
    /// Where the copy is: `<folder>/<kind>/<subfolder>/<filename>`, or below `<folder>/renamed`.
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
    /// The word that ComfyUI has for it.
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
