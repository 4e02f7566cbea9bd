//! Tests of the ComfyUI client with recorded and with real servers.

use std::{path::Path, time::Duration};

use runcomfy_core::{RequestId, Workflow};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{ComfyOptions, Job, Outcome, Progress, Server, StoredFile, Times};

mod cancel;
mod emulated;
mod files;
mod inputs;
mod live;
mod lost;
mod proxied;
pub(crate) mod recorded;
pub(crate) mod recording;
mod refused;
pub(crate) mod replay;
mod resumed;
mod served;

use recording::Recording;
use replay::Replay;

/// A prompt id that no recording has.
const ID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

/// Short timeouts, because local servers answer at once.
fn impatient() -> ComfyOptions {
    let times = Times {
        poll: Duration::from_millis(20),
        interrupt: Duration::from_millis(50),
        gone: Duration::from_millis(300),
        ..Times::default()
    };
    ComfyOptions { times, ..ComfyOptions::default() }
}

fn job(graph: Value) -> Job {
    job_with_id(ID, graph)
}

fn job_with_id(id: &str, graph: Value) -> Job {
    let graph = Workflow::from_value(graph).unwrap();
    let (request_id, prompt_id) = (RequestId::new("req_1").unwrap(), id.to_owned());
    Job { request_id, prompt_id, graph, extra_data: None }
}

/// The node classes, by which a graph is recognized.
fn classes(graph: &Value) -> Vec<(&String, &Value)> {
    graph.as_object().unwrap().iter().map(|(id, node)| (id, &node["class_type"])).collect()
}

/// A run in progress and its future outcome.
struct Running {
    task: tokio::task::JoinHandle<(Outcome, Vec<Progress>)>,
    cancel: CancellationToken,
    folder: tempfile::TempDir,
}

/// Longer than any test needs.
const PATIENCE: Duration = Duration::from_secs(30);

impl Running {
    fn start(replay: &Replay, options: ComfyOptions, job: Job) -> Self {
        let server = Server::new(replay.url(), options).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (cancel, path) = (CancellationToken::new(), folder.path().to_owned());
        let cancelled = cancel.clone();
        let task = tokio::spawn(async move {
            let mut told = Vec::new();
            let outcome = server.run(&job, &path, cancelled, |progress| told.push(progress)).await;
            (outcome, told)
        });
        Self { task, cancel, folder }
    }

    /// The outcome with the folder, which is deleted when it is dropped.
    async fn end(self) -> (Outcome, Vec<Progress>, tempfile::TempDir) {
        let (outcome, told) = tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        (outcome, told, self.folder)
    }
}

/// Runs the job of the server's next recording.
async fn run(replay: &Replay) -> (Outcome, Vec<Progress>, tempfile::TempDir) {
    Running::start(replay, impatient(), replay.job()).end().await
}

fn failure(outcome: &Outcome) -> &Value {
    match outcome {
        Outcome::Failed { error, .. } => error,
        other => panic!("no failure: {other:?}"),
    }
}

/// The name and the content of each copied file.
fn contents(files: &[StoredFile], folder: &Path) -> Vec<(String, Vec<u8>)> {
    let content = |file: &StoredFile| {
        assert!(file.path.starts_with(folder), "{file:?}");
        let bytes = std::fs::read(&file.path).unwrap();
        assert_eq!(bytes.len() as u64, file.bytes, "{file:?}");
        (format!("{}:{}:{}", file.kind.as_str(), file.subfolder, file.filename), bytes)
    };
    files.iter().map(content).collect()
}
