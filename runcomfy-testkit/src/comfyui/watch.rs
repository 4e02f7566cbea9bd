//! Watches an accepted job until it ends, is removed, or is lost.
//!
//! WebSocket events only trigger polls; the history and the queue are authoritative. Without the WebSocket,
//! polls are more frequent, so a missed message does no harm.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    api::{Api, JobPosition},
    error::{ComfyError, ComfyErrorKind},
    event::JobEvent,
    history,
    identity::Identity,
    job::Progress,
    socket::Socket,
};

/// A watched job and its state.
pub(super) struct Watch<'a> {
    api: &'a Api,
    identity: &'a Identity,
    cancelled: &'a CancellationToken,
    /// It is being cancelled.
    stopping: bool,
    /// It is being cancelled because it ran for too long.
    overdue: bool,
    /// It was seen in the queue.
    seen: bool,
    /// It was seen to have left the queue.
    started: bool,
    /// The server was unreachable, so it may have been restarted.
    may_have_restarted: bool,
    /// When the server last responded.
    last_reply: Instant,
}

/// How the watch ended.
pub(super) enum WatchEnd {
    /// The server does not know the job, and it was not removed as far as is known.
    Forgotten,
    /// The history entry. The job may have been interrupted.
    Finished(Value),
    Lost(ComfyError),
    /// It was removed from the queue.
    Removed,
    /// It ran for too long and may still run.
    TooLong,
}

/// Where a job was found.
pub(super) enum JobLocation {
    Finished(Value),
    InQueue(JobPosition),
    Nowhere,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        api: &'a Api,
        identity: &'a Identity,
        cancelled: &'a CancellationToken,
    ) -> Self {
        Self {
            api,
            identity,
            cancelled,
            stopping: false,
            overdue: false,
            seen: false,
            started: false,
            may_have_restarted: false,
            last_reply: Instant::now(),
        }
    }

    /// Whether it was cancelled because it ran for too long.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue
    }

    pub(super) async fn run(
        &mut self,
        mut socket: Option<Socket>,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> WatchEnd {
        let times = self.api.times();
        let end = Instant::now() + times.longest_run;
        let given_up = end + times.stalled;
        // Polls at once, because the job may have ended before the WebSocket was connected.
        let mut poll_at = Instant::now();
        let mut connect_at = poll_at;
        loop {
            let mut wait = times.recheck;
            tokio::select! {
                () = self.cancelled.cancelled(), if !self.stopping => self.stopping = true,
                () = sleep_until(end), if !self.stopping => {
                    self.overdue = true;
                    self.stopping = true;
                }
                () = sleep_until(given_up) => return WatchEnd::TooLong,
                event = next(socket.as_mut(), &self.identity.prompt_id) => match event {
                    Some(JobEvent::Ended) => {
                        self.last_reply = Instant::now();
                        // The history entry usually exists now. If not, it will soon.
                        wait = times.poll;
                    }
                    Some(event) => {
                        self.last_reply = Instant::now();
                        self.tell(event, progress);
                        continue;
                    }
                    None => {
                        socket = None;
                        self.may_have_restarted = true;
                        connect_at = Instant::now() + times.poll;
                    }
                },
                () = sleep_until(poll_at) => {}
            }
            match self.check_and_stop(progress).await {
                Ok(None) => {}
                Ok(Some(end)) => {
                    if let Some(socket) = socket {
                        socket.close().await;
                    }
                    return end;
                }
                Err(error) if self.is_hopeless(&error) => return WatchEnd::Lost(error),
                Err(_) => self.may_have_restarted = true,
            }
            if socket.is_none() && Instant::now() >= connect_at {
                socket = Socket::connect(self.api, &self.identity.client_id).await.ok();
                connect_at = Instant::now() + times.poll;
            }
            poll_at = Instant::now()
                + match socket {
                    _ if self.stopping => times.interrupt,
                    Some(_) => wait,
                    None => times.poll,
                };
        }
    }

    fn tell(&mut self, event: JobEvent, progress: &mut impl FnMut(Progress)) {
        self.has_started(Duration::ZERO, progress);
        match event {
            JobEvent::Ended | JobEvent::Started => {}
            JobEvent::Node(node) => progress(Progress::Node(node)),
            JobEvent::Step { node, value, max } => progress(Progress::Step { node, value, max }),
        }
    }

    fn has_started(&mut self, ago: Duration, progress: &mut impl FnMut(Progress)) {
        if !self.started {
            self.started = true;
            progress(Progress::Started { ago });
        }
    }

    /// Finds the job and cancels it if requested. Returns its end, if it has ended.
    async fn check_and_stop(
        &mut self,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<Option<WatchEnd>, ComfyError> {
        let seen = locate(self.api, self.identity).await?;
        self.last_reply = Instant::now();
        Ok(match seen {
            JobLocation::Finished(entry) => {
                self.has_started(history::ran(&entry).unwrap_or_default(), progress);
                Some(WatchEnd::Finished(entry))
            }
            JobLocation::InQueue(place) => {
                self.seen = true;
                if place == JobPosition::Running {
                    self.has_started(Duration::ZERO, progress);
                }
                if self.stopping {
                    let prompt_id = &self.identity.prompt_id;
                    match place {
                        JobPosition::Pending => self.api.delete(prompt_id).await?,
                        JobPosition::Running => self.api.interrupt(prompt_id).await?,
                    }
                }
                None
            }
            JobLocation::Nowhere if self.stopping => Some(WatchEnd::Removed),
            // Somebody else removed it from the queue. Had the server been unreachable, it could also have
            // been restarted.
            JobLocation::Nowhere if self.seen && !self.started && !self.may_have_restarted => {
                Some(WatchEnd::Removed)
            }
            JobLocation::Nowhere => Some(WatchEnd::Forgotten),
        })
    }

    fn is_hopeless(&self, error: &ComfyError) -> bool {
        let times = self.api.times();
        let patience = if error.is_absence() { times.gone } else { times.stalled };
        error.kind() == ComfyErrorKind::TooLarge || self.last_reply.elapsed() >= patience
    }
}

/// Finds a job. The history is read before and after the queue, so that a job that moves from one to the
/// other is not missed.
pub(super) async fn locate(api: &Api, identity: &Identity) -> Result<JobLocation, ComfyError> {
    if let Some(entry) = api.history(identity).await? {
        return Ok(JobLocation::Finished(entry));
    }
    let queue = api.queue().await?;
    if let Some((place, _)) = queue.iter().find(|(_, job)| identity.is(job)) {
        return Ok(JobLocation::InQueue(*place));
    }
    Ok(api.history(identity).await?.map_or(JobLocation::Nowhere, JobLocation::Finished))
}

/// The next event. Pending forever without a socket.
async fn next(socket: Option<&mut Socket>, prompt_id: &str) -> Option<JobEvent> {
    match socket {
        Some(socket) => socket.next(prompt_id).await,
        None => std::future::pending().await,
    }
}
