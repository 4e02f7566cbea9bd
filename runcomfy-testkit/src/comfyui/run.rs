//! Runs one job on one server, from its inputs to its output files.

use std::path::Path;

use runcomfy_core::RequestId;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    api::Api,
    collect,
    error::ComfyError,
    failure,
    history::{self, HistoryOutcome},
    identity::Identity,
    job::{AcceptedJob, Job, Outcome, Progress},
    server::Server,
    socket::Socket,
    staging,
    submit::{SubmitError, submit},
    watch::{JobLocation, Watch, WatchEnd, locate},
};

impl Server {
    /// Runs a job and copies its files into `folder`.
    ///
    /// A cancelled job is removed from the server's queue or interrupted; it succeeds if it completes before.
    /// Dropping this future leaves the job running.
    pub(crate) async fn run(
        &self,
        job: &Job,
        folder: &Path,
        cancelled: CancellationToken,
        progress: impl FnMut(Progress) + Send,
    ) -> Outcome {
        let (request_id, prompt_id) = (&job.request_id, &job.prompt_id);
        JobRun::new(self, request_id, prompt_id, folder, cancelled, progress).start(job).await
    }

    /// Resumes a job that was submitted before, possibly by another process.
    ///
    /// `prompt_id` is the id under which it was submitted; `accepted` is the value of [`Progress::Accepted`],
    /// if known. `None` if the server does not know the job, because it never got it or was restarted.
    pub(crate) async fn resume(
        &self,
        request_id: &RequestId,
        (prompt_id, accepted): (&str, Option<AcceptedJob>),
        folder: &Path,
        cancelled: CancellationToken,
        progress: impl FnMut(Progress) + Send,
    ) -> Option<Outcome> {
        let run = JobRun::new(self, request_id, prompt_id, folder, cancelled, progress);
        run.resume(accepted).await
    }
}

/// A job in progress.
struct JobRun<'a, P> {
    server: &'a Server,
    api: &'a Api,
    request: &'a RequestId,
    /// The requested prompt id.
    prompt_id: &'a str,
    /// The server sends events about the job to this client only. Derived from the prompt id, so that another
    /// process can resume the job.
    client_id: String,
    folder: &'a Path,
    cancelled: CancellationToken,
    progress: P,
}

/// The result of looking for a job.
enum Found {
    Cancelled,
    Known(AcceptedJob),
    Comfy(ComfyError),
    Unknown,
}

impl<'a, P: FnMut(Progress) + Send> JobRun<'a, P> {
    fn new(
        server: &'a Server,
        request: &'a RequestId,
        prompt_id: &'a str,
        folder: &'a Path,
        cancelled: CancellationToken,
        progress: P,
    ) -> Self {
        let (api, client_id) = (&server.api, format!("runcomfy-emulator-{prompt_id}"));
        Self { server, api, request, prompt_id, client_id, folder, cancelled, progress }
    }

