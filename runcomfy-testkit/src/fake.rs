//! `FakeRunComfy`: the service in memory.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use runcomfy_core::{
    Cancellation, CreateDeployment, Deleted, Deployment, DeploymentId, Error, Include,
    InferenceRequest, ListDeployments, Operation, ProxyCall, ProxyReply, RequestId, RequestResult,
    RequestStatus, RunComfyApi, Submission, UpdateDeployment, Updated,
};
use tokio::time::Instant;
use url::Url;

use crate::{account::Account, outputs::File, script::Script};

mod builder;
mod calls;
mod failure;

pub use builder::FakeBuilder;
pub use calls::Call;
use failure::{Comes, Failure};

/// RunComfy in memory, for one account: a model of the service with a queue, instances and outputs.
///
/// A cheap handle: clones share everything. Its time is tokio's, so a test under a paused clock waits
/// minutes in no time. Nothing runs in the background: what has happened is worked out from the time that
/// has passed when somebody asks.
///
/// ```
/// use std::time::Duration;
/// use runcomfy_core::{InferenceRequest, RunComfyApi as _, Wait, WaitEnd};
/// use runcomfy_testkit::{FakeRunComfy, Script};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let api = FakeRunComfy::builder()
///     .empty()
///     .deployment("dep_1")
///     .next_request(Script::default().queued(Duration::from_secs(90)))
///     .build();
/// let deployment_id = runcomfy_core::DeploymentId::new("dep_1")?;
/// let run = api.submit_request(&InferenceRequest::new(deployment_id.clone())).await?;
/// let end = Wait::new(&api, deployment_id, run.request_id).finish().await?;
/// assert!(matches!(end, WaitEnd::Finished(_)));
/// assert_eq!(api.submits_seen().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FakeRunComfy {
    /// When its time began.
    born: Instant,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    account: Account,
    failures: VecDeque<Failure>,
    calls: VecDeque<Call>,
    counts: HashMap<Operation, usize>,
    most_calls: usize,
    /// Whether the addresses that it names were chosen by whoever built it.
    addresses_chosen: bool,
}

impl FakeRunComfy {
    /// Starts one with the sample deployments and the service's usual times.
    pub fn builder() -> FakeBuilder {
        FakeBuilder::new()
    }

    /// Has the next submit that is not scripted yet follow this script.
    pub fn next_request(&self, script: Script) {
        self.lock().account.scripts.push_back(script);
    }

    /// Has the next call fail with this error and no effect: the next of `operation`, or the next at all
    /// with `None`. Several wait their turn.
    pub fn next_call_fails(&self, operation: impl Into<Option<Operation>>, error: Error) {
        self.lock().failures.push_back(Failure::instead(operation, error));
    }

    /// Has the next call take effect and then fail with this error, as when the connection breaks before
    /// the answer comes: the next of `operation`, or the next at all with `None`. Waits its turn among
    /// those of [`next_call_fails`](Self::next_call_fails). A call that is refused anyway says so instead.
    pub fn next_answer_lost(&self, operation: impl Into<Option<Operation>>, error: Error) {
        self.lock().failures.push_back(Failure::after(operation, error));
    }

    /// Has the next proxy call that reaches a live instance answer this.
    pub fn next_proxy_reply(&self, reply: ProxyReply) {
        self.lock().account.proxy_replies.push_back(reply);
    }

