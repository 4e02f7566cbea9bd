//! Writes whose answer was lost: what the service has now tells whether they took effect.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    api::HttpApi,
    base_url::with_list_query,
    body,
    response::{Answer, Context},
    send::{Call, Deadline},
    state::ClientState,
    wire,
};
use crate::{
    deployment::{CreateDeployment, Deleted, Deployment, Include},
    error::{CallKind, Error, ErrorKind, Operation, Outcome},
    id::{DeploymentId, RequestId},
    request::Cancellation,
    retry::{Next, Stage},
    token::Token,
};

/// The tries of one write that may be looked up, within one deadline.
pub(super) struct Tries<'a> {
    state: &'a ClientState,
    token: &'a Token,
    deadline: Deadline,
    /// How often it was sent.
    count: u32,
    /// The failure that left it open whether it took effect.
    open: Option<Error>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(state: &'a ClientState, token: &'a Token, deadline: Deadline) -> Self {
        Self { state, token, deadline, count: 0, open: None }
    }

    /// Whether it may have taken effect although it seemed to fail.
    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it may be sent once more, `at_most` so often in all.
    pub(super) fn may_repeat(&self, at_most: u32) -> bool {
        self.count < self.state.settings.retry.attempts.min(at_most)
    }

    /// Takes the failure of a try, and waits a moment where it is to be looked up whether it took effect.
    ///
    /// # Errors
    /// What the whole call fails with, where looking is of no use or can't be afforded.
    pub(super) async fn failed(&mut self, error: Error) -> Result<(), Error> {
        self.count += error.attempts();
        let stage = Stage::of(&error);
        // Only whether it is worth a look: a creation comes here too, and is not repeated.
        if stage.next(CallKind::Idempotent) != Next::LookFirst {
            return Err(self.told(error));
        }
        let delay = self.state.settings.retry.pause(&error, self.count, fastrand::f64());
        let (error, delay) = self.state.affordable(error, stage, delay, self.token, self.deadline);
        self.open = Some(error.clone());
        let Some(delay) = delay else { return Err(self.told(error)) };
        sleep(delay).await;
        Ok(())
    }

    /// The failure that left it open, where looking did not settle it either.
    pub(super) fn unsettled(&self, operation: Operation) -> Error {
        let open = self.open.clone().unwrap_or_else(|| Error::new(operation, ErrorKind::TimedOut));
        self.told(open)
    }

    /// `error` as that of the whole call: a refusal now says nothing of an earlier try that may have got
    /// through.
    fn told(&self, error: Error) -> Error {
        let error = if self.is_open() { error.with_outcome(Outcome::Unknown) } else { error };
        error.with_attempts(self.count, self.deadline.started.elapsed())
    }

    /// Reads what the service has now.
    pub(super) async fn look<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(&Context<'_>, Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.state.send(call, self.token, self.deadline, read).await
    }
}

/// Tries of a call that can be repeated without a second effect, at most.
const TRIES: u32 = 3;

impl HttpApi {
    /// Deletes; after a lost answer, a deployment that is not there has been deleted.
    pub(super) async fn delete(&self, id: &DeploymentId) -> Result<Deleted, Error> {
        const OPERATION: Operation = Operation::DeleteDeployment;
        let url = self.deployment_url(id);
        let call = Call::new(OPERATION, Method::DELETE, url.clone()).deployment(id);
        let look = Call::new(Operation::GetDeployment, Method::GET, url).deployment(id);
        let token = self.token(OPERATION).map_err(|error| call.named(error))?;
        let deadline = self.state.deadline(OPERATION);
        let mut tries = Tries::new(&self.state, token, deadline);
        loop {
            match self.state.send(&call, token, deadline, wire::deleted).await {
                Ok(deleted) => return Ok(deleted),
                Err(error) if tries.is_open() && is_gone(&error) => return Ok(Deleted::already()),
                Err(error) => tries.failed(error).await?,
            }
            match tries.look(&look, wire::deployment).await {
                Err(error) if is_gone(&error) => return Ok(Deleted::already()),
                Ok(_) if tries.may_repeat(TRIES) => {}
                Ok(_) | Err(_) => return Err(tries.unsettled(OPERATION)),
            }
        }
    }

    /// Cancels; after a lost answer, the run's status says more than what a second cancellation is told.
    pub(super) async fn cancel(
        &self,
        id: &DeploymentId,
        run: &RequestId,
    ) -> Result<Cancellation, Error> {
        const OPERATION: Operation = Operation::CancelRequest;
        let url = self.queue_url(id, &["requests", run.as_str(), "cancel"]);
        let call = Call::new(OPERATION, Method::POST, url).deployment(id).request(run);
        let url = self.queue_url(id, &["requests", run.as_str(), "status"]);
        let look =
            Call::new(Operation::GetRequestStatus, Method::GET, url).deployment(id).request(run);
        let token = self.token(OPERATION).map_err(|error| call.named(error))?;
        let deadline = self.state.deadline(OPERATION);
        let mut tries = Tries::new(&self.state, token, deadline);
        let read = |context: &Context<'_>, answer| wire::cancellation(context, answer, run);
        loop {
            let said = match self.state.send(&call, token, deadline, read).await {
                Ok(said) if !tries.is_open() || said.accepted() == Some(true) => return Ok(said),
                // "Not cancellable" may be the doing of the try before.
                Ok(said) => Some(said),
                Err(error) => {
                    tries.failed(error).await?;
                    None
                }
            };
            let read = |context: &Context<'_>, answer| wire::status(context, answer, run);
            let Ok(status) = tries.look(&look, read).await else {
                return Err(tries.unsettled(OPERATION));
            };
            if said.is_none() && !status.state().is_finished() {
                if tries.may_repeat(TRIES) {
                    continue;
                }
                return Err(tries.unsettled(OPERATION));
            }
            let mut said = said.unwrap_or_default();
            said.request_id.get_or_insert_with(|| run.clone());
            said.observed_status = Some(status.status.unwrap_or_default());
            return Ok(said);
        }
    }

    /// Creates. It is never sent again once it may have arrived; but then the deployments of that name are
    /// listed in the error, for whoever decides what to do.
    pub(super) async fn create(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        const OPERATION: Operation = Operation::CreateDeployment;
        let url = self.deployments_url();
        let call = Call::new(OPERATION, Method::POST, url).body(body::creation(request)?);
        let token = self.token(OPERATION)?;
        let deadline = self.state.deadline(OPERATION);
        let error = match self.state.send(&call, token, deadline, wire::deployment).await {
            Ok(deployment) => return Ok(deployment),
            Err(error) => error,
        };
        let mut tries = Tries::new(&self.state, token, deadline);
        tries.failed(error).await?;
        let url = with_list_query(self.deployments_url(), Include::none(), &[]);
        let look = Call::new(Operation::ListDeployments, Method::GET, url);
        let error = |tries: &Tries<'_>| tries.unsettled(OPERATION);
        match tries.look(&look, wire::deployments).await {
            Ok(all) => Err(error(&tries).with_detail(namesakes(request, &all))),
            Err(_) => Err(error(&tries)),
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
