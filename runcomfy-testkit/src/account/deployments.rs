//! The deployments of an account: list, get, create, update, delete.

use std::{sync::Arc, time::Duration};

use runcomfy_core::{
    DeploymentId, Error, ErrorKind, Workflow,
    deployment::{
        CreateDeployment, DeletedDeployment, Deployment, HARDWARE, Include, ListDeployments,
        Payload, UpdateDeployment, UpdatedDeployment,
    },
    error::Operation,
};
use serde_json::Value;

use super::{Account, DeploymentState, seed::DeploymentSeed, service_error};
use crate::{
    ids::Named,
    lifecycle::{Queue, Scaling},
    samples,
};

impl Account {
    /// Adds a deployment as if it had been created at `now`. Replaces one with the same id.
    pub(crate) fn add_deployment(&mut self, now: Duration, seed: DeploymentSeed) {
        self.advance(now);
        self.deployments.retain(|entry| entry.id != seed.id);
        let scaling = Scaling {
            min_instances: 0,
            max_instances: seed.max_instances,
            queue_size: 1,
            keep_warm: self.settings.keep_warm.unwrap_or(Duration::from_secs(60)),
            enabled: seed.is_enabled,
        };
        self.created += 1;
        self.deployments.push(DeploymentState {
            id: seed.id,
            name: seed.name,
            workflow_id: seed.workflow_id,
            workflow_version: "v1".to_owned(),
            hardware: seed.hardware,
            min_instances: 0,
            max_instances: seed.max_instances,
            queue_size: 1,
            keep_warm_duration_in_seconds: 60,
            is_enabled: seed.is_enabled,
            readme: seed.readme,
            workflow: seed.workflow,
            created_at: now,
            updated_at: now,
            number: self.created,
            queue: Queue::new(self.settings.timing.clone(), scaling, now),
            paid_for: 0,
            requests: Vec::new(),
        });
    }

    /// Whether this deployment exists or was deleted.
    pub(crate) fn knows(&self, id: &DeploymentId) -> bool {
        self.deleted.contains(id) || self.deployments.iter().any(|entry| entry.id == *id)
    }

    pub(crate) fn list_deployments(
        &mut self,
        now: Duration,
        query: &ListDeployments,
    ) -> Vec<Deployment> {
        self.advance(now);
        let wanted =
            |entry: &&DeploymentState| query.ids.is_empty() || query.ids.contains(&entry.id);
        let described = |entry| self.describe(entry, query.include);
        self.deployments.iter().filter(wanted).map(described).collect()
    }

    pub(crate) fn workflow(&self, id: &DeploymentId) -> Option<Arc<Workflow>> {
        self.deployments.iter().find(|entry| entry.id == *id).map(|entry| entry.workflow.clone())
    }

