//! Runs requests on ComfyUI servers: one job at a time on each, first come, first served.

use std::{
    collections::{HashMap, VecDeque},
    fs::DirBuilder,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use runcomfy_core::{RequestId, Workflow};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    account::{Driven, DrivenEnd, Open, StoredFile},
    comfyui::{self, Accepted, Options, Outcome, Progress, Server},
    fake::FakeRunComfy,
    ids,
};

mod through;

/// Between looks at a server that is not there.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    machines: Vec<Machine>,
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Notify,
    /// By request, what stops it.
    under_way: Mutex<HashMap<RequestId, CancellationToken>>,
    /// Where outputs go, one folder for each request.
    outputs: PathBuf,
    /// Goes with the pool, where outputs are not to outlive it.
    _passing: Option<TempDir>,
}

/// A server, by a number that it keeps across restarts.
struct Machine {
    number: u64,
    server: Server,
    state: Mutex<&'static str>,
}

struct Waiting {
    fake: FakeRunComfy,
    request_id: RequestId,
    /// Begun before, by an emulator that is gone.
    begun: Option<Begun>,
}

struct Begun {
    machine: u64,
    accepted: Option<Accepted>,
}

/// What the worker of a machine does next.
enum Turn {
    Run(Waiting),
    Resume(Waiting, Option<Accepted>),
}

