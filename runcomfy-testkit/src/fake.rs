//! `FakeRunComfy`: the simulated service in memory.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use runcomfy_core::{
    Error, InferenceRequest, RequestId,
    error::{Operation, Outcome},
    instance::ProxyReply,
};
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
mod emulator_api;
mod failure;
mod folder;
mod recorder;
mod service;

pub use builder::FakeBuilder;
pub use calls::Call;
use failure::{Failure, FailureEffect};
pub(crate) use recorder::EventRecorder;

/// A simulation of RunComfy for one account, with a queue, instances and outputs.
///
/// Its ids are deterministic: they depend on the builder's seed and on the earlier calls. An `Emulator` gives
/// each of its accounts another seed.
///
/// A clone is a handle to the same fake. The fake uses tokio's clock, so a test with a paused clock can wait
/// for minutes of simulated time at once. It starts no background tasks: each call first computes what has
/// happened since the one before.
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
    /// Writes events to the state file.
    recorder: Option<EventRecorder>,
    /// Executes runs in place of the simulation.
    driver: Option<Driver>,
    /// The first failure to write an event. After it, calls that change something fail.
    record_failure: Option<String>,
    /// Notified of every change.
    changed: Arc<Notify>,
    failures: VecDeque<Failure>,
    calls: VecDeque<Call>,
    counts: HashMap<Operation, usize>,
    most_calls: usize,
    /// Whether the builder set the base of output URLs.
    addresses_chosen: bool,
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriverCommand {
    Run(RequestId),
    Stop(RequestId),
    /// Stop the run and delete its files, because its deployment was deleted.
    Forget(RequestId),
    /// Look for runs to start, because a deployment's limits may have changed.
    Reconsider,
}

type DriverFn = dyn Fn(&FakeRunComfy, DriverCommand) + Send + Sync;

/// Receives commands in order, one at a time. The fake is locked meanwhile, so the function must not call it.
#[derive(Clone)]
pub(crate) struct Driver(pub(crate) Arc<DriverFn>);

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

impl FakeRunComfy {
    /// Makes the next submit without a script follow this one.
    pub fn next_request(&self, script: Script) {
        self.lock().scripts.push_back(script);
    }

    /// Makes the next call of `operation`, or the next call of any with `None`, fail with this error and
    /// without effect. Several failures apply in order.
    pub fn next_call_fails(&self, operation: impl Into<Option<Operation>>, error: Error) {
        self.lock().failures.push_back(Failure::instead(operation, error));
    }

    /// Makes the next call of `operation`, or the next call of any with `None`, take effect and then fail
    /// with this error, as when the connection breaks before the response arrives. Applies in order with
    /// [`next_call_fails`](Self::next_call_fails). A call that the service refuses returns its refusal
    /// instead.
    pub fn next_answer_lost(&self, operation: impl Into<Option<Operation>>, error: Error) {
        self.lock().failures.push_back(Failure::after(operation, error));
    }

    /// Sets the reply to the next proxy call that reaches a live instance.
    pub fn next_proxy_reply(&self, reply: ProxyReply) {
        self.lock().account.proxy_replies.push_back(reply);
    }

    /// All calls so far, including failed ones; by default the last 10,000.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.iter().cloned().collect()
    }

    /// How many calls of this operation there were, including those that [`calls`](Self::calls) no longer
    /// lists.
    #[must_use]
    pub fn calls_of(&self, operation: Operation) -> usize {
        self.lock().counts.get(&operation).copied().unwrap_or_default()
    }

    /// How many submits were accepted, whether or not the responses arrived. Includes runs that were
    /// cancelled while queued.
    #[must_use]
    pub fn runs_started(&self) -> u64 {
        self.lock().account.runs_started()
    }

    /// Every accepted run of an existing deployment, in order, whether or not the caller received the
    /// response.
    #[must_use]
    pub fn runs(&self) -> Vec<StartedRun> {
        self.lock().account.runs()
    }

    /// The submits among [`calls`](Self::calls), accepted or not.
    #[must_use]
    pub fn submits_seen(&self) -> Vec<InferenceRequest> {
        let submitted = |call: &Call| match call {
            Call::SubmitRequest(request) => Some(request.clone()),
            _ => None,
        };
        self.lock().calls.iter().filter_map(submitted).collect()
    }

    /// Sets the base of URLs in responses, unless the builder set one.
    pub(crate) fn serve_at(&self, base: &Url) {
        let mut inner = self.lock();
        if !inner.addresses_chosen {
            let settings = &mut inner.account.settings;
            (settings.api_base, settings.output_base) = (base.clone(), base.clone());
        }
    }

    /// An output file of this account.
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

    /// Records a read-only call and runs `what`, unless a failure is configured for it.
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

    /// Records a call that changes something, runs `what`, and returns once the change is written to the
    /// state file.
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
            // The change happened but would be lost at a restart, so no more changes are accepted.
            let error = recorder::record_error(operation, &why);
            self.lock().record_failure.get_or_insert(why);
            return Err(error);
        }
        outcome
    }

    /// Locks the state, then reads the time. In this order no call sees time go backwards.
    fn lock_now(&self) -> (MutexGuard<'_, FakeState>, Duration) {
        let inner = self.lock();
        (inner, self.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, FakeState> {
        lock(&self.inner)
    }
}

impl FakeState {
    /// Sends a command to the driver, if there is one. It is sent even if the call fails afterwards.
    pub(super) fn send_command(&self, fake: &FakeRunComfy, command: DriverCommand) {
        if let Some(driver) = &self.driver {
            (driver.0)(fake, command);
        }
    }

    /// Counts and stores a call. Returns its configured failure, if any.
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
