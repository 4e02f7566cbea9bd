//! `Replay`: a server that replays recorded runs of ComfyUI.

use std::{
    collections::{HashMap, VecDeque},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::Router;
use serde_json::{Map, Value};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, watch},
};
use url::Url;

use super::{Job, PATIENCE, Recording, job, recording::Told};

mod routes;

/// A server with recordings, one for each submitted graph.
pub(crate) struct Replay {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Separate, so that the server can be killed.
    runtime: Option<Runtime>,
}

/// Differences from the recording.
#[derive(Default)]
pub(crate) struct Changes {
    /// Waits before this message until [`Replay::release`].
    pub(crate) hold: Option<usize>,
    /// Waits for this number of interrupts instead.
    pub(crate) interrupts: Option<usize>,
    /// Closes the WebSockets before this message.
    pub(crate) cut: Option<usize>,
    /// Sends a message of this many bytes first.
    pub(crate) giant: Option<usize>,
    /// Accepts the graph with these errors.
    pub(crate) node_errors: Option<Value>,
    /// Uses this prompt id instead of the requested one.
    pub(crate) own_id: Option<String>,
    /// Replaces the recorded outputs.
    pub(crate) outputs: Option<Value>,
    /// Has no `/object_info`.
    pub(crate) no_object_info: bool,
    /// Has no `/ws`.
    pub(crate) no_socket: bool,
    /// Closes the connection of this many submissions before it accepts one.
    pub(crate) dropped_posts: usize,
    /// Accepts the graph and closes the connection without a response.
    pub(crate) lost_answer: bool,
}

struct Shared {
    played: Mutex<Played>,
    changes: Changes,
    /// The calls with their bodies.
    calls: watch::Sender<Vec<String>>,
    /// How many messages of a run may be sent.
    released: watch::Sender<usize>,
    /// Notified when jobs are added and removed.
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct Played {
    recordings: VecDeque<Arc<Recording>>,
    /// The started recordings, latest first.
    begun: VecDeque<Arc<Recording>>,
    sockets: HashMap<String, mpsc::UnboundedSender<Told>>,
    /// In order of arrival. Only the first runs.
    jobs: VecDeque<Playing>,
    /// The most jobs at the same time.
    most_jobs: usize,
    /// The number of submitted graphs.
    posted: u64,
    history: Map<String, Value>,
    graphs: Vec<Value>,
    uploads: Vec<(String, Vec<u8>)>,
    interrupts: usize,
    dropped: usize,
}

struct Playing {
    number: u64,
    id: String,
    client: String,
    running: bool,
}

impl Replay {
    pub(crate) fn of(name: &str) -> Self {
        Self::changed(Recording::load(name), Changes::default())
    }

    pub(crate) fn changed(recording: Recording, changes: Changes) -> Self {
        Self::several(vec![recording], changes)
    }

