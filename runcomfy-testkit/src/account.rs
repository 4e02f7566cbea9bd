//! `Account`: the deployments, requests, instances and money of one account.
//!
//! The caller passes the current time to every method; the account has no clock of its own.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use runcomfy_core::{
    DeploymentId, Error, RequestId, Workflow, error::Operation, id::InstanceId,
    instance::ProxyReply, request::Webhook,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    ids::{Ids, Named},
    lifecycle::{ChangeKind, InstanceNumber, Queue, RunNumber, RunState, Timing},
    script::Script,
};

mod deployments;
mod driven;
mod money;
mod overview;
#[cfg(test)]
mod properties;
mod proxy;
mod request_graph;
mod requests;
mod run;
mod seed;
pub(crate) mod service_error;

use money::Funds;
pub(crate) use money::{Microdollars, Prices, microdollars};
use request_graph::RequestGraph;
#[cfg(any(feature = "comfyui", feature = "state"))]
pub(crate) use run::DrivenEnd;
#[cfg(feature = "comfyui")]
pub(crate) use run::DrivenFile;
pub use run::StartedRun;
pub(crate) use run::{DrivenJob, DrivenResult, OpenRun, Readiness};
pub(crate) use seed::DeploymentSeed;

/// Settings of a whole account.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) timing: Timing,
    /// Overrides each deployment's keep-warm time, so that it can be shorter than a second.
    pub(crate) keep_warm: Option<Duration>,
    /// The real time at which the account's clock was zero.
    pub(crate) started_at: DateTime<Utc>,
    /// The base of status, result and cancel URLs.
    pub(crate) api_base: Url,
    /// The base of output file URLs.
    pub(crate) output_base: Url,
    pub(crate) seed: u64,
    pub(crate) prices: Prices,
}

/// A change of a request's state to be delivered to its webhook.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WebhookEvent {
    pub(crate) deployment_id: DeploymentId,
    pub(crate) request_id: RequestId,
    pub(crate) stage: WebhookStage,
}

/// The state that a webhook reports. Each is delivered once, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum WebhookStage {
    InQueue,
    InProgress,
    End,
}

#[derive(Debug)]
pub(crate) struct Account {
    now: Duration,
    funds: Funds,
    webhook_events: VecDeque<WebhookEvent>,
    /// How many unfinished requests have a webhook.
    pending_webhooks: u64,

    pub(crate) settings: Settings,
    /// Replies for the next proxy calls to a live instance, in order.
    pub(crate) proxy_replies: VecDeque<ProxyReply>,
    ids: Ids,
    deployments: Vec<DeploymentState>,
    deleted: HashSet<DeploymentId>,
    created: u64,
    requests: HashMap<RequestId, Request>,
    submitted: u64,
    /// How many of the submitted runs completed, and how many were cancelled.
    completed: u64,
    cancelled: u64,
    prompts: u64,
}

/// A deployment with its queue and its requests.
#[derive(Debug)]
pub(crate) struct DeploymentState {
    pub(crate) id: DeploymentId,
    pub(crate) name: String,
    pub(crate) workflow_id: String,
    pub(crate) workflow_version: String,
    pub(crate) hardware: String,
    pub(crate) min_instances: u64,
    pub(crate) max_instances: u64,
    pub(crate) queue_size: u64,
    pub(crate) keep_warm_duration_in_seconds: u64,
    pub(crate) is_enabled: bool,
    pub(crate) readme: String,
    pub(crate) workflow: Arc<Workflow>,
    created_at: Duration,
    updated_at: Duration,
    number: u64,
    queue: Queue,
    /// The part of the queue's metered time that has been billed.
    paid_for: u128,
    /// Indexed by run number.
    requests: Vec<RequestId>,
}

