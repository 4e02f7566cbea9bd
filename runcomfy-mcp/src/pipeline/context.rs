//! What a tool gets besides its arguments.

use std::{future::Future, sync::Arc};

use runcomfy_core::{Error, wait::SharedWaits};
use tokio_util::sync::CancellationToken;

use crate::{
    pipeline::{
        auth::Api, deployment_cache::DeploymentCache, idempotency::IdempotencyScope,
        limits::CallerId, scope::CallScope,
    },
    result::ToolError,
};

/// A tool's call, past all checks.
pub(crate) struct ToolContext {
    pub(crate) scope: CallScope,
    /// What is known of calls that are made at most once.
    pub(crate) ledger: IdempotencyScope,
    /// Callers who wait for the same run share one poller.
    pub(crate) waits: SharedWaits<CallerId>,
    pub(crate) deployments: Arc<DeploymentCache>,
    /// Fires when the one client of a pipe has closed it.
    pub(crate) disconnected: CancellationToken,
    /// Whether a wait is better answered with a task, because the client asks for its end by itself.
    pub(crate) tasks: bool,
}

impl ToolContext {
    /// Makes a call that changes something, in a task of its own: see [`CallScope::run_to_completion`].
    pub(crate) async fn write<T, F>(&self, write: impl FnOnce(Api) -> F) -> Result<T, ToolError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let write = write(Arc::clone(&self.scope.api));
        let writing = self.ledger.begin_write(self.scope.tool, None, None);
        self.scope
            .run_to_completion(async move {
                let answer = write.await;
                let outcome =
                    answer.as_ref().map_or_else(|error| error.outcome().as_str(), |_| "applied");
                writing.ended(outcome, None);
                answer.map_err(ToolError::from)
            })
            .await
    }

    /// Has the next call look at the deployment again, because this one has changed it.
    pub(crate) fn forget_deployment(&self, id: &runcomfy_core::DeploymentId) {
        self.deployments.forget(self.scope.permits.caller, id);
    }
}
