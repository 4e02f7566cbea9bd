//! Watching a job that a server has, until it is over, gone, or stopped.
//!
//! The WebSocket says when to look; the history and the queue say what is so. Without the WebSocket
//! the looks are just more frequent, so nothing depends on a message that may be missed.

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

/// A job, and what is known of it so far.
pub(super) struct Watch<'a> {
    api: &'a Api,
    identity: &'a Identity,
    cancelled: &'a CancellationToken,
    /// It is to stop.
    stopping: bool,
    /// Not because anyone asked, but for its length.
    overdue: bool,
    /// It was seen in the queue, waiting or running.
    seen: bool,
    /// It left the queue, as far as was seen.
    started: bool,
    /// The server was out of sight, so it may have been restarted.
    may_have_restarted: bool,
    /// When the server last said anything.
    last_reply: Instant,
}

/// How the watch ended.
pub(super) enum WatchEnd {
    /// The server knows nothing of the job and nobody is known to have removed it.
    Forgotten,
    /// This is its history. It may have been stopped.
    Finished(Value),
    Lost(ComfyError),
    /// It was taken out of the queue.
    Removed,
    /// It ran for too long, and may still run.
    TooLong,
}

/// Where a look found a job.
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

    /// Whether it was stopped for its length.
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
        // At once: the job may be over, or so quick that its messages went by before the server had
        // an id for it.
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
                        // Its history is there by now. If ever it is not, it will be soon.
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

    /// Looks where the job is, and stops it where that is wanted. Its end, if this is it.
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
            // In plain sight: somebody else took it out of the queue. Where it never was in sight, its server
            // may have been restarted.
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

/// Where a job is. Asked in this order, so that one on its way from the queue to the history is not
/// overlooked.
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

/// What the socket says next; nothing ever where there is none.
async fn next(socket: Option<&mut Socket>, prompt_id: &str) -> Option<JobEvent> {
    match socket {
        Some(socket) => socket.next(prompt_id).await,
        None => std::future::pending().await,
    }
}
