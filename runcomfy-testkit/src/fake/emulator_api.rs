//! The methods of `FakeRunComfy` that the emulator uses: the state file, the driver, webhooks and overviews.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use runcomfy_core::{DeploymentId, RequestId, id::InstanceId, request::RequestResult};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use url::Url;

use super::{FakeRunComfy, FakeState, recorder::EventRecorder};
#[cfg(feature = "state")]
use crate::account::{DeploymentSeed, DrivenEnd};
use crate::{
    account::{
        Account, DrivenJob, DrivenResult, Microdollars, OpenRun, Readiness, WebhookEvent,
        WebhookStage, microdollars,
    },
    clock::Clock,
    history::{Event, HistoryEntry},
};

impl FakeState {
    /// Notifies waiting tasks and writes an event to the state file, if there is one.
    pub(super) fn record_event(
        &mut self,
        at: Duration,
        event: Event,
    ) -> impl Future<Output = Result<(), String>> + Send + use<> {
        self.changed.notify_waiters();
        let kept =
            self.recorder.as_ref().map(|recorder| (recorder.0)(Some(&HistoryEntry { at, event })));
        async move {
            match kept {
                Some(kept) => kept.await,
                None => Ok(()),
            }
        }
    }
}

impl FakeRunComfy {
    /// A fake of this account at this time.
    pub(crate) fn around(account: Account, clock: Clock, most_calls: usize) -> Self {
        let inner = FakeState {
            account,
            scripts: VecDeque::new(),
            recorder: None,
            record_failure: None,
            driver: None,
            changed: Arc::default(),
            failures: VecDeque::new(),
            calls: VecDeque::new(),
            counts: HashMap::new(),
            most_calls,
            addresses_chosen: false,
        };
        Self { clock, inner: Arc::new(Mutex::new(inner)) }
    }

    /// The account, for tests that pass the time themselves.
    #[cfg(test)]
    pub(crate) fn into_account(self) -> Account {
        let inner = Arc::into_inner(self.inner).expect("the only handle");
        inner.into_inner().expect("no panic before").account
    }

    /// Writes all events to this recorder from now on.
    pub(crate) fn record_with(&self, recorder: EventRecorder) {
        self.lock().recorder = Some(recorder);
    }

    /// The remaining balance in dollars. It can be negative, because runs in progress finish after the money
    /// is used up.
    #[must_use]
    pub fn balance_usd(&self) -> f64 {
        self.balance() as f64 / 1e6
    }

    /// Resolves when all events so far are on disk.
    pub(crate) async fn recorded(&self) -> Result<(), String> {
        let kept = self.lock().recorder.as_ref().map(|recorder| (recorder.0)(None));
        match kept {
            Some(kept) => kept.await,
            None => Ok(()),
        }
    }

    /// The cost of all instances so far in dollars, each from the start of its cold start until it stops, at
    /// the price of its SKU.
    #[must_use]
    pub fn spent_usd(&self) -> f64 {
        let (mut inner, now) = self.lock_now();
        inner.account.spent(now) as f64 / 1e6
    }

    pub(crate) fn balance(&self) -> Microdollars {
        let (mut inner, now) = self.lock_now();
        inner.account.balance(now)
    }

    /// Adds money. It does not enable deployments that were disabled for lack of it.
    ///
    /// # Errors
    /// If the payment could not be written to the state file.
    pub async fn pay_in_usd(&self, amount: f64) -> io::Result<()> {
        self.pay_in(microdollars(amount)).await.map_err(io::Error::other)
    }

    pub(crate) async fn pay_in(&self, amount: Microdollars) -> Result<(), String> {
        let kept = {
            let (mut inner, now) = self.lock_now();
            inner.account.pay_in(now, amount);
            inner.record_event(now, Event::PaidIn { amount })
        };
        kept.await
    }

    /// Adds those deployments that the account never had. Does not wait for the state file, because later
    /// events are written after these.
    #[cfg(feature = "state")]
    pub(crate) fn add_missing_deployments(&self, seeds: &[DeploymentSeed]) {
        let (mut inner, now) = self.lock_now();
        for seed in seeds {
            if !inner.account.knows(&seed.id) {
                inner.account.add_deployment(now, seed.clone());
                drop(inner.record_event(now, Event::Seeded(Box::new(seed.clone()))));
            }
        }
    }

    /// Ends the runs of machines that no longer exist.
    #[cfg(feature = "state")]
    pub(crate) fn abandon(&self) {
        let (mut inner, now) = self.lock_now();
        for open in inner.account.open(now).into_iter().filter(|open| open.machine.is_some()) {
            let error = serde_json::json!({
                "type": "interrupted",
                "message": "the emulator was restarted without the ComfyUI server of this run",
            });
            let end = if open.cancelled { DrivenEnd::Cancelled } else { DrivenEnd::Failed(error) };
            let driven = DrivenResult { end, outputs: Map::new(), files: Vec::new() };
            if inner.account.end(now, &open.request_id, &driven) {
                drop(inner.record_event(now, Event::Ended { request_id: open.request_id, driven }));
            }
        }
    }

    /// How many times faster than real time the simulated time runs.
    pub(crate) fn time_scale(&self) -> f64 {
        self.clock.scale()
    }

