//! What one account has and does: deployments, requests, instances. Told the time, never asking for it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use runcomfy_core::{DeploymentId, Error, InstanceId, Operation, ProxyReply, RequestId, Workflow};
use url::Url;

use crate::{
    ids::{Ids, Named},
    lifecycle::{InstanceNumber, Queue, RunNumber, Timing},
    outputs::Made,
    script::Script,
};

mod deployments;
mod proxy;
pub(crate) mod refusal;
mod requests;

pub(crate) use deployments::Seed;

/// What holds for a whole account.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) timing: Timing,
    /// In place of each deployment's own, for waits shorter than a second.
    pub(crate) keep_warm: Option<Duration>,
    /// What the clock says at time zero.
    pub(crate) started_at: DateTime<Utc>,
    /// Where status, result and cancel addresses begin.
    pub(crate) api_base: Url,
    /// Where the addresses of files begin.
    pub(crate) output_base: Url,
    pub(crate) seed: u64,
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) settings: Settings,
    /// What the next submits will do, in order.
    pub(crate) scripts: VecDeque<Script>,
    /// What the next calls of a live instance will answer, in order.
    pub(crate) proxy_replies: VecDeque<ProxyReply>,
    ids: Ids,
    deployments: Vec<Entry>,
    deleted: HashSet<DeploymentId>,
    created: u64,
    requests: HashMap<RequestId, Request>,
    submitted: u64,
    prompts: u64,
}

/// A deployment and all that belongs to it.
#[derive(Debug)]
pub(crate) struct Entry {
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
}

#[derive(Debug)]
struct Request {
    deployment_id: DeploymentId,
    run: RunNumber,
    script: Script,
    /// With the overrides laid over it.
    graph: Arc<Workflow>,
    created_at: Duration,
    /// What came of it, once it has completed and somebody has asked.
    made: Option<Arc<Made>>,
}

impl Account {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            ids: Ids::new(settings.seed),
            settings,
            scripts: VecDeque::new(),
            proxy_replies: VecDeque::new(),
            deployments: Vec::new(),
            deleted: HashSet::new(),
            created: 0,
            requests: HashMap::new(),
            submitted: 0,
            prompts: 0,
        }
    }

    /// The deployment, brought up to `now`.
    fn entry(
        &mut self,
        now: Duration,
        operation: Operation,
        id: &DeploymentId,
    ) -> Result<&mut Entry, Error> {
        let entry = self.deployments.iter_mut().find(|entry| entry.id == *id);
        let entry = entry.ok_or_else(|| refusal::not_found(operation, id))?;
        entry.queue.advance(now);
        Ok(entry)
    }

    /// A point in time as the service writes it for requests.
    fn stamp(&self, at: Duration) -> String {
        self.clock(at).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    /// The same as it writes it for deployments.
    fn long_stamp(&self, at: Duration) -> String {
        self.clock(at).to_rfc3339_opts(chrono::SecondsFormat::Micros, false)
    }

    fn clock(&self, at: Duration) -> DateTime<Utc> {
        let since = chrono::TimeDelta::from_std(at).unwrap_or_default();
        self.settings.started_at.checked_add_signed(since).unwrap_or(self.settings.started_at)
    }
}

impl Entry {
    /// The id that this instance goes by. `None` can't be: UUIDs are ids.
    fn instance_id(&self, ids: Ids, instance: InstanceNumber) -> Option<InstanceId> {
        InstanceId::new(ids.uuid(Named::Instance(self.number), instance.0)).ok()
    }
}