    pub(crate) fn several(recordings: Vec<Recording>, changes: Changes) -> Self {
        let recordings = recordings.into_iter().map(Arc::new).collect();
        let shared = Arc::new(Shared {
            played: Mutex::new(Played { recordings, ..Played::default() }),
            released: watch::Sender::new(changes.hold.unwrap_or(usize::MAX)),
            moved: watch::Sender::default(),
            changes,
            calls: watch::Sender::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = Some(serve(listener, shared.clone()));
        Self { address, shared, runtime }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// The job of the next recording.
    pub(crate) fn job(&self) -> Job {
        let recording = self.shared.lock().recordings.front().unwrap().clone();
        Job { extra_data: recording.extra_data.clone(), ..job(recording.graph.clone()) }
    }

    /// All calls so far, such as `POST /queue {"clear":true}`, and other events in parentheses.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.calls.borrow().clone()
    }

    /// Waits until this many calls start with `start`.
    pub(crate) async fn called(&self, start: &str, times: usize) {
        let mut calls = self.shared.calls.subscribe();
        let enough = |calls: &Vec<String>| {
            calls.iter().filter(|call| call.starts_with(start)).count() >= times
        };
        tokio::time::timeout(PATIENCE, calls.wait_for(enough)).await.unwrap().unwrap();
    }

    /// The submitted bodies.
    pub(crate) fn graphs(&self) -> Vec<Value> {
        self.shared.lock().graphs.clone()
    }

    /// The uploads: subfolder and name, and the bytes.
    pub(crate) fn uploads(&self) -> Vec<(String, Vec<u8>)> {
        self.shared.lock().uploads.clone()
    }

    /// Adds a recording.
    pub(crate) fn add(&self, name: &str) {
        self.shared.lock().recordings.push_back(Arc::new(Recording::load(name)));
    }

    /// The most jobs at the same time.
    pub(crate) fn most_jobs(&self) -> usize {
        self.shared.lock().most_jobs
    }

    /// Waits before this message until [`Self::release`].
    pub(crate) fn hold(&self, index: usize) {
        self.shared.released.send_replace(index);
    }

    pub(crate) fn release(&self) {
        self.shared.released.send_replace(usize::MAX);
    }

    /// Closes all connections and forgets all jobs.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Kills the server and starts it again at the same address.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        *self.shared.lock() = Played::default();
        let bind = async {
            loop {
                // Fails until the old socket is closed.
                match TcpListener::bind(self.address) {
                    Ok(listener) => return listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let listener = tokio::time::timeout(PATIENCE, bind).await.unwrap();
        self.runtime = Some(serve(listener, self.shared.clone()));
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(listener: TcpListener, shared: Arc<Shared>) -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    listener.set_nonblocking(true).unwrap();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, Router::new().fallback(routes::answer).with_state(shared)).await
    });
    runtime
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Played> {
        self.played.lock().unwrap()
    }

    fn note(&self, call: String) {
        self.calls.send_modify(|calls| calls.push(call));
    }

    /// Adds a job to the queue.
    fn begin(self: &Arc<Self>, played: &mut Played, recording: &Arc<Recording>, job: Playing) {
        let (number, id, client) = (job.number, job.id.clone(), job.client.clone());
        played.jobs.push_back(job);
        played.most_jobs = played.most_jobs.max(played.jobs.len());
        tokio::spawn(self.clone().play(recording.clone(), number, id, client));
    }

    /// Waits until a job is the first. `false` if it was removed from the queue.
    async fn is_first(&self, number: u64) -> bool {
        let mut moved = self.moved.subscribe();
        loop {
            let place = self.lock().jobs.iter().position(|job| job.number == number);
            match place {
                None => return false,
                Some(0) => return true,
                Some(_) => moved.changed().await.unwrap(),
            }
        }
    }

    /// Replays a recording under a prompt id, message by message.
    async fn play(
        self: Arc<Self>,
        recording: Arc<Recording>,
        number: u64,
        id: String,
        client: String,
    ) {
        if !self.is_first(number).await {
            return;
        }
        let mut released = self.released.subscribe();
        let rename = |text: &str| text.replace(recording.prompt_id(), &id);
        if let Some(length) = self.changes.giant {
            self.tell(&client, Told::Text("x".repeat(length)));
        }
        for (index, told) in recording.messages.iter().enumerate() {
            if self.changes.cut == Some(index) {
                self.lock().sockets.clear();
            }
            if *self.released.borrow() <= index {
                self.note("(held)".into());
            }
            released.wait_for(|released| *released > index).await.unwrap();
            let mut played = self.lock();
            let first = played.jobs.front_mut().filter(|job| job.number == number);
            let Some(job) = first else { return };
            job.running = index >= recording.index("execution_start");
            // The history entry exists just before the last message, not at `execution_success`.
            if index + 1 == recording.messages.len() {
                played.jobs.pop_front();
                self.moved.send_replace(());
                let mut entry: Value =
                    serde_json::from_str(&rename(&recording.entry.clone().unwrap().to_string()))
                        .unwrap();
                entry["prompt"][0] = number.into();
                entry["prompt"][3]["client_id"] = client.as_str().into();
                if let Some(outputs) = &self.changes.outputs {
                    entry["outputs"] = outputs.clone();
                }
                played.history.insert(id.clone(), entry);
            }
            drop(played);
            self.tell(
                &client,
                match told {
                    Told::Text(text) => Told::Text(rename(text)),
                    binary => binary.clone(),
                },
            );
        }
    }

    fn tell(&self, client: &str, told: Told) {
        if let Some(socket) = self.lock().sockets.get(client) {
            let _ = socket.send(told);
        }
    }
}
