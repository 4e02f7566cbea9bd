//! Request bodies: requests encoded as the service's JSON.

use bytes::Bytes;
use serde::Serialize;

use crate::{
    deployment::{CreateDeployment, UpdateDeployment},
    error::{Error, ErrorKind, Operation},
    instance::ProxyCall,
    request::{ExtraData, InferenceRequest},
    workflow::{Overrides, Workflow},
};

/// The body of a creation.
pub(super) fn creation(request: &CreateDeployment) -> Result<Bytes, Error> {
    #[derive(Serialize)]
    struct CreateBody<'a> {
        name: &'a str,
        workflow_id: &'a str,
        workflow_version: &'a str,
        /// A list of exactly one, which is how the service wants it.
        hardware: [&'a str; 1],
        min_instances: u64,
        max_instances: u64,
        queue_size: u64,
        keep_warm_duration_in_seconds: u64,
    }
    let body = CreateBody {
        name: &request.name,
        workflow_id: request.workflow_id.as_str(),
        workflow_version: &request.workflow_version,
        hardware: [&request.hardware],
        min_instances: request.min_instances,
        max_instances: request.max_instances,
        queue_size: request.queue_size,
        keep_warm_duration_in_seconds: request.keep_warm_duration_in_seconds,
    };
    json(Operation::CreateDeployment, &body)
}

/// The body of an update. The service refuses one without a name, even where it stays as it is.
pub(super) fn update(name: &str, changes: &UpdateDeployment) -> Result<Bytes, Error> {
    #[derive(Serialize)]
    struct UpdateBody<'a> {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        workflow_version: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hardware: Option<[&'a str; 1]>,
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
    let body = UpdateBody {
        name,
        workflow_version: changes.workflow_version.as_deref(),
        hardware: changes.hardware.as_deref().map(|sku| [sku]),
        min_instances: changes.min_instances,
        max_instances: changes.max_instances,
        queue_size: changes.queue_size,
        keep_warm_duration_in_seconds: changes.keep_warm_duration_in_seconds,
        is_enabled: changes.is_enabled,
    };
    json(Operation::UpdateDeployment, &body)
}

/// The body of a submit: an object, empty where nothing is set. The webhook is in the query.
pub(super) fn submit(request: &InferenceRequest) -> Result<Bytes, Error> {
    #[derive(Serialize)]
    struct SubmitBody<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        overrides: Option<&'a Overrides>,
        #[serde(skip_serializing_if = "Option::is_none")]
        workflow_api_json: Option<&'a Workflow>,
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_data: Option<&'a ExtraData>,
    }
    let body = SubmitBody {
        overrides: request.overrides.as_ref(),
        workflow_api_json: request.workflow_api_json.as_ref(),
        extra_data: request.extra_data.as_ref(),
    };
    json(Operation::SubmitRequest, &body)
}

/// The body of a call through the proxy.
pub(super) fn proxy(call: &ProxyCall) -> Result<Bytes, Error> {
    json(Operation::CallInstanceProxy, &call.body)
}

fn json(operation: Operation, body: &impl Serialize) -> Result<Bytes, Error> {
    // JSON values with text as keys can't fail to be written.
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(|error| Error::new(operation, ErrorKind::InvalidArgument).with_source(error))
}
