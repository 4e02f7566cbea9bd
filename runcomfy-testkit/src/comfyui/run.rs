//! One job on one server, from its inputs to its files.

use std::path::Path;

use runcomfy_core::RequestId;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Accepted, Job, Outcome, Progress, Server, Trouble,
    api::Api,
    collect, failure,
    history::{self, Verdict},
    socket::Socket,
    staging,
    submit::{NotTaken, submit},
    watch::{End, Seen, Watch, look},
};

/// A job under way.
pub(super) struct Run<'a, P> {
    server: &'a Server,
    api: &'a Api,
    request: &'a RequestId,
    /// The server tells only this client of the job. Follows from the request, so that it can be
    /// taken up again.
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
    pub(super) fn new(
        server: &'a Server,
        request: &'a RequestId,
        folder: &'a Path,
        cancelled: CancellationToken,
        progress: P,
    ) -> Self {
        let client_id = format!("runcomfy-emulator-{request}");
        Self { server, api: &server.api, request, client_id, folder, cancelled, progress }
    }

    pub(super) async fn start(self, job: &Job) -> Outcome {
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
                Err(NotTaken::Graph(failure)) => return Outcome::failed(failure),
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

    pub(super) async fn resume(self, accepted: Option<Accepted>) -> Option<Outcome> {
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
            let seen = look(self.api, &accepted.prompt_id).await?;
            return Ok((!matches!(seen, Seen::Nowhere)).then(|| accepted.clone()));
        }
        let known = |id: &str| Accepted { prompt_id: id.to_owned(), node_errors: Map::new() };
        // A server that chose its own id knows the job by its client, as long as it is in the queue.
        let queue = self.api.queue().await?;
        let ours = queue.iter().find(|(_, id, client)| {
            id == self.request.as_str() || client.as_ref() == Some(&self.client_id)
        });
        if let Some((_, id, _)) = ours {
            return Ok(Some(known(id)));
        }
        let history = self.api.history(self.request.as_str()).await?;
        Ok(history.map(|_| known(self.request.as_str())))
    }

    /// Watches a job that the server has, and brings home what it made.
    async fn finish(mut self, accepted: Accepted, socket: Option<Socket>) -> Outcome {
        (self.progress)(Progress::Accepted(accepted.clone()));
        let mut watch = Watch::new(self.api, &self.client_id, &accepted.prompt_id, &self.cancelled);
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
