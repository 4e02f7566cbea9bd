//! A server that does again what a real ComfyUI was recorded doing, on a socket of its own.

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

/// A server with recordings to play, one for each graph that it is given.
pub(crate) struct Replay {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Its own, so that all of it can be made to vanish at once.
    runtime: Option<Runtime>,
}

/// What it does differently from the recording.
#[derive(Default)]
pub(crate) struct Changes {
    /// No message from this one on before [`Replay::release`], or what that stands for.
    pub(crate) hold: Option<usize>,
    /// How many interrupts of the run it takes to release it.
    pub(crate) interrupts: Option<usize>,
    /// The sockets are closed before this message.
    pub(crate) cut: Option<usize>,
    /// A message of this many bytes comes before the first.
    pub(crate) giant: Option<usize>,
    /// It takes the graph with these errors.
    pub(crate) node_errors: Option<Value>,
    /// It chooses this id, whatever was asked for.
    pub(crate) own_id: Option<String>,
    /// In place of the recorded outputs.
    pub(crate) outputs: Option<Value>,
    /// It knows no `/object_info`.
    pub(crate) no_object_info: bool,
    /// It has no `/ws`.
    pub(crate) no_socket: bool,
    /// It closes the connection of this many graphs before it takes one.
    pub(crate) dropped_posts: usize,
    /// It takes the graph, and closes the connection.
    pub(crate) lost_answer: bool,
}

struct Shared {
    played: Mutex<Played>,
    changes: Changes,
    /// What was called, with the body.
    calls: watch::Sender<Vec<String>>,
    /// How many messages of a run may be sent.
    released: watch::Sender<usize>,
    /// Told when jobs come and go.
    moved: watch::Sender<()>,
}

#[derive(Default)]
struct Played {
    recordings: VecDeque<Arc<Recording>>,
    /// Those that were begun, the last first.
    begun: VecDeque<Arc<Recording>>,
    sockets: HashMap<String, mpsc::UnboundedSender<Told>>,
    /// In the order in which they came. Only the first runs.
    jobs: VecDeque<Playing>,
    /// How many there were at once.
    most_jobs: usize,
    /// How many graphs it was given.
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

    /// The job that the next recording is of.
    pub(crate) fn job(&self) -> Job {
        let recording = self.shared.lock().recordings.front().unwrap().clone();
        Job { extra_data: recording.extra_data.clone(), ..job(recording.graph.clone()) }
    }

    /// All calls so far, such as `POST /queue {"clear":true}`, and in parentheses what else happened.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.shared.calls.borrow().clone()
    }

    /// Waits until this many calls begin so.
    pub(crate) async fn called(&self, start: &str, times: usize) {
        let mut calls = self.shared.calls.subscribe();
        let enough = |calls: &Vec<String>| {
            calls.iter().filter(|call| call.starts_with(start)).count() >= times
        };
        tokio::time::timeout(PATIENCE, calls.wait_for(enough)).await.unwrap().unwrap();
    }

    /// The graphs that were submitted, with all that came along.
    pub(crate) fn graphs(&self) -> Vec<Value> {
        self.shared.lock().graphs.clone()
    }

    /// The uploads: subfolder and name, and the bytes.
    pub(crate) fn uploads(&self) -> Vec<(String, Vec<u8>)> {
        self.shared.lock().uploads.clone()
    }

    /// One more recording to play.
    pub(crate) fn add(&self, name: &str) {
        self.shared.lock().recordings.push_back(Arc::new(Recording::load(name)));
    }

    /// How many jobs it had at once.
    pub(crate) fn most_jobs(&self) -> usize {
        self.shared.lock().most_jobs
    }

    /// No message from this one on before [`Self::release`].
    pub(crate) fn hold(&self, index: usize) {
        self.shared.released.send_replace(index);
    }

    pub(crate) fn release(&self) {
        self.shared.released.send_replace(usize::MAX);
    }

    /// Gone, with all connections and all that it knew.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Killed, and there again at the same address with nothing known.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        *self.shared.lock() = Played::default();
        let bind = async {
            loop {
                // Refused until the old socket is closed.
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

    /// Waits until a job is the first. `false` where it was taken out of the queue.
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

    /// Plays a recording under an id, message by message.
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
            // The history is there just before the last message, and not at `execution_success`.
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