    async fn start(self, job: &Job) -> Outcome {
        let staged = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Outcome::Cancelled,
            staged = staging::stage(self.api, &self.server.fetcher, job) => staged,
        };
        let graph = match staged {
            Ok(graph) => graph,
            Err(failure) => return Outcome::failed(failure),
        };
        // Connected before the job is submitted, so that no message is missed.
        let socket = Socket::connect(self.api, &self.client_id).await.ok();
        let mut again = true;
        let accepted = loop {
            if self.cancelled.is_cancelled() {
                return Outcome::Cancelled;
            }
            let error = match submit(self.api, job, graph.clone(), &self.client_id).await {
                Ok(accepted) => break accepted,
                Err(SubmitError::Graph(failure)) => {
                    // Servers before February 2026 do not name the node's class.
                    return Outcome::failed(failure::with_class(failure, &job.graph));
                }
                Err(SubmitError::Comfy(error)) => {
                    return Outcome::failed(failure::of_submit(self.request.as_str(), &error));
                }
                Err(SubmitError::Unknown(error)) => error,
            };
            match self.find(None).await {
                Found::Known(accepted) => break accepted,
                Found::Cancelled => return Outcome::Cancelled,
                // The connection broke and the server does not have the job, so it can be submitted again. A
                // slow server may still accept the first submission.
                Found::Unknown if again && error.is_absence() => again = false,
                Found::Comfy(_) | Found::Unknown => {
                    return Outcome::failed(failure::of_submit(self.request.as_str(), &error));
                }
            }
        };
        self.finish(accepted, socket).await
    }

    async fn resume(self, accepted: Option<AcceptedJob>) -> Option<Outcome> {
        match self.find(accepted).await {
            Found::Known(accepted) => {
                let socket = Socket::connect(self.api, &self.client_id).await.ok();
                Some(self.finish(accepted, socket).await)
            }
            Found::Cancelled => Some(Outcome::Cancelled),
            Found::Comfy(error) => {
                Some(Outcome::failed(failure::of_loss(self.request.as_str(), &error)))
            }
            Found::Unknown => None,
        }
    }

    /// Looks for the job until the server answers or the timeout is reached.
    async fn find(&self, accepted: Option<AcceptedJob>) -> Found {
        let times = self.api.times();
        let since = Instant::now();
        loop {
            let error = match self.find_once(accepted.as_ref()).await {
                Ok(Some(accepted)) => return Found::Known(accepted),
                Ok(None) => return Found::Unknown,
                Err(error) => error,
            };
            let patience = if error.is_absence() { times.gone } else { times.stalled };
            if error.is_final() || since.elapsed() >= patience {
                return Found::Comfy(error);
            }
            tokio::select! {
                () = self.cancelled.cancelled() => return Found::Cancelled,
                () = sleep(times.poll) => {}
            }
        }
    }

    async fn find_once(
        &self,
        accepted: Option<&AcceptedJob>,
    ) -> Result<Option<AcceptedJob>, ComfyError> {
        if let Some(accepted) = accepted {
            let seen = locate(self.api, &self.identity(accepted)).await?;
            return Ok((!matches!(seen, JobLocation::Nowhere)).then(|| accepted.clone()));
        }
        let known = |prompt_id: &str, number| {
            let (prompt_id, node_errors) = (prompt_id.to_owned(), Map::new());
            AcceptedJob { prompt_id, number, node_errors }
        };
        let asked_for = known(self.prompt_id, None);
        let identity = self.identity(&asked_for);
        // A server that chose its own id lists the job under its client id while it is in the queue.
        let queue = self.api.queue().await?;
        let ours = queue
            .iter()
            .map(|(_, job)| job)
            .find(|job| identity.is(job) || job.client_id.as_ref() == Some(&self.client_id));
        if let Some(job) = ours {
            return Ok(Some(known(&job.prompt_id, job.number)));
        }
        let history = self.api.history(&identity).await?;
        Ok(history.map(|_| asked_for))
    }

    /// The identity of the accepted job.
    fn identity(&self, accepted: &AcceptedJob) -> Identity {
        Identity {
            prompt_id: accepted.prompt_id.clone(),
            client_id: self.client_id.clone(),
            number: accepted.number,
        }
    }

    /// Waits for the end of an accepted job and copies its files.
    async fn finish(mut self, accepted: AcceptedJob, socket: Option<Socket>) -> Outcome {
        (self.progress)(Progress::Accepted(accepted.clone()));
        let identity = self.identity(&accepted);
        let mut watch = Watch::new(self.api, &identity, &self.cancelled);
        let end = watch.run(socket, &mut self.progress).await;
        let overdue = watch.is_overdue();
        let request = self.request.as_str();
        let outcome = match end {
            WatchEnd::Finished(entry) => self.result(entry, &accepted.node_errors).await,
            WatchEnd::Forgotten => {
                Outcome::failed(failure::of_forgotten_run(request, self.api.name()))
            }
            // The job was cancelled, and its server cannot be reached.
            WatchEnd::Lost(_) if self.cancelled.is_cancelled() => Outcome::Cancelled,
            WatchEnd::Lost(error) => Outcome::failed(failure::of_loss(request, &error)),
            WatchEnd::Removed | WatchEnd::TooLong => Outcome::Cancelled,
        };
        if overdue && outcome == Outcome::Cancelled {
            let seconds = self.api.times().longest_run.as_secs();
            return Outcome::failed(failure::of_length(request, self.api.name(), seconds));
        }
        outcome
    }

    async fn result(&self, mut entry: Value, node_errors: &Map<String, Value>) -> Outcome {
        let outcome = history::outcome(&entry);
        if outcome == HistoryOutcome::Interrupted {
            return Outcome::Cancelled;
        }
        let outputs = history::outputs(&mut entry);
        let collected = collect::collect(self.api, &outputs, self.folder).await;
        let files = collected.files;
        let failure = match outcome {
            HistoryOutcome::Failed(failure) => Some(failure),
            _ => None,
        };
        let failure = match node_errors.is_empty() {
            true => failure.or(collected.problem),
            false => Some(failure::of_dropped_outputs(node_errors, failure)),
        };
        match failure {
            Some(error) => Outcome::Failed { error, outputs, files },
            None => Outcome::Succeeded { outputs, files },
        }
    }
}
