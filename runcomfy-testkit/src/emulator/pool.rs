//! `Pool`: runs requests on ComfyUI servers, one job per server at a time, first come, first served.

use std::{
    collections::HashMap,
    fs::DirBuilder,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::body::Bytes;
use runcomfy_core::RequestId;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    account::OpenRun,
    comfyui::{ComfyOptions, Server, Times},
    fake::{Driver, DriverCommand, FakeRunComfy},
    ids,
    sync::lock,
};

mod duplicates;
mod proxy;
mod queue;
mod server;
mod sweep;
#[cfg(test)]
mod tests;
mod worker;

pub(super) use crate::comfyui::{ProxyBody, takes_forms};
use queue::{HandedOverJob, PendingJob, PendingJobs};
use server::PoolServer;
pub(super) use server::Report;
pub(super) use worker::Workers;

pub(super) struct Pool {
    servers: Vec<PoolServer>,
    queue: PendingJobs,
    arrived: Notify,
    /// Cancels the run of a request.
    under_way: Mutex<HashMap<RequestId, CancellationToken>>,
    /// The accounts that have submitted requests.
    accounts: Mutex<HashMap<usize, FakeRunComfy>>,
    /// The output files, one folder per request.
    outputs: PathBuf,
    report: Option<Report>,
    /// Deleted with the pool. `None` if outputs are kept.
    temporary_outputs: Option<TempDir>,
    times: Times,
    closing: CancellationToken,
}

impl Pool {
    /// # Errors
    /// If a URL is invalid or names a server twice, or the output folder cannot be created.
    pub(super) fn new(
        urls: Vec<Url>,
        allow: Vec<String>,
        times: Times,
        outputs: Option<PathBuf>,
        report: Option<Report>,
    ) -> io::Result<Self> {
        let mut servers: Vec<PoolServer> = Vec::new();
        let same = duplicates::ServerAddresses::of(&urls);
        if let Some((one, other)) = same.first_duplicate() {
            let why = format!("the ComfyUI at {one} is named twice, the second time as {other}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        for url in urls {
            let number = ids::hash(url.as_str().as_bytes());
            let options = ComfyOptions {
                allow: allow.clone(),
                times: times.clone(),
                ..ComfyOptions::default()
            };
            let server = Server::new(url, options).map_err(io::Error::other)?;
            // A server must take one job at a time.
            if servers.iter().any(|one| one.server.name() == server.name()) {
                let why = format!("the ComfyUI at {} is named twice", server.name());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            servers.push(PoolServer::new(number, server));
        }
        let (outputs, temporary_outputs) = match outputs {
            Some(folder) => (create_private_dir(&folder)?, None),
            None => {
                let folder = TempDir::with_prefix("runcomfy-emulator-")?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        Ok(Self {
            servers,
            queue: PendingJobs::default(),
            arrived: Notify::new(),
            under_way: Mutex::default(),
            accounts: Mutex::default(),
            outputs,
            report,
            temporary_outputs,
            times,
            closing: CancellationToken::new(),
        })
    }

    /// The driver that connects the accounts to this pool.
    pub(super) fn driver(self: &Arc<Self>) -> Driver {
        // Weak, because the pool holds the accounts and each account holds its driver.
        let pool = Arc::downgrade(self);
        Driver(Arc::new(move |fake, command| {
            if let Some(pool) = pool.upgrade() {
                pool.handle_command(fake, command);
            }
        }))
    }

    fn handle_command(&self, fake: &FakeRunComfy, command: DriverCommand) {
        match command {
            DriverCommand::Run(request_id) => {
                lock(&self.accounts).entry(fake.identity()).or_insert_with(|| fake.clone());
                self.push(PendingJob { fake: fake.clone(), request_id, begun: None });
            }
            DriverCommand::Stop(request_id) => {
                self.stop(&request_id);
            }
            // The worker that runs it deletes its files.
            DriverCommand::Forget(request_id) if self.stop(&request_id) => {}
            DriverCommand::Forget(request_id) => {
                drop(self.remove(&request_id));
            }
            DriverCommand::Reconsider => self.arrived.notify_waiters(),
        }
    }

    /// Takes over the unfinished runs of an earlier emulator.
    pub(super) fn resume_open_runs<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a FakeRunComfy>,
    ) {
        let mut open: Vec<(&FakeRunComfy, OpenRun)> = Vec::new();
        for fake in accounts {
            lock(&self.accounts).insert(fake.identity(), fake.clone());
            open.extend(fake.open().into_iter().map(|one| (fake, one)));
        }
        // First come, first served across accounts.
        open.sort_by_key(|(_, one)| one.created_at);
        for (fake, OpenRun { request_id, machine, prompt_id, accepted, cancelled, .. }) in open {
            let begun = machine.zip(prompt_id).map(|(machine, prompt_id)| HandedOverJob {
                machine,
                prompt_id,
                accepted: accepted.and_then(|accepted| serde_json::from_value(accepted).ok()),
            });
            if begun.is_some() {
                // It is running, so it can be cancelled before a worker has resumed it.
                let stop = CancellationToken::new();
                if cancelled {
                    stop.cancel();
                }
                lock(&self.under_way).insert(request_id.clone(), stop);
            }
            self.push(PendingJob { fake: fake.clone(), request_id, begun });
        }
    }

    fn push(&self, waiting: PendingJob) {
        self.queue.push(waiting);
        self.arrived.notify_waiters();
    }

    /// Cancels a running request. `false` if it is not running; a waiting request is not started any more.
    fn stop(&self, request_id: &RequestId) -> bool {
        let under_way = lock(&self.under_way);
        let stop = under_way.get(request_id);
        stop.inspect(|stop| stop.cancel()).is_some()
    }

    fn folder(&self, request_id: &RequestId) -> PathBuf {
        self.outputs.join(request_id.as_str())
    }

    /// The server with this number.
    fn server(&self, number: u64) -> Option<&Server> {
        self.servers.iter().find(|one| one.number == number).map(|one| &one.server)
    }

    /// The node classes of the first server that answers, or all errors.
    pub(super) async fn object_info(&self) -> Result<Bytes, String> {
        let mut errors = Vec::new();
        for machine in &self.servers {
            match machine.server.object_info().await {
                Ok(text) => return Ok(text.into()),
                Err(error) => errors.push(error.to_string()),
            }
        }
        Err(errors.join("; "))
    }

    /// The servers and their states for the overview.
    pub(super) fn overview(&self) -> Value {
        self.servers.iter().map(PoolServer::overview).collect()
    }
}

/// Creates a private folder, because the outputs are as confidential as the state file. Returns its absolute
/// path, because the path is stored and the next emulator may start in another directory.
fn create_private_dir(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(&folder) {
        Err(error) if !(error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir()) => {
            let message = format!("could not create the folder {}: {error}", folder.display());
            Err(io::Error::new(error.kind(), message))
        }
        _ => Ok(folder),
    }
}
