//! One call under way: whose it is, how it reports, what it holds of the limits, and what outlives its caller.

use std::{future::Future, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Settings,
    pipeline::request::InboundRequest,
    pipeline::{
        auth::Api,
        limits::{CallerId, Limiter, Permit},
        progress::{PATIENCE, Progress},
    },
    result::ToolError,
};

/// What the stages behind authentication need of a call.
pub(crate) struct CallScope {
    /// RunComfy, as the caller's account.
    pub(crate) api: Api,
    /// The tool's name.
    pub(crate) tool: &'static str,
    pub(crate) progress: Progress,
    pub(crate) permits: CallPermits,
    pub(crate) settings: Arc<Settings>,
    /// Fires when the caller no longer waits for the answer.
    pub(crate) cancelled: CancellationToken,
    /// Fires when the server is about to end.
    pub(crate) shutting_down: CancellationToken,
    /// Tasks that shutdown lets finish.
    pub(crate) background: TaskTracker,
}

/// Whose call it is, and what it holds of what is shared.
pub(crate) struct CallPermits {
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) caller: CallerId,
    /// One of the calls that may be under way at once.
    pub(crate) call: Option<Arc<Permit>>,
    /// One of the waits that there may be at once.
    pub(crate) wait: Option<Permit>,
    pub(crate) inbound: Option<InboundRequest>,
}

impl CallScope {
    /// Reports what the call is doing, unless the caller has gone: once a connection has closed, rmcp never sends
    /// notifications, and a call that waits for one to be sent is not answered.
    pub(crate) async fn report_progress(&mut self, sentence: &str) {
        if matches!(self.progress, Progress::Silent) {
            return;
        }
        let (cancelled, shutting_down) = (self.cancelled.clone(), self.shutting_down.clone());
        let reported = async {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => {}
                () = shutting_down.cancelled() => {}
                () = self.progress.report(sentence) => {}
                () = tokio::time::sleep(PATIENCE) => {
                    tracing::debug!("the client is slow to accept progress messages");
                }
            }
        };
        // Boxed, because a call that waits would keep the room for it all along.
        Box::pin(reported).await;
    }

    /// Acquires a permit to wait, before anything is sent: a run that nobody may wait for is better not started.
    pub(crate) fn acquire_wait_permit(&mut self) -> Result<(), ToolError> {
        let permits = &mut self.permits;
        permits.wait = Some(permits.limiter.wait(permits.caller)?);
        Ok(())
    }

    /// Releases the permit among the calls under way and the memory of the message, because a call that only
    /// polls needs neither.
    pub(crate) fn release_for_wait(&mut self) {
        self.permits.call = None;
        if let Some(inbound) = &self.permits.inbound {
            inbound.memory.release();
        }
    }

    /// Returns once nobody waits for the answer any more: the caller has gone, or the server is about to end.
    pub(crate) async fn abandoned(&self) {
        tokio::select! {
            () = self.cancelled.cancelled() => {}
            () = self.shutting_down.cancelled() => {}
        }
    }

    /// Runs `work` in a task of its own, which goes on when nobody waits for it: a caller who goes away must not
    /// leave a write half done, with nobody knowing whether it is billed.
    ///
    /// It begins at once, and the returned future has no room for it.
    pub(crate) fn run_to_completion<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ToolError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, ToolError>> + Send {
        let permit = self.permits.call.clone();
        let task = self.background.spawn(async move {
            let answer = work.await;
            drop(permit); // held to the end
            answer
        });
        async {
            task.await.unwrap_or_else(|_| {
                let message = "the call ended unexpectedly; whether it took effect is unknown";
                Err(ToolError::internal(message))
            })
        }
    }
}
