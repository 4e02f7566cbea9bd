//! `FakeRunComfy`: the service in memory.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use runcomfy_core::{Error, InferenceRequest, Operation, Outcome, ProxyReply, RequestId};
use tokio::sync::Notify;
use url::Url;

use crate::{
    account::{Account, StartedRun},
    clock::Clock,
    history::Event,
    outputs::File,
    script::Script,
    sync::lock,
};

mod builder;
mod calls;
mod driver;
mod emulator_api;
mod failure;
mod folder;
mod recorder;
mod service;

pub use builder::FakeBuilder;
pub use calls::Call;
pub(crate) use driver::{Driver, DriverCommand};
use failure::{Failure, FailureEffect};
pub(crate) use recorder::EventRecorder;

/// RunComfy in memory, for one account: a model of the service with a queue, instances and outputs.
///
/// The ids that it gives are the same each time: they follow from the builder's seed, and from what was asked
/// for before. An `Emulator` gives its accounts seeds of their own.
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
    clock: Clock,
    inner: Arc<Mutex<FakeState>>,
}

struct FakeState {
    account: Account,
    scripts: VecDeque<Script>,
    /// Writes down what happens, where it is to outlive the process.
    recorder: Option<EventRecorder>,
    /// Runs what is submitted, where that is not left to time.
    driver: Option<Driver>,
    /// Why nothing can be written down any more.
    record_failure: Option<String>,
    /// Told of every change.
    changed: Arc<Notify>,
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
        self.lock().scripts.push_back(script);
    }

    /// Has the next call fail with this error and no effect: the next of `operation`, or the next at all
    /// with `None`. Several wait their turn.
    pub fn next_call_fails(&self, operation: impl Into<Option<Operation>>, error: Error) {
        self.lock().failures.push_back(Failure::instead(operation, error));
    }

    /// Has the next call take effect and then fail with this error, as when the connection breaks before
    /// the answer effect: the next of `operation`, or the next at all with `None`. Waits its turn among
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

    /// Every run that was accepted, in order, as far as its deployment is still there: what took effect,
    /// whatever callers were told.
    #[must_use]
    pub fn runs(&self) -> Vec<StartedRun> {
        self.lock().account.runs()
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

    /// Records a call that changes nothing, and does `what`, unless it is to fail before or after that.
    fn answer<T>(
        &self,
        call: Call,
        what: impl FnOnce(&mut Account, Duration) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mut inner, now) = self.lock_now();
        match inner.record_call(call) {
            None => what(&mut inner.account, now),
            Some(Failure { error, effect: FailureEffect::InsteadOfEffect, .. }) => Err(error),
            Some(Failure { error, effect: FailureEffect::AfterEffect, .. }) => {
                what(&mut inner.account, now).and(Err(error))
            }
        }
    }

    /// The same for a call that changes something, which is kept before anybody is told.
    async fn change<T>(
        &self,
        call: Call,
        what: impl FnOnce(&mut FakeState, Duration) -> Result<(T, Event), Error>,
    ) -> Result<T, Error> {
        let operation = call.operation();
        let (outcome, kept) = {
            let (mut inner, now) = self.lock_now();
            let failure = match inner.record_call(call) {
                Some(Failure { error, effect: FailureEffect::InsteadOfEffect, .. }) => {
                    return Err(error);
                }
                failure => failure,
            };
            if let Some(why) = &inner.record_failure {
                return Err(recorder::record_error(operation, why).with_outcome(Outcome::Rejected));
            }
            let (answer, event) = what(&mut inner, now)?;
            let kept = inner.record_event(now, event);
            (failure.map_or(Ok(answer), |failure| Err(failure.error)), kept)
        };
        if let Err(why) = kept.await {
            // It has happened, but would be forgotten: nobody may rely on it, and nothing more happens.
            let error = recorder::record_error(operation, &why);
            self.lock().record_failure.get_or_insert(why);
            return Err(error);
        }
        outcome
    }

    /// Everything, and the time. Read in this order, no two calls see it go backwards.
    fn lock_now(&self) -> (MutexGuard<'_, FakeState>, Duration) {
        let inner = self.lock();
        (inner, self.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, FakeState> {
        lock(&self.inner)
    }
}

impl FakeState {
    /// Counts and remembers a call. How it is to fail, if it is.
    fn record_call(&mut self, call: Call) -> Option<Failure> {
        let operation = call.operation();
        *self.counts.entry(operation).or_default() += 1;
        if self.most_calls > 0 {
            while self.calls.len() >= self.most_calls {
                self.calls.pop_front();
            }
            self.calls.push_back(call);
        }
        let place = self.failures.iter().position(|failure| failure.is_for(operation))?;
        self.failures.remove(place)
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
