//! Writes whose response was lost. Reading the resource back tells whether they took effect.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    api::HttpApi,
    base_url::with_list_query,
    decode, encode,
    response::{DecodeContext, RawResponse},
    send::{Call, Deadline},
    state::ClientState,
};
use crate::{
    deployment::{CreateDeployment, DeletedDeployment, Deployment, Include},
    error::{CallKind, Error, ErrorKind, Operation, Outcome},
    id::{DeploymentId, RequestId},
    request::Cancellation,
    retry::{Next, Stage},
    token::Token,
};

/// The attempts of one write, within one deadline.
pub(super) struct WriteAttempts<'a> {
    state: &'a ClientState,
    token: &'a Token,
    deadline: Deadline,
    /// How often it was sent.
    count: u32,
    /// The failure after which it is unknown whether the write took effect.
    unresolved: Option<Error>,
}

impl<'a> WriteAttempts<'a> {
    pub(super) fn new(state: &'a ClientState, token: &'a Token, deadline: Deadline) -> Self {
        Self { state, token, deadline, count: 0, unresolved: None }
    }

    /// Whether it may have taken effect although it seemed to fail.
    fn is_unresolved(&self) -> bool {
        self.unresolved.is_some()
    }

    /// Whether it may be sent once more, `at_most` so often in all.
    pub(super) fn may_repeat(&self, at_most: u32) -> bool {
        self.count < self.state.settings.retry.attempts.min(at_most)
    }

    /// Records the failure of an attempt. `Ok`, after a delay, if the resource is to be read back.
    ///
    /// # Errors
    /// The error of the whole call, if reading back can't help or the deadline or retry budget forbid it.
    pub(super) async fn failed(&mut self, error: Error) -> Result<(), Error> {
        self.count += error.attempts();
        let stage = Stage::of(&error);
        // Only whether it is worth a look: a creation comes here too, and is not repeated.
        if stage.next(CallKind::Idempotent) != Next::ReadBack {
            return Err(self.in_total(error));
        }
        let delay = self.state.settings.retry.pause(&error, self.count, fastrand::f64());
        let (error, delay) =
            self.state.within_budget(error, stage, delay, self.token, self.deadline);
        self.unresolved = Some(error.clone());
        let Some(delay) = delay else { return Err(self.in_total(error)) };
        sleep(delay).await;
        Ok(())
    }

    /// The error of the whole call if reading back did not tell whether the write took effect.
    pub(super) fn unknown_outcome(&self, operation: Operation) -> Error {
        let error =
            self.unresolved.clone().unwrap_or_else(|| Error::new(operation, ErrorKind::TimedOut));
        self.in_total(error)
    }

    /// `error` as that of the whole call. Its outcome is unknown if an earlier attempt may have taken
    /// effect, because a rejection of the last attempt does not undo it.
    fn in_total(&self, error: Error) -> Error {
        let error = if self.is_unresolved() { error.with_outcome(Outcome::Unknown) } else { error };
        error.with_attempts(self.count, self.deadline.started.elapsed())
    }

    /// Reads the resource as it is now.
    pub(super) async fn read_back<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(&DecodeContext<'_>, RawResponse) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.state.send(call, self.token, self.deadline, read).await
    }
}

/// Attempts of a call that can be repeated without a second effect, at most.
const MAX_ATTEMPTS: u32 = 3;

impl HttpApi {
    /// Deletes a deployment. After a lost response, one that is not found counts as deleted.
    pub(super) async fn delete(&self, id: &DeploymentId) -> Result<DeletedDeployment, Error> {
        const OPERATION: Operation = Operation::DeleteDeployment;
        let url = self.deployment_url(id);
        let call = Call::new(OPERATION, Method::DELETE, url.clone()).deployment(id);
        let read_back = Call::new(Operation::GetDeployment, Method::GET, url).deployment(id);
        let token = self.token(OPERATION).map_err(|error| call.with_ids(error))?;
        let deadline = self.state.deadline(OPERATION);
        let mut attempts = WriteAttempts::new(&self.state, token, deadline);
        loop {
            match self.state.send(&call, token, deadline, decode::deleted).await {
                Ok(deleted) => return Ok(deleted),
                Err(error) if attempts.is_unresolved() && is_gone(&error) => {
                    return Ok(DeletedDeployment::already());
                }
                Err(error) => attempts.failed(error).await?,
            }
            match attempts.read_back(&read_back, decode::deployment).await {
                Err(error) if is_gone(&error) => return Ok(DeletedDeployment::already()),
                Ok(_) if attempts.may_repeat(MAX_ATTEMPTS) => {}
                Ok(_) | Err(_) => return Err(attempts.unknown_outcome(OPERATION)),
            }
        }
    }

