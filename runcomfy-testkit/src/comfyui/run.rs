//! One job on one server, from its inputs to its files.

use std::path::Path;

use runcomfy_core::RequestId;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    api::Api,
    collect, failure,
    history::{self, Verdict},
    identity::Identity,
    job::{Accepted, Job, Outcome, Progress},
    server::Server,
    socket::Socket,
    staging,
    submit::{NotTaken, submit},
    trouble::Trouble,
    watch::{End, Seen, Watch, look},
};

impl Server {
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
        Run::new(self, request_id, prompt_id, folder, cancelled, progress).start(job).await
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
        let run = Run::new(self, request_id, prompt_id, folder, cancelled, progress);
        run.resume(accepted).await
    }
}

/// A job under way.
struct Run<'a, P> {
    server: &'a Server,
    api: &'a Api,
    request: &'a RequestId,
    /// The id that the server is asked to run it under.
    prompt_id: &'a str,
    /// The server tells only this client of the job. Follows from the id, so that it can be taken up
    /// again.
    client_id: String,
    folder: &'a Path,
    cancelled: CancellationToken,
    progress: P,
}

/// What a server says of a job whose fate is not known.
enum Found {
    Cancelled,
    Known(Accepted),
    Trouble(Trouble),
    Unknown,
}

impl<'a, P: FnMut(Progress) + Send> Run<'a, P> {
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
        // Before the job, so that no message of it is missed.
        let socket = Socket::connect(self.api, &self.client_id).await.ok();
        let mut again = true;
        let accepted = loop {
            if self.cancelled.is_cancelled() {
                return Outcome::Cancelled;
            }
            let trouble = match submit(self.api, job, graph.clone(), &self.client_id).await {
                Ok(accepted) => break accepted,
                Err(NotTaken::Graph(failure)) => {
                    // Servers before February 2026 name the node only.
                    return Outcome::failed(failure::with_class(failure, &job.graph));
                }
                Err(NotTaken::Trouble(trouble)) => {
                    return Outcome::failed(failure::of_submit(self.request.as_str(), &trouble));
                }
                Err(NotTaken::Unknown(trouble)) => trouble,
            };
            match self.find(None).await {
                Found::Known(accepted) => break accepted,
                Found::Cancelled => return Outcome::Cancelled,
                // The connection broke and the server has not got it: safe to hand over once more.
                // One that is only slow may still be about to take it.
                Found::Unknown if again && trouble.is_absence() => again = false,
                Found::Trouble(_) | Found::Unknown => {
                    return Outcome::failed(failure::of_submit(self.request.as_str(), &trouble));
                }
            }
        };
        self.finish(accepted, socket).await
    }

    async fn resume(self, accepted: Option<Accepted>) -> Option<Outcome> {
        match self.find(accepted).await {
            Found::Known(accepted) => {
                let socket = Socket::connect(self.api, &self.client_id).await.ok();
                Some(self.finish(accepted, socket).await)
            }
            Found::Cancelled => Some(Outcome::Cancelled),
            Found::Trouble(trouble) => {
                Some(Outcome::failed(failure::of_loss(self.request.as_str(), &trouble)))
            }
            Found::Unknown => None,
        }
    }

    /// Asks for the job until there is an answer, or none to be hoped for.
    async fn find(&self, accepted: Option<Accepted>) -> Found {
        let times = self.api.times();
        let since = Instant::now();
        loop {
            let trouble = match self.find_once(accepted.as_ref()).await {
                Ok(Some(accepted)) => return Found::Known(accepted),
                Ok(None) => return Found::Unknown,
                Err(trouble) => trouble,
            };
            let patience = if trouble.is_absence() { times.gone } else { times.stalled };
            if trouble.is_final() || since.elapsed() >= patience {
                return Found::Trouble(trouble);
            }
            tokio::select! {
                () = self.cancelled.cancelled() => return Found::Cancelled,
                () = sleep(times.poll) => {}
            }
        }
    }

    async fn find_once(&self, accepted: Option<&Accepted>) -> Result<Option<Accepted>, Trouble> {
        if let Some(accepted) = accepted {
            let seen = look(self.api, &self.identity(accepted)).await?;
            return Ok((!matches!(seen, Seen::Nowhere)).then(|| accepted.clone()));
        }
        let known = |prompt_id: &str, number| {
            let (prompt_id, node_errors) = (prompt_id.to_owned(), Map::new());
            Accepted { prompt_id, number, node_errors }
        };
        let asked_for = known(self.prompt_id, None);
        let identity = self.identity(&asked_for);
        // A server that chose its own id knows the job by its client, as long as it is in the queue.
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

    /// What tells the job that the server took from all others.
    fn identity(&self, accepted: &Accepted) -> Identity {
        Identity {
            prompt_id: accepted.prompt_id.clone(),
            client_id: self.client_id.clone(),
            number: accepted.number,
        }
    }

    /// Watches a job that the server has, and brings home what it made.
    async fn finish(mut self, accepted: Accepted, socket: Option<Socket>) -> Outcome {
        (self.progress)(Progress::Accepted(accepted.clone()));
        let identity = self.identity(&accepted);
        let mut watch = Watch::new(self.api, &identity, &self.cancelled);
        let end = watch.until_end(socket, &mut self.progress).await;
        let overdue = watch.is_overdue();
        let request = self.request.as_str();
        let outcome = match end {
            End::Finished(entry) => self.result(entry, &accepted.node_errors).await,
            End::Forgotten => Outcome::failed(failure::of_oblivion(request, self.api.name())),
            // Whatever it was, it runs no more, or out of reach, and nobody wants it.
            End::Lost(_) if self.cancelled.is_cancelled() => Outcome::Cancelled,
            End::Lost(trouble) => Outcome::failed(failure::of_loss(request, &trouble)),
            End::Removed | End::TooLong => Outcome::Cancelled,
        };
        if overdue && outcome == Outcome::Cancelled {
            let seconds = self.api.times().longest_run.as_secs();
            return Outcome::failed(failure::of_length(request, self.api.name(), seconds));
        }
        outcome
    }

    async fn result(&self, mut entry: Value, node_errors: &Map<String, Value>) -> Outcome {
        let verdict = history::verdict(&entry);
        if verdict == Verdict::Interrupted {
            return Outcome::Cancelled;
        }
        let outputs = history::outputs(&mut entry);
        let collected = collect::collect(self.api, &outputs, self.folder).await;
        let files = collected.files;
        let failure = match verdict {
            Verdict::Failed(failure) => Some(failure),
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