    /// Hands a run over to this machine under this prompt id. `None` if it is no longer queued.
    pub(crate) async fn hand_over(
        &self,
        id: &RequestId,
        machine: u64,
        prompt_id: &str,
    ) -> Result<Option<DrivenJob>, String> {
        let (job, kept) = {
            let (mut inner, now) = self.lock_now();
            let job = inner.account.hand_over(now, id, machine, prompt_id.to_owned());
            let Some(job) = job else { return Ok(None) };
            let (request_id, prompt_id) = (id.clone(), Some(prompt_id.to_owned()));
            (job, inner.record_event(now, Event::HandedOver { request_id, machine, prompt_id }))
        };
        kept.await.map(|()| Some(job))
    }

    /// Records that a handed-over run started `ago`.
    pub(crate) fn begin(&self, id: &RequestId, ago: Duration) {
        let (mut inner, now) = self.lock_now();
        if inner.account.begin(now, id, ago) {
            drop(inner.record_event(now, Event::Started { request_id: id.clone(), ago }));
        }
    }

    /// The run that was handed over before a restart.
    pub(crate) fn handed_over_job(&self, id: &RequestId) -> Option<DrivenJob> {
        self.lock().account.job(id)
    }

    /// Records the machine's response when it accepted a run. If this is lost, the run is found by the prompt
    /// id.
    pub(crate) fn accepted(&self, id: &RequestId, accepted: Value) {
        let (mut inner, now) = self.lock_now();
        inner.account.accepted(id, accepted.clone());
        drop(inner.record_event(now, Event::Accepted { request_id: id.clone(), accepted }));
    }

    /// Records the progress of a run, from 0 to 1.
    pub(crate) fn progress(&self, id: &RequestId, done: f64) {
        self.lock().account.progress(id, done);
    }

    /// Whether a run can start now.
    pub(crate) fn readiness(&self, id: &RequestId) -> Readiness {
        self.lock().account.readiness(id)
    }

    /// Whether the files of a run are kept, or will be once it has ended.
    pub(crate) fn keeps_files(&self, id: &RequestId) -> bool {
        let (mut inner, now) = self.lock_now();
        inner.account.keeps_files(now, id)
    }

    /// The prompt ids of this account's runs.
    pub(crate) fn prompt_ids(&self) -> HashSet<String> {
        self.lock().account.prompt_ids()
    }

    /// Whether the account has this request.
    pub(crate) fn has(&self, id: &RequestId) -> bool {
        self.lock().account.has(id)
    }

    /// Ends a run that was handed over.
    pub(crate) async fn end(&self, id: &RequestId, driven: DrivenResult) -> Result<(), String> {
        let kept = {
            let (mut inner, now) = self.lock_now();
            if !inner.account.end(now, id, &driven) {
                return Ok(());
            }
            inner.record_event(now, Event::Ended { request_id: id.clone(), driven })
        };
        kept.await
    }

    /// The unfinished runs in order of submission.
    pub(crate) fn open(&self) -> Vec<OpenRun> {
        let (mut inner, now) = self.lock_now();
        inner.account.open(now)
    }

    pub(crate) fn machine(&self, deployment: &DeploymentId, instance: &InstanceId) -> Option<u64> {
        self.lock().account.machine(deployment, instance)
    }

    /// The webhook events since the last call, and when to ask again if nothing changes before.
    pub(crate) fn take_webhook_events(&self) -> (Vec<WebhookEvent>, Option<tokio::time::Instant>) {
        let (mut inner, now) = self.lock_now();
        inner.account.advance(now);
        let notes = inner.account.take_webhook_events();
        let next = inner.account.next_event().filter(|_| inner.account.awaits_webhook_events());
        (notes, next.map(|at| self.clock.instant_of(at)))
    }

    /// Whether any webhook event is still to be delivered.
    pub(crate) fn has_pending_webhooks(&self) -> bool {
        let inner = self.lock();
        inner.account.awaits_webhook_events() || inner.account.has_webhook_events()
    }

    /// Records that the webhook acknowledged this state. If this is lost, the state is delivered again.
    pub(crate) fn webhook_delivered(&self, request_id: &RequestId, stage: WebhookStage) {
        let (mut inner, now) = self.lock_now();
        inner.account.webhook_delivered(request_id, stage);
        drop(
            inner.record_event(
                now,
                Event::WebhookDelivered { request_id: request_id.clone(), stage },
            ),
        );
    }

    /// The webhook URL of a request.
    pub(crate) fn webhook(&self, request_id: &RequestId) -> Option<Url> {
        self.lock().account.webhook(request_id)
    }

    /// The result of a request. Not recorded as a call and not subject to configured failures.
    pub(crate) fn result(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Option<RequestResult> {
        let (mut inner, now) = self.lock_now();
        inner.account.get_request_result(now, deployment_id, request_id).ok()
    }

    /// The current time, formatted.
    pub(crate) fn stamp(&self) -> String {
        let (inner, now) = self.lock_now();
        inner.account.stamp(now)
    }

    /// The same value for all handles of one fake.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.inner).addr()
    }

    /// Notified of the next change.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        self.lock().changed.clone()
    }

    /// The number of runs and their cost.
    pub(crate) fn summary(&self) -> Map<String, Value> {
        let (mut inner, now) = self.lock_now();
        inner.account.summary(now)
    }

    /// The overview for the emulator's page.
    pub(crate) fn overview(&self) -> Map<String, Value> {
        let (mut inner, now) = self.lock_now();
        inner.account.overview(now)
    }
}
