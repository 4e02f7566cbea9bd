//! The events of an account, recorded so that they can be replayed after a restart.
//!
//! An account is determined by its events and the time. Only external causes are events; the start of a run
//! or a used-up balance follow from them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use runcomfy_core::{
    DeploymentId, Error, InferenceRequest, Overrides, RequestId, Workflow,
    deployment::{CreateDeployment, UpdateDeployment},
    request::{ExtraData, Webhook},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    account::{Account, DeploymentSeed, DrivenResult, Microdollars, Prices, WebhookStage},
    lifecycle::Timing,
    script::Script,
};

#[cfg(test)]
mod tests;

/// One event and its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HistoryEntry {
    pub(crate) at: Duration,
    pub(crate) event: Event,
}

/// Something that happened to one account. The serialized names are the file format.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    Opened {
        balance: Microdollars,
        /// The seed of its ids. `None` before format 2 and if all tokens share one account: then the key is
        /// the seed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
    #[serde(rename = "Planted")]
    Seeded(Box<DeploymentSeed>),
    Created(Creation),
    Updated {
        deployment_id: DeploymentId,
        changes: Changes,
    },
    Deleted {
        deployment_id: DeploymentId,
    },
    Submitted(Box<Submitted>),
    Cancelled {
        deployment_id: DeploymentId,
        request_id: RequestId,
    },
    PaidIn {
        amount: Microdollars,
    },
    /// A run was handed over to a machine. Before format 2, it also started then.
    #[serde(rename = "Begun")]
    HandedOver {
        request_id: RequestId,
        machine: u64,
        /// The id under which the machine runs it. Before format 2, the request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt_id: Option<String>,
    },
    /// The machine's response when it accepted the run.
    Accepted {
        request_id: RequestId,
        accepted: Value,
    },
    /// A handed-over run started `ago`.
    Started {
        request_id: RequestId,
        ago: Duration,
    },
    Ended {
        request_id: RequestId,
        driven: DrivenResult,
    },
    /// The webhook acknowledged this state and those before it.
    #[serde(rename = "Told")]
    WebhookDelivered {
        request_id: RequestId,
        #[serde(rename = "about")]
        stage: WebhookStage,
    },
}

/// A start of the emulator, with the settings for all accounts from then on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    /// In real time.
    pub(crate) started_at: DateTime<Utc>,
    /// In simulated time.
    pub(crate) at: Duration,
    pub(crate) time_scale: f64,
    pub(crate) timing: Timing,
    pub(crate) keep_warm: Option<Duration>,
    pub(crate) prices: Prices,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Creation {
    name: String,
    workflow_id: runcomfy_core::id::WorkflowId,
    workflow_version: String,
    hardware: String,
    min_instances: u64,
    max_instances: u64,
    queue_size: u64,
    keep_warm_duration_in_seconds: u64,
    /// The graph that the id selected, because another version may have other samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow: Option<Workflow>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Changes {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_instances: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_instances: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_warm_duration_in_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_enabled: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Submitted {
    deployment_id: DeploymentId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow_api_json: Option<Workflow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overrides: Option<Overrides>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra_data: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook: Option<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook_intermediate_status: Option<bool>,
    #[serde(default, skip_serializing_if = "is_default")]
    script: Script,
}

fn is_default(script: &Script) -> bool {
    *script == Script::default()
}

impl Session {
    /// Applies the settings from the session's start on.
    pub(crate) fn apply(&self, account: &mut Account) {
        account.set(self.at, &self.timing, self.keep_warm, self.prices.clone());
    }
}

impl Event {
    pub(crate) fn created(request: &CreateDeployment, workflow: Option<&Workflow>) -> Self {
        Self::Created(Creation {
            name: request.name.clone(),
            workflow_id: request.workflow_id.clone(),
            workflow_version: request.workflow_version.clone(),
            hardware: request.hardware.clone(),
            min_instances: request.min_instances,
            max_instances: request.max_instances,
            queue_size: request.queue_size,
            keep_warm_duration_in_seconds: request.keep_warm_duration_in_seconds,
            workflow: workflow.cloned(),
        })
    }

