//! A call on its way out, and what comes of it.

use std::{future::Future, sync::Arc};

use runcomfy_core::{DeploymentId, Error};
use serde::Serialize;

use super::{effect::Effect, fingerprint::Fingerprint, scope::IdempotencyScope};
use crate::pipeline::{auth::Api, scope::CallScope};

/// What came of a call that is made at most once.
#[derive(Debug)]
pub(crate) struct Executed<T> {
    pub(crate) value: T,
    /// It is what came of an earlier call; this one has sent nothing.
    pub(crate) replayed: bool,
    /// It took effect, but could not be written down: a repetition would not be answered with it.
    pub(crate) not_recorded: bool,
}

/// What is asked for.
pub(crate) struct Asked {
    pub(crate) fingerprint: Fingerprint,
    /// Where it is to be done, if there is such a place already.
    pub(crate) deployment_id: Option<DeploymentId>,
}

/// A call on its way out, with all that is said of it.
pub(super) struct Sending {
    api: Api,
    tool: &'static str,
    asked: Asked,
    ledger: IdempotencyScope,
}

impl Sending {
    pub(super) fn new(scope: &CallScope, ledger: &IdempotencyScope, asked: Asked) -> Self {
        Self { api: Arc::clone(&scope.api), tool: scope.tool, asked, ledger: ledger.clone() }
    }

    /// Sends it, with a line in the log before and after: RunComfy lists no requests, so that this is what an
    /// operator has to tell what may have been billed.
    pub(super) async fn sent<T, F>(&self, send: impl FnOnce(Api) -> F) -> (Result<T, Error>, Effect)
    where
        T: Serialize,
        F: Future<Output = Result<T, Error>>,
    {
        let tool = self.tool;
        let (short, arguments) = (self.ledger.caller(), self.asked.fingerprint.short());
        let deployment_id = self.asked.deployment_id.as_ref().map(DeploymentId::as_str);
        let writing = self.ledger.begin_write(tool, Some(arguments), deployment_id);
        tracing::info!(tool, account = short, arguments, "{tool} starts for {short}: {arguments}");
        let answer = send(Arc::clone(&self.api)).await;
        let effect = Effect::of(&answer);
        let outcome = answer.as_ref().map_or_else(|error| error.outcome().as_str(), |_| "applied");
        tracing::info!(
            tool,
            account = short,
            arguments,
            outcome,
            "{tool} ended for {short}: {arguments}, {outcome}"
        );
        writing.ended(outcome, effect.value());
        (answer, effect)
    }

    /// It was sent before, and its answer is given once more.
    pub(super) fn repeated(&self) {
        let IdempotencyScope { writes, receipt, .. } = &self.ledger;
        writes.repeated(self.tool, self.ledger.caller(), receipt, self.asked.fingerprint.short());
    }
}