    /// Cancels a run. After a lost response its status decides, because a second cancellation is refused
    /// whether or not the first took effect.
    pub(super) async fn cancel(
        &self,
        id: &DeploymentId,
        run: &RequestId,
    ) -> Result<Cancellation, Error> {
        const OPERATION: Operation = Operation::CancelRequest;
        let url = self.queue_url(id, &["requests", run.as_str(), "cancel"]);
        let call = Call::new(OPERATION, Method::POST, url).deployment(id).request(run);
        let url = self.queue_url(id, &["requests", run.as_str(), "status"]);
        let read_back =
            Call::new(Operation::GetRequestStatus, Method::GET, url).deployment(id).request(run);
        let token = self.token(OPERATION).map_err(|error| call.with_ids(error))?;
        let deadline = self.state.deadline(OPERATION);
        let mut attempts = WriteAttempts::new(&self.state, token, deadline);
        let read = |context: &DecodeContext<'_>, answer| decode::cancellation(context, answer, run);
        loop {
            let said = match self.state.send(&call, token, deadline, read).await {
                Ok(said) if !attempts.is_unresolved() || said.accepted() == Some(true) => {
                    return Ok(said);
                }
                // "Not cancellable" may be the doing of the attempt before.
                Ok(said) => Some(said),
                Err(error) => {
                    attempts.failed(error).await?;
                    None
                }
            };
            let read = |context: &DecodeContext<'_>, answer| decode::status(context, answer, run);
            let Ok(status) = attempts.read_back(&read_back, read).await else {
                return Err(attempts.unknown_outcome(OPERATION));
            };
            if said.is_none() && !status.state().is_finished() {
                if attempts.may_repeat(MAX_ATTEMPTS) {
                    continue;
                }
                return Err(attempts.unknown_outcome(OPERATION));
            }
            let mut said = said.unwrap_or_default();
            said.request_id.get_or_insert_with(|| run.clone());
            said.observed_status = Some(status.status.unwrap_or_default());
            return Ok(said);
        }
    }

    /// Creates a deployment. Once the request may have arrived it is never sent again. The error then lists
    /// the deployments of that name, so that the caller can decide.
    pub(super) async fn create(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        const OPERATION: Operation = Operation::CreateDeployment;
        let url = self.deployments_url();
        let call = Call::new(OPERATION, Method::POST, url).body(encode::creation(request)?);
        let token = self.token(OPERATION)?;
        let deadline = self.state.deadline(OPERATION);
        let error = match self.state.send(&call, token, deadline, decode::deployment).await {
            Ok(deployment) => return Ok(deployment),
            Err(error) => error,
        };
        let mut attempts = WriteAttempts::new(&self.state, token, deadline);
        attempts.failed(error).await?;
        let url = with_list_query(self.deployments_url(), Include::none(), &[]);
        let read_back = Call::new(Operation::ListDeployments, Method::GET, url);
        let error = |attempts: &WriteAttempts<'_>| attempts.unknown_outcome(OPERATION);
        match attempts.read_back(&read_back, decode::deployments).await {
            Ok(all) => Err(error(&attempts).with_detail(namesakes(request, &all))),
            Err(_) => Err(error(&attempts)),
        }
    }
}

fn is_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && error.outcome() == Outcome::Rejected
}

/// The deployments that may be the one that was to be made: of its name, and not of another workflow.
fn namesakes(request: &CreateDeployment, all: &[Deployment]) -> Value {
    let same = all.iter().filter(|one| {
        let workflow = one.workflow_id.as_deref();
        one.name.as_deref() == Some(&request.name)
            && workflow.is_none_or(|id| id == request.workflow_id.as_str())
    });
    let listed: Vec<_> =
        same.map(|one| json!({"deployment_id": one.id, "created_at": one.created_at})).collect();
    json!({ "deployments_of_that_name": listed })
}