    pub(crate) fn updated(deployment_id: &DeploymentId, changes: &UpdateDeployment) -> Self {
        let changes = Changes {
            name: changes.name.clone(),
            workflow_version: changes.workflow_version.clone(),
            hardware: changes.hardware.clone(),
            min_instances: changes.min_instances,
            max_instances: changes.max_instances,
            queue_size: changes.queue_size,
            keep_warm_duration_in_seconds: changes.keep_warm_duration_in_seconds,
            is_enabled: changes.is_enabled,
        };
        Self::Updated { deployment_id: deployment_id.clone(), changes }
    }

    /// `extra_data` may contain API keys, so it is kept only if a driver needs it.
    pub(crate) fn submitted(request: &InferenceRequest, script: Script, driven: bool) -> Self {
        Self::Submitted(Box::new(Submitted {
            deployment_id: request.deployment_id.clone(),
            workflow_api_json: request.workflow_api_json.clone(),
            overrides: request.overrides.clone(),
            extra_data: request.extra_data.clone().map(|data| data.0).filter(|_| driven),
            webhook: request.webhook.as_ref().map(|webhook| webhook.url.clone()),
            webhook_intermediate_status: request
                .webhook
                .as_ref()
                .and_then(|webhook| webhook.intermediate_status),
            script,
        }))
    }
}

impl Account {
    /// Replays one event.
    ///
    /// # Errors
    /// If the event does not apply to the account, which means that the file is inconsistent.
    pub(crate) fn replay(&mut self, HistoryEntry { at, event }: HistoryEntry) -> Result<(), Error> {
        match event {
            Event::Opened { .. } => self.advance(at),
            Event::Seeded(seed) => self.add_deployment(at, *seed),
            Event::Created(creation) => {
                let request = CreateDeployment::new(
                    creation.name,
                    creation.workflow_id,
                    creation.workflow_version,
                )
                .hardware(creation.hardware)
                .instances(creation.min_instances, creation.max_instances)
                .queue_size(creation.queue_size)
                .keep_warm_duration_in_seconds(creation.keep_warm_duration_in_seconds);
                self.create_deployment(at, &request, creation.workflow.map(Arc::new))?;
            }
            Event::Updated { deployment_id, changes } => {
                let mut update = UpdateDeployment::new();
                update.name = changes.name;
                update.workflow_version = changes.workflow_version;
                update.hardware = changes.hardware;
                update.min_instances = changes.min_instances;
                update.max_instances = changes.max_instances;
                update.queue_size = changes.queue_size;
                update.keep_warm_duration_in_seconds = changes.keep_warm_duration_in_seconds;
                update.is_enabled = changes.is_enabled;
                self.update_deployment(at, &deployment_id, &update)?;
            }
            Event::Deleted { deployment_id } => {
                self.delete_deployment(at, &deployment_id)?;
            }
            Event::Submitted(submitted) => {
                let mut request = InferenceRequest::new(submitted.deployment_id);
                request.workflow_api_json = submitted.workflow_api_json;
                request.overrides = submitted.overrides;
                request.extra_data = submitted.extra_data.map(ExtraData);
                request.webhook = submitted.webhook.map(|url| {
                    let mut webhook = Webhook::new(url);
                    webhook.intermediate_status = submitted.webhook_intermediate_status;
                    webhook
                });
                self.submit_request(at, &request, submitted.script)?;
            }
            Event::Cancelled { deployment_id, request_id } => {
                self.cancel_request(at, &deployment_id, &request_id)?;
            }
            Event::PaidIn { amount } => self.pay_in(at, amount),
            Event::HandedOver { request_id, machine, prompt_id } => {
                let at_once = prompt_id.is_none();
                let prompt_id = prompt_id.unwrap_or_else(|| request_id.to_string());
                self.hand_over(at, &request_id, machine, prompt_id);
                if at_once {
                    self.begin(at, &request_id, Duration::ZERO);
                }
            }
            Event::Started { request_id, ago } => {
                self.begin(at, &request_id, ago);
            }
            Event::Accepted { request_id, accepted } => self.accepted(&request_id, accepted),
            Event::Ended { request_id, driven } => {
                self.end(at, &request_id, &driven);
            }
            Event::WebhookDelivered { request_id, stage } => {
                self.webhook_delivered(&request_id, stage);
            }
        }
        Ok(())
    }
}
