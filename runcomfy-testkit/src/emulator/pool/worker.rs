//! `Workers`: one task per server that takes a request, runs it and records the result.

use std::{sync::Arc, time::Duration};

use runcomfy_core::{RequestId, Workflow};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Pool, queue::PendingJob, server::PoolServer};
use crate::{
    account::{DrivenEnd, DrivenFile, DrivenResult},
    comfyui::{self, Outcome, Progress},
    fake::FakeRunComfy,
    sync::lock,
};

/// The worker tasks. Dropping them aborts the tasks; jobs on the servers go on.
pub(in crate::emulator) struct Workers {
    pool: Arc<Pool>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Stops the workers. Also cancels their jobs, unless there is a state file and the next emulator resumes
    /// them.
    pub(in crate::emulator) async fn stop(mut self) {
        const GRACE_PERIOD: Duration = Duration::from_secs(5);
        self.pool.closing.cancel();
        if self.pool.temporary_outputs.is_some() {
            lock(&self.pool.under_way).values().for_each(CancellationToken::cancel);
            let ended = async { while self.tasks.join_next().await.is_some() {} };
            drop(tokio::time::timeout(GRACE_PERIOD, ended).await);
        }
        self.tasks.shutdown().await;
    }
}

impl Pool {
    /// Starts one worker per server, and the sweep.
    pub(in crate::emulator) fn start_workers(self: Arc<Self>) -> Workers {
        let mut tasks = JoinSet::new();
        for place in 0..self.servers.len() {
            let (pool, closing) = (self.clone(), self.closing.clone());
            tasks.spawn(async move {
                let machine = &pool.servers[place];
                // Cancelled only while it waits, so that no job is taken and lost.
                while let Some(waiting) = closing.run_until_cancelled(pool.next(machine)).await {
                    pool.run(machine, waiting).await;
                }
            });
        }
        let (pool, closing) = (self.clone(), self.closing.clone());
        tasks.spawn(async move {
            closing.run_until_cancelled(pool.sweep_periodically()).await;
        });
        Workers { pool: self, tasks }
    }

    /// Waits for a job. Jobs that this server was running come first. Jobs of servers that are no longer
    /// configured go to any worker.
    async fn next(&self, machine: &PoolServer) -> PendingJob {
        let begun = || {
            self.queue.resumable(|begun| {
                begun.machine == machine.number || self.server(begun.machine).is_none()
            })
        };
        loop {
            // A job is taken only while the server answers.
            while !machine.check(self.report.as_ref()).await {
                // Except a job that was running there: its outcome is asked for in any case.
                if let Some(waiting) = begun() {
                    return waiting;
                }
                tokio::time::sleep(self.times.poll).await;
            }
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Subscribed before the queue is read, so that no job is missed.
            arrived.as_mut().enable();
            if let Some(waiting) = begun().or_else(|| self.queue.first()) {
                return waiting;
            }
            // Wakes up regularly to keep the server's state current.
            drop(tokio::time::timeout(self.times.poll * 10, arrived).await);
        }
    }

    /// Runs a job, or resumes one that was handed over before.
    async fn run(&self, machine: &PoolServer, waiting: PendingJob) {
        let PendingJob { fake, request_id, begun } = waiting;
        let stop = lock(&self.under_way).entry(request_id.clone()).or_default().clone();
        // A new id for each hand-over, because ComfyUI keeps its history by id and may be shared.
        let prompt_id = Uuid::new_v4().to_string();
        let job = match begun {
            None => {
                fake.hand_over(&request_id, machine.number, &prompt_id).await.unwrap_or_default()
            }
            Some(_) => fake.handed_over_job(&request_id),
        };
        let nodes = job.as_ref().map_or(0, |job| job.graph.nodes().count());
        let folder = self.folder(&request_id);
        let mut seen = 0;
        let progress = |progress| tell(&fake, &request_id, &progress, &mut seen, nodes);
        let outcome = match (begun, job) {
            (None, None) => None,
            (None, Some(job)) => {
                machine.set_running(true);
                let job = comfyui::Job {
                    request_id: request_id.clone(),
                    prompt_id,
                    graph: Workflow::clone(&job.graph),
                    extra_data: job.extra_data,
                };
                Some(machine.server.run(&job, &folder, stop, progress).await)
            }
            // Also if it was cancelled, because the server still has it.
            (Some(begun), _) => {
                machine.set_running(true);
                let known = (begun.prompt_id.as_str(), begun.accepted);
                let resumed = machine
                    .server
                    .resume(&request_id, known, &folder, stop.clone(), progress)
                    .await;
                Some(resumed.unwrap_or_else(|| match stop.is_cancelled() {
                    true => Outcome::Cancelled,
                    false => lost(machine.server.name()),
                }))
            }
        };
        if let Some(outcome) = outcome {
            // The result applies even if it cannot be written to the state file.
            drop(fake.end(&request_id, driven(outcome)).await);
            machine.set_running(false);
        }
        lock(&self.under_way).remove(&request_id);
        // Its deployment was deleted meanwhile.
        if !fake.has(&request_id) {
            drop(self.remove(&request_id).await);
        }
        // The deployment can start its next run.
        self.arrived.notify_waiters();
    }
}

/// Records the progress of a job.
fn tell(fake: &FakeRunComfy, id: &RequestId, progress: &Progress, seen: &mut usize, nodes: usize) {
    let done =
        |seen: usize, part: f64| ((seen.saturating_sub(1)) as f64 + part) / nodes.max(1) as f64;
    match progress {
        Progress::Accepted(accepted) => {
            if let Ok(accepted) = serde_json::to_value(accepted) {
                fake.accepted(id, accepted);
            }
        }
        Progress::Started { ago } => fake.begin(id, *ago),
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

/// The outcome of a job that the server no longer knows.
fn lost(server: &str) -> Outcome {
    Outcome::Failed {
        error: json!({
            "type": "interrupted",
            "message": format!(
                "the emulator was restarted during the run, and {server} no longer knows it"
            ),
        }),
        outputs: serde_json::Map::new(),
        files: Vec::new(),
    }
}

fn driven(outcome: Outcome) -> DrivenResult {
    let (end, outputs, files) = match outcome {
        Outcome::Succeeded { outputs, files } => (DrivenEnd::Succeeded, outputs, files),
        Outcome::Failed { error, outputs, files } => (DrivenEnd::Failed(error), outputs, files),
        Outcome::Cancelled => (DrivenEnd::Cancelled, serde_json::Map::new(), Vec::new()),
    };
    let stored = |file: comfyui::StoredFile| DrivenFile {
        kind: file.kind.as_str().to_owned(),
        subfolder: file.subfolder,
        filename: file.filename,
        path: file.path,
    };
    DrivenResult { end, outputs, files: files.into_iter().map(stored).collect() }
}