#[derive(Debug)]
struct Request {
    deployment_id: DeploymentId,
    /// The order of submission within the account.
    number: u64,
    run: RunNumber,
    script: Script,
    graph: RequestGraph,
    /// Kept only if a driver runs the request.
    extra_data: Option<Map<String, Value>>,
    webhook: Option<Webhook>,
    /// The id under which the machine runs it. Each hand-over uses a new one.
    prompt_id: Option<String>,
    /// The machine's response when it accepted the run.
    accepted: Option<Value>,
    progress: Option<f64>,
    cancel_asked: bool,
    /// The last state that the webhook acknowledged.
    delivered_stage: Option<WebhookStage>,
    created_at: Duration,
    /// The result, if a machine ran the request. A simulated result is computed when it is read, because the
    /// base of its URLs may change until then.
    driven: Option<DrivenResult>,
}

impl Account {
    /// Opens an account at `now` with this balance.
    pub(crate) fn new(settings: Settings, now: Duration, balance: Microdollars) -> Self {
        Self {
            now,
            funds: Funds::new(balance),
            webhook_events: VecDeque::new(),
            pending_webhooks: 0,
            ids: Ids::new(settings.seed),
            settings,
            proxy_replies: VecDeque::new(),
            deployments: Vec::new(),
            deleted: HashSet::new(),
            created: 0,
            requests: HashMap::new(),
            submitted: 0,
            completed: 0,
            cancelled: 0,
            prompts: 0,
        }
    }

    /// Applies everything that is due by `now`. All deployments advance together because they share one
    /// balance.
    pub(crate) fn advance(&mut self, now: Duration) {
        self.reconcile_queues();
        while self.now < now {
            let next = self.next_event();
            let broke_at = (!self.funds.is_empty())
                .then(|| self.funds.lasts(self.per_hour()))
                .flatten()
                .map(|rest| self.now.saturating_add(rest));
            // Everything due at the current time has been applied, so each step moves time forward.
            self.now = [next, broke_at].into_iter().flatten().fold(now, Duration::min);
            self.reconcile_queues();
        }
    }

    /// Advances all queues to the account's time, bills their use and records their changes. If the balance
    /// is used up, disables the deployments; runs in progress finish.
    fn reconcile_queues(&mut self) {
        for entry in &mut self.deployments {
            entry.queue.advance(self.now);
            let metered = entry.queue.metered();
            let price = self.settings.prices.of(&entry.hardware);
            self.funds.charge(metered - entry.paid_for, price);
            entry.paid_for = metered;
        }
        if self.funds.is_empty() {
            let keep_warm = self.settings.keep_warm;
            for entry in self.deployments.iter_mut().filter(|entry| entry.is_enabled) {
                entry.is_enabled = false;
                entry.updated_at = self.now;
                entry.rescale(keep_warm);
            }
        }
        self.queue_webhook_events();
    }

    /// The cost per hour of all running instances.
    fn per_hour(&self) -> i128 {
        let cost = |entry: &DeploymentState| {
            entry.queue.up() as i128 * i128::from(self.settings.prices.of(&entry.hardware))
        };
        self.deployments.iter().map(cost).sum()
    }

    /// When the next event is due if nothing else happens before.
    pub(crate) fn next_event(&self) -> Option<Duration> {
        self.deployments.iter().filter_map(|entry| entry.queue.next_event()).min()
    }

    fn queue_webhook_events(&mut self) {
        for entry in &mut self.deployments {
            for change in entry.queue.take_changes() {
                let stage = match change.what {
                    ChangeKind::Started => WebhookStage::InProgress,
                    ChangeKind::Ended => WebhookStage::End,
                };
                let request_id = &entry.requests[change.run.0];
                if change.what == ChangeKind::Ended {
                    let completed =
                        matches!(entry.queue.state(change.run), RunState::Completed { .. });
                    *(if completed { &mut self.completed } else { &mut self.cancelled }) += 1;
                    let webhook =
                        self.requests.get(request_id).and_then(|one| one.webhook.as_ref());
                    self.pending_webhooks -= u64::from(webhook.is_some());
                }
                if self.requests.get(request_id).is_some_and(|request| request.wants_webhook(stage))
                {
                    let (deployment_id, request_id) = (entry.id.clone(), request_id.clone());
                    self.webhook_events.push_back(WebhookEvent {
                        deployment_id,
                        request_id,
                        stage,
                    });
                }
            }
        }
    }