    pub(crate) fn get_deployment(
        &mut self,
        now: Duration,
        id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error> {
        self.entry(now, Operation::GetDeployment, id)?;
        self.described(Operation::GetDeployment, id, include)
    }

    /// Creates a deployment of `workflow`, or of the workflow that the request's id names.
    pub(crate) fn create_deployment(
        &mut self,
        now: Duration,
        request: &CreateDeployment,
        workflow: Option<Arc<Workflow>>,
    ) -> Result<Deployment, Error> {
        const OPERATION: Operation = Operation::CreateDeployment;
        check(
            OPERATION,
            Some(&request.name),
            Some(&request.workflow_version),
            Some(&request.hardware),
            request.min_instances,
            request.max_instances,
        )?;
        self.advance(now);
        if self.funds.is_empty() {
            return Err(service_error::insufficient_funds(OPERATION));
        }
        let text = self.ids.uuid(Named::Deployment, self.created);
        let id = DeploymentId::new(text).map_err(|error| {
            Error::new(OPERATION, ErrorKind::UpstreamProtocol).with_source(error)
        })?;
        // There are no saved workflows, so every id is accepted: a known id selects its graph, any other the
        // stock graph.
        let workflow_id = request.workflow_id.as_str();
        let there = self.deployments.iter().find(|entry| entry.workflow_id == workflow_id);
        let sample = (0..samples::ALL.len())
            .find(|place| samples::workflow_id(*place) == workflow_id)
            .map_or(samples::TEXT_TO_IMAGE, |place| samples::ALL[place].name);
        let workflow = workflow
            .or_else(|| there.map(|entry| entry.workflow.clone()))
            .or_else(|| samples::workflow(sample).map(Arc::new))
            .ok_or_else(|| Error::new(OPERATION, ErrorKind::UpstreamProtocol))?;
        self.add_deployment(
            now,
            DeploymentSeed {
                id: id.clone(),
                name: request.name.clone(),
                workflow_id: workflow_id.to_owned(),
                hardware: request.hardware.clone(),
                max_instances: request.max_instances,
                is_enabled: true,
                readme: String::new(),
                workflow,
            },
        );
        let keep_warm = self.settings.keep_warm;
        let entry = self.entry(now, OPERATION, &id)?;
        entry.workflow_version.clone_from(&request.workflow_version);
        entry.min_instances = request.min_instances;
        entry.queue_size = request.queue_size;
        entry.keep_warm_duration_in_seconds = request.keep_warm_duration_in_seconds;
        entry.rescale(keep_warm);
        self.described(OPERATION, &id, Include::none())
    }

    pub(crate) fn update_deployment(
        &mut self,
        now: Duration,
        id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<UpdatedDeployment, Error> {
        const OPERATION: Operation = Operation::UpdateDeployment;
        if changes.is_empty() {
            return Err(Error::new(OPERATION, ErrorKind::InvalidArgument)
                .with_message("no change was asked for")
                .with_deployment_id(id.clone()));
        }
        let keep_warm = self.settings.keep_warm;
        self.entry(now, OPERATION, id)?;
        if changes.is_enabled == Some(true) && self.funds.is_empty() {
            return Err(service_error::insufficient_funds(OPERATION).with_deployment_id(id.clone()));
        }
        let entry = self.entry(now, OPERATION, id)?;
        let min = changes.min_instances.unwrap_or(entry.min_instances);
        let max = changes.max_instances.unwrap_or(entry.max_instances);
        check(
            OPERATION,
            changes.name.as_deref(),
            changes.workflow_version.as_deref(),
            changes.hardware.as_deref(),
            min,
            max,
        )?;
        let set = |field: &mut String, change: &Option<String>| {
            if let Some(change) = change {
                field.clone_from(change);
            }
        };
        set(&mut entry.name, &changes.name);
        set(&mut entry.workflow_version, &changes.workflow_version);
        set(&mut entry.hardware, &changes.hardware);
        (entry.min_instances, entry.max_instances) = (min, max);
        entry.queue_size = changes.queue_size.unwrap_or(entry.queue_size);
        entry.keep_warm_duration_in_seconds =
            changes.keep_warm_duration_in_seconds.unwrap_or(entry.keep_warm_duration_in_seconds);
        entry.is_enabled = changes.is_enabled.unwrap_or(entry.is_enabled);
        entry.updated_at = now;
        entry.rescale(keep_warm);
        self.described(OPERATION, id, Include::none()).map(UpdatedDeployment::new)
    }

    /// Deletes a deployment with its instances and requests.
    pub(crate) fn delete_deployment(
        &mut self,
        now: Duration,
        id: &DeploymentId,
    ) -> Result<DeletedDeployment, Error> {
        self.entry(now, Operation::DeleteDeployment, id)?;
        self.deployments.retain(|entry| entry.id != *id);
        // The requests of a deleted deployment send no more webhooks.
        self.webhook_events.retain(|note| note.deployment_id != *id);
        self.requests.retain(|_, request| request.deployment_id != *id);
        self.pending_webhooks = self.count_pending_webhooks();
        self.deleted.insert(id.clone());
        Ok(DeletedDeployment::new(Value::Null))
    }

    fn described(
        &self,
        operation: Operation,
        id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error> {
        let entry = self.deployments.iter().find(|entry| entry.id == *id);
        let entry = entry.ok_or_else(|| service_error::not_found(operation, id))?;
        Ok(self.describe(entry, include))
    }

    fn describe(&self, entry: &DeploymentState, include: Include) -> Deployment {
        let mut described = Deployment::new(entry.id.clone());
        described.name = Some(entry.name.clone());
        described.workflow_id = Some(entry.workflow_id.clone());
        described.workflow_version = Some(entry.workflow_version.clone());
        described.hardware = Some(vec![entry.hardware.clone()]);
        described.min_instances = Some(entry.min_instances);
        described.max_instances = Some(entry.max_instances);
        described.queue_size = Some(entry.queue_size);
        described.keep_warm_duration_in_seconds = Some(entry.keep_warm_duration_in_seconds);
        // The only value that the service documents. `is_enabled` tells whether the deployment is paused.
        described.status = Some("standby".to_owned());
        described.is_enabled = Some(entry.is_enabled);
        described.created_at = Some(self.long_stamp(entry.created_at));
        described.updated_at = Some(self.long_stamp(entry.updated_at));
        if include.payload {
            described.payload = self.payload(entry);
        }
        if include.readme {
            described.readme = Some(entry.readme.clone());
        }
        described
    }

    fn payload(&self, entry: &DeploymentState) -> Option<Payload> {
        let mut object_info_url = self.settings.output_base.clone();
        if let Ok(mut segments) = object_info_url.path_segments_mut() {
            segments.pop_if_empty().push("object_info.json");
        }
        Payload::new(&entry.workflow, None, Some(object_info_url.as_str())).ok()
    }
}

impl DeploymentState {
    pub(super) fn rescale(&mut self, keep_warm: Option<Duration>) {
        self.queue.rescale(Scaling {
            min_instances: self.min_instances,
            max_instances: self.max_instances,
            queue_size: self.queue_size,
            keep_warm: keep_warm.unwrap_or(Duration::from_secs(self.keep_warm_duration_in_seconds)),
            enabled: self.is_enabled,
        });
    }
}

fn check(
    operation: Operation,
    name: Option<&str>,
    workflow_version: Option<&str>,
    hardware: Option<&str>,
    min_instances: u64,
    max_instances: u64,
) -> Result<(), Error> {
    let invalid =
        |field, message: &str| Err(service_error::invalid(operation, &["body", field], message));
    let blank = |text: Option<&str>| text.is_some_and(|text| text.trim().is_empty());
    if blank(name) {
        return invalid("name", "name must not be empty");
    }
    if blank(workflow_version) {
        return invalid("workflow_version", "workflow_version must not be empty");
    }
    if hardware.is_some_and(|sku| !HARDWARE.contains(&sku)) {
        return invalid("hardware", &format!("hardware must be one of {}", HARDWARE.join(", ")));
    }
    if min_instances > 30 {
        return invalid("min_instances", "min_instances must be 0 to 30");
    }
    if !(1..=60).contains(&max_instances) {
        return invalid("max_instances", "max_instances must be 1 to 60");
    }
    if min_instances > max_instances {
        return invalid("min_instances", "min_instances must not be above max_instances");
    }
    Ok(())
}
