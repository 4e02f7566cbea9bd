//! Updates: each sends the name, they are serialised per deployment, and a lost response is reconciled.

use reqwest::Method;
use tokio::time::timeout_at;

use super::{
    api::HttpApi,
    decode, encode,
    reconcile::WriteAttempts,
    send::{Call, Deadline},
};
use crate::{
    deployment::{UpdateDeployment, UpdatedDeployment},
    error::{Error, ErrorKind, Operation, Outcome},
    id::DeploymentId,
    token::Token,
};

const OPERATION: Operation = Operation::UpdateDeployment;
/// Each names absolute values, so a second one does what the first did; a third would hardly help.
const MAX_ATTEMPTS: u32 = 2;

impl HttpApi {
    /// Updates; after a lost response, the deployment is read and compared with what was asked for.
    pub(super) async fn update(
        &self,
        id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<UpdatedDeployment, Error> {
        let url = self.deployment_url(id);
        let mut call = Call::new(OPERATION, Method::PATCH, url.clone()).deployment(id);
        let read_back = Call::new(Operation::GetDeployment, Method::GET, url).deployment(id);
        if changes.is_empty() {
            let error = Error::new(OPERATION, ErrorKind::InvalidArgument);
            return Err(call.with_ids(error.with_message("no change is given")));
        }
        let token = self.token(OPERATION).map_err(|error| call.with_ids(error))?;
        let deadline = self.state.deadline(OPERATION);

        // One at a time: between another's read of the name and its write, a rename would be undone.
        let lock = self.state.locks.of(token, id);
        let Ok(_turn) = timeout_at(deadline.ends, lock.lock()).await else {
            let error = Error::new(OPERATION, ErrorKind::TimedOut).with_outcome(Outcome::NotSent);
            return Err(call.with_ids(error).with_attempts(1, deadline.started.elapsed()));
        };
        let mut name = match &changes.name {
            Some(name) => name.clone(),
            None => self.current_name(&read_back, token, deadline).await?,
        };
        let mut renamed = false;
        let mut attempts = WriteAttempts::new(&self.state, token, deadline);
        loop {
            // Another's name beside ours: theirs came while we wrote ours.
            let clashes = |now: Option<&String>, sent: &String| {
                changes.name.is_none() && now.is_some_and(|now| now != sent)
            };
            call.body = Some(encode::update(&name, changes)?);
            match self.state.send(&call, token, deadline, decode::deployment).await {
                Ok(deployment) => {
                    renamed |= clashes(deployment.name.as_ref(), &name);
                    let mut updated = UpdatedDeployment::new(deployment);
                    updated.name_race_possible = renamed;
                    return Ok(updated);
                }
                Err(error) => attempts.failed(error).await?,
            }
            let Ok(now) = attempts.read_back(&read_back, decode::deployment).await else {
                return Err(attempts.unknown_outcome(OPERATION));
            };
            renamed |= clashes(now.name.as_ref(), &name);
            if changes.are_in(&now) {
                let mut updated = UpdatedDeployment::new(now);
                (updated.name_race_possible, updated.found_applied) = (renamed, true);
                return Ok(updated);
            }
            if !attempts.may_repeat(MAX_ATTEMPTS) {
                return Err(attempts.unknown_outcome(OPERATION));
            }
            // A second update with the old name would undo a rename that has been seen.
            if changes.name.is_none()
                && let Some(now) = now.name.filter(|name| !name.trim().is_empty())
            {
                name = now;
            }
        }
    }

    /// The name that a deployment has, which the service wants in every update.
    async fn current_name(
        &self,
        read_back: &Call<'_>,
        token: &Token,
        deadline: Deadline,
    ) -> Result<String, Error> {
        let read = self.state.send(read_back, token, deadline, decode::deployment).await;
        let deployment = read.map_err(|error| {
            // The update itself was not sent, whatever became of the read.
            let outcome = match error.outcome() {
                Outcome::Rejected => Outcome::Rejected,
                Outcome::Applied | Outcome::NotSent | Outcome::Unknown => Outcome::NotSent,
            };
            error.with_operation(OPERATION).with_outcome(outcome)
        })?;
        deployment.name.filter(|name| !name.trim().is_empty()).ok_or_else(|| {
            read_back
                .with_ids(Error::new(OPERATION, ErrorKind::UpstreamProtocol))
                .with_outcome(Outcome::NotSent)
                .with_message("the deployment has no name to send along")
        })
    }
}
