//! The values that describe a run: as accepted, as handed over to a driver, and as returned.

use std::{path::PathBuf, sync::Arc, time::Duration};

use runcomfy_core::{DeploymentId, Overrides, RequestId, Workflow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::outputs::{self, File, Made};

/// A run that was accepted, whether or not the caller received the response.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StartedRun {
    /// The request's id.
    pub request_id: RequestId,
    /// The deployment that runs it.
    pub deployment_id: DeploymentId,
    /// The overrides as they were sent.
    pub overrides: Option<Overrides>,
}

/// How long output files are kept after a run ends: seven days.
pub(super) const FILES_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A run to execute.
#[derive(Clone, Debug)]
pub(crate) struct DrivenJob {
    /// With the overrides applied.
    pub(crate) graph: Arc<Workflow>,
    pub(crate) extra_data: Option<Map<String, Value>>,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DrivenResult {
    pub(crate) end: DrivenEnd,
    /// `{node id: {channel: [item]}}` as ComfyUI returns it, without URLs.
    pub(crate) outputs: Map<String, Value>,
    pub(crate) files: Vec<DrivenFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum DrivenEnd {
    Succeeded,
    Failed(Value),
    Cancelled,
}

/// A file that a run produced, and its path on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DrivenFile {
    pub(crate) kind: String,
    pub(crate) subfolder: String,
    pub(crate) filename: String,
    pub(crate) path: PathBuf,
}

/// An unfinished run.
#[derive(Clone, Debug)]
pub(crate) struct OpenRun {
    pub(crate) request_id: RequestId,
    pub(crate) created_at: Duration,
    /// The machine to which it was handed over.
    pub(crate) machine: Option<u64>,
    /// The id under which that machine was asked to run it.
    pub(crate) prompt_id: Option<String>,
    /// The machine's response when it accepted the run.
    pub(crate) accepted: Option<Value>,
    /// Whether its cancellation was requested.
    pub(crate) cancelled: bool,
}

/// Whether a submitted run can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The deployment already runs `max_instances` runs.
    Full,
    /// It is no longer queued.
    Over,
    Ready,
}

impl DrivenResult {
    /// The result with URLs below `base`.
    pub(super) fn made(&self, id: &RequestId, base: &Url) -> Made {
        let mut outputs = self.outputs.clone();
        let items = outputs
            .values_mut()
            .filter_map(Value::as_object_mut)
            .flat_map(Map::values_mut)
            .filter_map(Value::as_array_mut)
            .flatten()
            .filter_map(Value::as_object_mut);
        for item in items {
            let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
            let named = |file: &&DrivenFile| {
                file.filename == text("filename")
                    && file.subfolder == text("subfolder")
                    && file.kind == text("type")
            };
            // Some items of a channel are not files.
            let Some(file) = self.files.iter().find(named) else { continue };
            let url = outputs::address(base, id, &file.kind, &file.subfolder, &file.filename);
            item.shift_insert(0, "url".to_owned(), Value::String(url.into()));
        }
        let stored = |file: &DrivenFile| {
            let (subfolder, filename) = (file.subfolder.clone(), file.filename.clone());
            File::stored(&file.kind, subfolder, filename, file.path.clone())
        };
        let files = self.files.iter().map(stored).collect();
        let failure = match &self.end {
            DrivenEnd::Failed(error) => Some(error.clone()),
            DrivenEnd::Succeeded | DrivenEnd::Cancelled => None,
        };
        Made { outputs, files, failure }
    }
}