impl Pool {
    /// # Errors
    /// Where an address is none of a ComfyUI's, or there is no place for outputs.
    pub(super) fn new(
        urls: Vec<Url>,
        allow: Vec<String>,
        outputs: Option<PathBuf>,
    ) -> io::Result<Self> {
        let machine = |url: Url| {
            let number = ids::hash(url.as_str().as_bytes());
            let options = Options { allow: allow.clone(), ..Options::default() };
            let server = Server::new(url, options).map_err(io::Error::other)?;
            Ok(Machine { number, server, state: Mutex::new("idle") })
        };
        let machines = urls.into_iter().map(machine).collect::<io::Result<Vec<_>>>()?;
        let (outputs, passing) = match outputs {
            Some(folder) => (private(&folder)?, None),
            None => {
                let folder = TempDir::with_prefix("runcomfy-emulator-")?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        Ok(Self {
            machines,
            waiting: Mutex::default(),
            arrived: Notify::new(),
            under_way: Mutex::default(),
            outputs,
            _passing: passing,
        })
    }

    /// Takes a request on.
    pub(super) fn submit(&self, fake: &FakeRunComfy, request_id: &RequestId) {
        self.push(Waiting { fake: fake.clone(), request_id: request_id.clone(), begun: None });
    }

    /// Takes on what an emulator that is gone left undone.
    pub(super) fn take_over(&self, fake: &FakeRunComfy) {
        for Open { request_id, machine, accepted, cancelled } in fake.open() {
            let begun = machine.map(|machine| Begun {
                machine,
                accepted: accepted.and_then(|accepted| serde_json::from_value(accepted).ok()),
            });
            if cancelled {
                let stop = CancellationToken::new();
                stop.cancel();
                lock(&self.under_way).insert(request_id.clone(), stop);
            }
            self.push(Waiting { fake: fake.clone(), request_id, begun });
        }
    }

    fn push(&self, waiting: Waiting) {
        lock(&self.waiting).push_back(waiting);
        self.arrived.notify_waiters();
    }

    /// Stops a request that runs. One that waits is not begun any more.
    pub(super) fn cancel(&self, request_id: &RequestId) {
        if let Some(stop) = lock(&self.under_way).get(request_id) {
            stop.cancel();
        }
    }

    /// The server with this number.
    fn server(&self, number: u64) -> Option<&Server> {
        self.machines.iter().find(|one| one.number == number).map(|one| &one.server)
    }

    /// The node classes of the first server that tells.
    pub(super) async fn object_info(&self) -> Option<Bytes> {
        for machine in &self.machines {
            if let Ok(text) = machine.server.object_info().await {
                return Some(text.into());
            }
        }
        None
    }

    /// Who there is and what they do, for people.
    pub(super) fn overview(&self) -> Value {
        let glance = |machine: &Machine| json!({"url": machine.server.name(), "state": *lock(&machine.state)});
        self.machines.iter().map(glance).collect()
    }

    /// Works until it is dropped with the returned set. What was begun then goes on without it.
    pub(super) fn work(self: &Arc<Self>) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        for place in 0..self.machines.len() {
            let pool = self.clone();
            workers.spawn(async move {
                loop {
                    pool.one(place).await;
                }
            });
        }
        workers
    }

    /// One job, from waiting for it until it is over.
    async fn one(&self, place: usize) {
        let machine = &self.machines[place];
        // Before anything is taken: what waits is for servers that are there.
        while machine.server.check().await.is_err() {
            *lock(&machine.state) = "unreachable";
            // What it was doing when the last emulator ended is asked after all the same.
            if let Some(Turn::Resume(waiting, accepted)) = self.turn(machine.number, false) {
                self.run(machine, waiting, Some(accepted)).await;
            }
            tokio::time::sleep(PATIENCE).await;
        }
        *lock(&machine.state) = "idle";
        let arrived = self.arrived.notified();
        tokio::pin!(arrived);
        arrived.as_mut().enable();
        match self.turn(machine.number, true) {
            // Looked at now and then, so that its state is what is shown.
            None => drop(tokio::time::timeout(PATIENCE * 10, arrived).await),
            Some(Turn::Run(waiting)) => self.run(machine, waiting, None).await,
            Some(Turn::Resume(waiting, accepted)) => {
                self.run(machine, waiting, Some(accepted)).await;
            }
        }
    }

    /// What the machine with this number does next: first what it had begun. What was begun by one that is
    /// not there any more is over.
    fn turn(&self, number: u64, new_ones: bool) -> Option<Turn> {
        let mut waiting = lock(&self.waiting);
        let there = |number: u64| self.machines.iter().any(|machine| machine.number == number);
        let mine = waiting.iter().position(|one| {
            one.begun.as_ref().is_some_and(|begun| begun.machine == number || !there(begun.machine))
        });
        if let Some(place) = mine {
            let mut one = waiting.remove(place)?;
            let accepted = one.begun.take().and_then(|begun| begun.accepted);
            return Some(Turn::Resume(one, accepted));
        }
        let new = waiting.iter().position(|one| new_ones && one.begun.is_none())?;
        waiting.remove(new).map(Turn::Run)
    }

    /// Does a job, or takes up one that was begun before.
    async fn run(&self, machine: &Machine, waiting: Waiting, begun: Option<Option<Accepted>>) {
        let Waiting { fake, request_id, .. } = waiting;
        let stop = lock(&self.under_way).entry(request_id.clone()).or_default().clone();
        let job = match &begun {
            None => fake.begin(&request_id, machine.number).await.unwrap_or_default(),
            Some(_) => fake.begun(&request_id),
        };
        if let Some(job) = job {
            *lock(&machine.state) = "running";
            let folder = self.outputs.join(request_id.as_str());
            let nodes = job.graph.nodes().count();
            let mut seen = 0;
            let progress = |progress| tell(&fake, &request_id, &progress, &mut seen, nodes);
            let outcome = match begun {
                None => {
                    let job = comfyui::Job {
                        request_id: request_id.clone(),
                        graph: Workflow::clone(&job.graph),
                        extra_data: job.extra_data,
                    };
                    machine.server.run(&job, &folder, stop, progress).await
                }
                Some(accepted) => machine
                    .server
                    .resume(&request_id, accepted, &folder, stop, progress)
                    .await
                    .unwrap_or_else(|| lost(machine.server.name())),
            };
            // Where it can't be written down, it is so all the same.
            drop(fake.end(&request_id, driven(outcome)).await);
            *lock(&machine.state) = "idle";
        }
        lock(&self.under_way).remove(&request_id);
    }
}

/// A folder that nobody else may look into, as nobody may read the state beside it. By its whole name: it is
/// written down, and the next emulator may be started elsewhere.
fn private(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(&folder) {
        Err(error) if !(error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir()) => {
            let message = format!("could not make the folder {}: {error}", folder.display());
            Err(io::Error::new(error.kind(), message))
        }
        _ => Ok(folder),
    }
}

/// Passes on how far a job is.
fn tell(fake: &FakeRunComfy, id: &RequestId, progress: &Progress, seen: &mut usize, nodes: usize) {
    let done =
        |seen: usize, part: f64| ((seen.saturating_sub(1)) as f64 + part) / nodes.max(1) as f64;
    match progress {
        Progress::Accepted(accepted) => {
            if let Ok(accepted) = serde_json::to_value(accepted) {
                fake.accepted(id, accepted);
            }
        }
        Progress::Started => {}
        Progress::Node(_) => {
            *seen += 1;
            fake.progress(id, done(*seen, 0.0));
        }
        Progress::Step { value, max, .. } if *max > 0.0 => {
            fake.progress(id, done(*seen, value / max));
        }
        Progress::Step { .. } => {}
    }
}

/// The end of a job that a server does not know any more.
fn lost(server: &str) -> Outcome {
    Outcome::Failed {
        error: json!({
            "type": "interrupted",
            "message": format!(
                "the emulator was restarted during the run, and {server} does not know of it any more"
            ),
        }),
        outputs: serde_json::Map::new(),
        files: Vec::new(),
    }
}

fn driven(outcome: Outcome) -> Driven {
    let (end, outputs, files) = match outcome {
        Outcome::Succeeded { outputs, files } => (DrivenEnd::Succeeded, outputs, files),
        Outcome::Failed { error, outputs, files } => (DrivenEnd::Failed(error), outputs, files),
        Outcome::Cancelled => (DrivenEnd::Cancelled, serde_json::Map::new(), Vec::new()),
    };
    let stored = |file: comfyui::StoredFile| StoredFile {
        kind: file.kind.as_str().to_owned(),
        subfolder: file.subfolder,
        filename: file.filename,
        path: file.path,
    };
    Driven { end, outputs, files: files.into_iter().map(stored).collect() }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