    /// Removes and returns the webhook events since the last call, in order.
    pub(crate) fn take_webhook_events(&mut self) -> Vec<WebhookEvent> {
        self.webhook_events.drain(..).collect()
    }

    pub(crate) fn has_webhook_events(&self) -> bool {
        !self.webhook_events.is_empty()
    }

    /// The webhook URL of a request.
    pub(crate) fn webhook(&self, id: &RequestId) -> Option<Url> {
        Some(self.requests.get(id)?.webhook.as_ref()?.url.clone())
    }

    /// Whether any unfinished request has a webhook.
    pub(crate) fn awaits_webhook_events(&self) -> bool {
        self.pending_webhooks > 0
    }

    fn count_pending_webhooks(&self) -> u64 {
        let over = |request: &Request| {
            let entry = self.deployments.iter().find(|entry| entry.id == request.deployment_id);
            entry.is_none_or(|entry| {
                let state = entry.queue.state(request.run);
                matches!(state, RunState::Completed { .. } | RunState::Cancelled { .. })
            })
        };
        let open = |one: &&Request| one.webhook.is_some() && !over(one);
        self.requests.values().filter(open).count() as u64
    }

    /// Records that the webhook acknowledged this state.
    pub(crate) fn webhook_delivered(&mut self, request_id: &RequestId, stage: WebhookStage) {
        if let Some(request) = self.requests.get_mut(request_id) {
            request.delivered_stage = request.delivered_stage.max(Some(stage));
        }
        self.webhook_events.retain(|note| note.request_id != *request_id || note.stage > stage);
    }

    /// Replaces the durations and prices from `now` on.
    pub(crate) fn set(
        &mut self,
        now: Duration,
        timing: &Timing,
        keep_warm: Option<Duration>,
        prices: Prices,
    ) {
        self.advance(now);
        self.settings.timing.clone_from(timing);
        (self.settings.keep_warm, self.settings.prices) = (keep_warm, prices);
        for entry in &mut self.deployments {
            entry.queue.retime(timing.clone());
            entry.rescale(keep_warm);
        }
    }

    pub(crate) fn pay_in(&mut self, now: Duration, amount: Microdollars) {
        self.advance(now);
        self.funds.pay_in(amount);
    }

    pub(crate) fn balance(&mut self, now: Duration) -> Microdollars {
        self.advance(now);
        self.funds.balance()
    }

    pub(crate) fn spent(&mut self, now: Duration) -> Microdollars {
        self.advance(now);
        self.funds.spent()
    }

    /// The deployment, advanced to `now`.
    fn entry(
        &mut self,
        now: Duration,
        operation: Operation,
        id: &DeploymentId,
    ) -> Result<&mut DeploymentState, Error> {
        self.advance(now);
        let entry = self.deployments.iter_mut().find(|entry| entry.id == *id);
        entry.ok_or_else(|| service_error::not_found(operation, id))
    }

    /// Formats a time as the service does for requests.
    pub(crate) fn stamp(&self, at: Duration) -> String {
        self.clock(at).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    /// Formats a time as the service does for deployments.
    fn long_stamp(&self, at: Duration) -> String {
        self.clock(at).to_rfc3339_opts(chrono::SecondsFormat::Micros, false)
    }

    fn clock(&self, at: Duration) -> DateTime<Utc> {
        let since = chrono::TimeDelta::from_std(at).unwrap_or_default();
        self.settings.started_at.checked_add_signed(since).unwrap_or(self.settings.started_at)
    }
}

impl DeploymentState {
    /// The id of an instance. Always `Some`, because a UUID is a valid id.
    fn instance_id(&self, ids: Ids, instance: InstanceNumber) -> Option<InstanceId> {
        InstanceId::new(ids.uuid(Named::Instance(self.number), instance.0)).ok()
    }
}

impl Request {
    /// Whether the webhook is to receive this state and has not yet.
    fn wants_webhook(&self, stage: WebhookStage) -> bool {
        self.webhook.as_ref().is_some_and(|webhook| {
            let asked_for = stage == WebhookStage::End || webhook.intermediate_status == Some(true);
            asked_for && self.delivered_stage < Some(stage)
        })
    }
}
