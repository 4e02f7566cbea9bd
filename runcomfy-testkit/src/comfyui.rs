//! Runs requests on ComfyUI servers of one's own.
//!
//! A [`Server`] takes one job at a time, to its end: inputs are put where ComfyUI finds them, the
//! graph is submitted under an id of its own, its WebSocket and its history are watched, and
//! what it made is copied into the request's folder. Accounts, queues and money are none of its
//! business.
//!
//! What it relies on was observed on ComfyUI 0.33.0 and 0.3.75:
//!
//! - A run is over at `executing` without a node. Its history may be missing before, and never is then.
//! - A graph of which some outputs do not validate is taken, and the rest runs. That is a failure
//!   here: a run that made everything but the picture that was wanted is no success.
//! - An id may be used again: the history then has the run that ended last. So each job has an id
//!   that none had before, and what is listed under it must have its client and its number, too.
//! - History and queue are in memory. A server that was restarted knows nothing, and its temporary
//!   files are gone.
//! - A graph that was run before makes nothing new and names the files of the first run, hence the
//!   copies.
//! - Messages of `progress_state` grow with the square of the graph. They are dropped unread.
//!
//! Pictures that a graph sends over the WebSocket only (`SaveImageWebsocket`) are in no history, so
//! they are not among the outputs. Inputs that were uploaded stay in ComfyUI's input folder, below
//! `req-<prompt id>`: it has no route to remove them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use runcomfy_core::{RequestId, Workflow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use url::Url;

mod api;
mod collect;
mod event;
mod failure;
mod history;
mod identity;
mod json;
mod names;
mod options;
mod proxy;
mod run;
mod socket;
mod staging;
mod submit;
#[cfg(test)]
pub(crate) mod tests;
mod trouble;
mod watch;

pub(crate) use options::{Limits, Options, Times};
pub(crate) use proxy::{Method, ProxyAnswer, ProxyBody, ProxyTrouble, takes_forms};
pub(crate) use trouble::{Trouble, TroubleKind};

use api::Api;
use staging::Fetcher;

/// A ComfyUI server, and how to deal with it.
#[derive(Debug)]
pub(crate) struct Server {
    api: Api,
    fetcher: Fetcher,
}

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// ComfyUI's version, where it tells.
    pub(crate) version: Option<String>,
    /// Its first device, such as `cuda:0 NVIDIA GeForce RTX 4090`.
    pub(crate) device: Option<String>,
}

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
pub(crate) struct Accepted {
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
    Accepted(Accepted),
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
    fn failed(error: Value) -> Self {
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

    fn from_word(word: &str) -> Option<Self> {
        [Self::Input, Self::Output, Self::Temp].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Server {
    /// A server at `url`: an `http` or `https` origin, perhaps with a path before ComfyUI's own.
    ///
    /// # Errors
    /// For any other URL, and for one of `https` where the platform's certificates can't be read.
    pub(crate) fn new(url: Url, options: Options) -> Result<Self, Trouble> {
        let api = Api::new(url, &options)?;
        let fetcher = Fetcher::new(&options);
        Ok(Self { api, fetcher })
    }

    /// The server's URL without what could be a password in it.
    pub(crate) fn name(&self) -> &str {
        self.api.name()
    }

    /// Asks whether there is a ComfyUI.
    pub(crate) async fn check(&self) -> Result<About, Trouble> {
        let stats = self.api.get(&["system_stats"]).await?;
        let Some(system) = stats.get("system").filter(|system| system.is_object()) else {
            return Err(self
                .api
                .trouble(TroubleKind::Unusable, "its /system_stats are not ComfyUI's"));
        };
        let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        let device = stats.pointer("/devices/0").and_then(|device| text(device, "name"));
        Ok(About { version: text(system, "comfyui_version"), device })
    }

    /// The classes of nodes that it has, as JSON text of a few megabytes.
    pub(crate) async fn object_info(&self) -> Result<Vec<u8>, Trouble> {
        self.api.get_bytes(&["object_info"]).await
    }

    /// Runs a job to its end, and copies what it makes into `folder`.
    ///
    /// Cancelled, it is taken out of the server's queue or interrupted; what ends well before that
    /// has its effect is a success. Dropping this leaves the job to the server.
    pub(crate) async fn run(
        &self,
        job: &Job,
        folder: &Path,
        cancelled: CancellationToken,
        progress: impl FnMut(Progress) + Send,
    ) -> Outcome {
        let (request_id, prompt_id) = (&job.request_id, &job.prompt_id);
        run::Run::new(self, request_id, prompt_id, folder, cancelled, progress).start(job).await
    }

    /// Takes up a job that it was given before, perhaps by a process that is gone.
    ///
    /// `prompt_id` is the id that it was to run under, `accepted` what [`Progress::Accepted`] told, if that
    /// much is known. `None` if the server answers and does not know the job: it never had it, or it was
    /// restarted since.
    pub(crate) async fn resume(
        &self,
        request_id: &RequestId,
        (prompt_id, accepted): (&str, Option<Accepted>),
        folder: &Path,
        cancelled: CancellationToken,
        progress: impl FnMut(Progress) + Send,
    ) -> Option<Outcome> {
        let run = run::Run::new(self, request_id, prompt_id, folder, cancelled, progress);
        run.resume(accepted).await
    }
}