    /// Every call so far, failed ones included; the last 10,000 unless the builder was told otherwise.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.iter().cloned().collect()
    }

    /// How many calls of this operation there were, also of those that [`calls`](Self::calls) has forgotten.
    #[must_use]
    pub fn calls_of(&self, operation: Operation) -> usize {
        self.lock().counts.get(&operation).copied().unwrap_or_default()
    }

    /// How many submits were accepted, whether or not their answers arrived. Each is a run, even if it was
    /// cancelled before it got an instance.
    #[must_use]
    pub fn runs_started(&self) -> u64 {
        self.lock().account.runs_started()
    }

    /// What was submitted, whether or not it was accepted, among [`calls`](Self::calls).
    #[must_use]
    pub fn submits_seen(&self) -> Vec<InferenceRequest> {
        let submitted = |call: &Call| match call {
            Call::SubmitRequest(request) => Some(request.clone()),
            _ => None,
        };
        self.lock().calls.iter().filter_map(submitted).collect()
    }

    /// Submits a run that follows this script, whatever was scripted for the next ones.
    pub(crate) fn submit_scripted(
        &self,
        request: &InferenceRequest,
        script: Script,
    ) -> Result<Submission, Error> {
        self.answer(Call::SubmitRequest(request.clone()), |account, now| {
            account.scripts.push_front(script);
            let submitted = account.submit_request(now, request);
            if submitted.is_err() {
                // Refused before it took its script, which is not for the next one.
                account.scripts.pop_front();
            }
            submitted
        })
    }

    /// Names files and addresses below `base` from now on, unless the builder was told where they are.
    pub(crate) fn serve_at(&self, base: &Url) {
        let mut inner = self.lock();
        if !inner.addresses_chosen {
            let settings = &mut inner.account.settings;
            (settings.api_base, settings.output_base) = (base.clone(), base.clone());
        }
    }

    /// A file that a run of this account made.
    pub(crate) fn file(
        &self,
        request_id: &RequestId,
        kind: &str,
        subfolder: &str,
        filename: &str,
    ) -> Option<File> {
        let (mut inner, now) = self.lock_now();
        inner.account.file(now, request_id, kind, subfolder, filename)
    }

    /// Records the call and does `what`, unless it is to fail before or after that.
    fn answer<T>(
        &self,
        call: Call,
        what: impl FnOnce(&mut Account, Duration) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mut inner, now) = self.lock_now();
        let operation = call.operation();
        *inner.counts.entry(operation).or_default() += 1;
        if inner.most_calls > 0 {
            while inner.calls.len() >= inner.most_calls {
                inner.calls.pop_front();
            }
            inner.calls.push_back(call);
        }
        let place = inner.failures.iter().position(|failure| failure.is_for(operation));
        match place.and_then(|place| inner.failures.remove(place)) {
            None => what(&mut inner.account, now),
            Some(Failure { error, comes: Comes::InPlaceOfTheEffect, .. }) => Err(error),
            Some(Failure { error, comes: Comes::AfterTheEffect, .. }) => {
                what(&mut inner.account, now).and(Err(error))
            }
        }
    }

    /// Everything, and the time. Read in this order, no two calls see it go backwards.
    fn lock_now(&self) -> (MutexGuard<'_, Inner>, Duration) {
        let inner = self.lock();
        (inner, self.born.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held is a test's own; what it shows is still the best there is.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for FakeRunComfy {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for FakeRunComfy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeRunComfy")
            .field("calls", &self.lock().calls.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RunComfyApi for FakeRunComfy {
    async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error> {
        self.answer(Call::ListDeployments(query.clone()), |account, _| {
            Ok(account.list_deployments(query))
        })
    }

    async fn get_deployment(
        &self,
        deployment_id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error> {
        let call = Call::GetDeployment { deployment_id: deployment_id.clone(), include };
        self.answer(call, |account, now| account.get_deployment(now, deployment_id, include))
    }

    async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        self.answer(Call::CreateDeployment(request.clone()), |account, now| {
            account.create_deployment(now, request)
        })
    }

    async fn update_deployment(
        &self,
        deployment_id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<Updated, Error> {
        let call = Call::UpdateDeployment {
            deployment_id: deployment_id.clone(),
            changes: changes.clone(),
        };
        self.answer(call, |account, now| account.update_deployment(now, deployment_id, changes))
    }

    async fn delete_deployment(&self, deployment_id: &DeploymentId) -> Result<Deleted, Error> {
        let call = Call::DeleteDeployment { deployment_id: deployment_id.clone() };
        self.answer(call, |account, now| account.delete_deployment(now, deployment_id))
    }

    async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error> {
        self.answer(Call::SubmitRequest(request.clone()), |account, now| {
            account.submit_request(now, request)
        })
    }

    async fn get_request_status(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestStatus, Error> {
        let call = Call::GetRequestStatus {
            deployment_id: deployment_id.clone(),
            request_id: request_id.clone(),
        };
        self.answer(call, |account, now| account.get_request_status(now, deployment_id, request_id))
    }

    async fn get_request_result(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestResult, Error> {
        let call = Call::GetRequestResult {
            deployment_id: deployment_id.clone(),
            request_id: request_id.clone(),
        };
        self.answer(call, |account, now| account.get_request_result(now, deployment_id, request_id))
    }

    async fn cancel_request(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<Cancellation, Error> {
        let call = Call::CancelRequest {
            deployment_id: deployment_id.clone(),
            request_id: request_id.clone(),
        };
        self.answer(call, |account, now| account.cancel_request(now, deployment_id, request_id))
    }

    async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error> {
        self.answer(Call::CallInstanceProxy(call.clone()), |account, now| {
            account.call_instance_proxy(now, call)
        })
    }
}
