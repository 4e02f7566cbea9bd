//! Decodes requests as strictly as the service does. Shares no code with the client.

use runcomfy_core::{
    DeploymentId, Error, InferenceRequest, Overrides, Workflow,
    deployment::{CreateDeployment, Include, ListDeployments, UpdateDeployment},
    error::Operation,
    request::{ExtraData, Webhook},
};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use crate::account::service_error;

mod fields;

use fields::Fields;

/// Decodes the repeatable query parameters `ids` and `includes`.
pub(super) fn list(query: Option<&str>) -> Result<ListDeployments, Error> {
    const OPERATION: Operation = Operation::ListDeployments;
    let invalid = || {
        service_error::invalid(
            OPERATION,
            &["query", "ids"],
            "Input should be a valid deployment id",
        )
    };
    let ids = values(query, "ids").map(|id| DeploymentId::new(id).map_err(|_| invalid()));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    Ok(ListDeployments::all().ids(ids).include(include(OPERATION, query)?))
}

pub(super) fn include(operation: Operation, query: Option<&str>) -> Result<Include, Error> {
    values(query, "includes").try_fold(Include::none(), |include, part| match part.as_str() {
        "payload" => Ok(include.payload(true)),
        "readme" => Ok(include.readme(true)),
        _ => Err(service_error::invalid(
            operation,
            &["query", "includes"],
            "Input should be 'payload' or 'readme'",
        )),
    })
}

/// Decodes the eight required fields. The error lists every invalid one.
pub(super) fn create(body: &[u8]) -> Result<CreateDeployment, Error> {
    const OPERATION: Operation = Operation::CreateDeployment;
    let mut fields = Fields::of(OPERATION, body)?;
    let name = fields.required("name", Fields::text);
    let workflow_id = fields.required("workflow_id", Fields::workflow_id);
    let workflow_version = fields.required("workflow_version", Fields::text);
    let hardware = fields.required("hardware", Fields::single_item);
    let min_instances = fields.required("min_instances", Fields::count);
    let max_instances = fields.required("max_instances", Fields::count);
    let queue_size = fields.required("queue_size", Fields::count);
    let keep_warm = fields.required("keep_warm_duration_in_seconds", Fields::count);
    fields.end()?;
    let request = || {
        let request = CreateDeployment::new(name?, workflow_id?, workflow_version?)
            .hardware(hardware?)
            .instances(min_instances?, max_instances?)
            .queue_size(queue_size?)
            .keep_warm_duration_in_seconds(keep_warm?);
        Some(request)
    };
    // Unreachable: a missing field has returned an error above.
    request().ok_or_else(|| service_error::unprocessable(OPERATION, "Validation Error"))
}

/// Decodes the optional fields and the required name.
pub(super) fn update(body: &[u8]) -> Result<UpdateDeployment, Error> {
    const OPERATION: Operation = Operation::UpdateDeployment;
    let mut fields = Fields::of(OPERATION, body)?;
    let mut changes = UpdateDeployment::new();
    changes.name = fields.optional("name", Fields::text);
    changes.workflow_version = fields.optional("workflow_version", Fields::text);
    changes.hardware = fields.optional("hardware", Fields::single_item);
    changes.min_instances = fields.optional("min_instances", Fields::count);
    changes.max_instances = fields.optional("max_instances", Fields::count);
    changes.queue_size = fields.optional("queue_size", Fields::count);
    changes.keep_warm_duration_in_seconds =
        fields.optional("keep_warm_duration_in_seconds", Fields::count);
    changes.is_enabled = fields.optional("is_enabled", Fields::flag);
    fields.end()?;
    if changes.name.is_none() {
        return Err(service_error::unprocessable(OPERATION, "Deployment name is required"));
    }
    Ok(changes)
}

pub(super) fn inference(
    deployment_id: DeploymentId,
    query: Option<&str>,
    body: &[u8],
) -> Result<InferenceRequest, Error> {
    const OPERATION: Operation = Operation::SubmitRequest;
    let mut fields = Fields::of(OPERATION, body)?;
    let overrides = fields.optional("overrides", Fields::any);
    let workflow = fields.optional("workflow_api_json", Fields::any);
    let extra_data = fields.optional("extra_data", Fields::object);
    // Early clients sent the webhook in the body, and the service still accepts that.
    let in_body = (
        fields.optional("webhook", Fields::address),
        fields.optional("webhook_intermediate_status", Fields::flag),
    );
    let mut request = InferenceRequest::new(deployment_id);
    request.overrides = overrides.and_then(|value| {
        Overrides::from_value(value)
            .map_err(|error| fields.fault("overrides", &error.to_string(), "value_error"))
            .ok()
    });
    request.workflow_api_json = workflow.and_then(|value| {
        Workflow::from_value(value)
            .map_err(|error| fields.fault("workflow_api_json", &error.to_string(), "value_error"))
            .ok()
    });
    request.extra_data = extra_data.map(ExtraData);
    fields.end()?;
    request.webhook = webhook(query, in_body)?;
    Ok(request)
}

/// The webhook of a request. The query takes precedence over the body.
fn webhook(
    query: Option<&str>,
    (url, intermediate): (Option<Url>, Option<bool>),
) -> Result<Option<Webhook>, Error> {
    let invalid =
        |key, message| service_error::invalid(Operation::SubmitRequest, &["query", key], message);
    let intermediate = match values(query, "webhook_intermediate_status").last().as_deref() {
        None => intermediate,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => {
            let message = "Input should be a valid boolean, unable to interpret input";
            return Err(invalid("webhook_intermediate_status", message));
        }
    };
    let url = match values(query, "webhook").last() {
        Some(text) => {
            let (message, _) = fields::NOT_A_URL;
            Some(fields::address(&text).ok_or_else(|| invalid("webhook", message))?)
        }
        None => url,
    };
    Ok(url.map(|url| {
        let mut webhook = Webhook::new(url);
        webhook.intermediate_status = intermediate;
        webhook
    }))
}

/// The body for ComfyUI: an object, or empty.
pub(super) fn proxy_body(body: &[u8]) -> Result<Map<String, Value>, Error> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    Fields::of(Operation::CallInstanceProxy, body).map(Fields::into_map)
}

/// A deployment id from the path. Text that is not an id gets the same response as an unknown deployment.
pub(super) fn deployment_id(operation: Operation, text: &str) -> Result<DeploymentId, Error> {
    DeploymentId::new(text).map_err(|_| service_error::missing(operation, "Deployment not found"))
}

fn values<'a>(query: Option<&'a str>, key: &'a str) -> impl Iterator<Item = String> + 'a {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(move |(name, _)| name == key)
        .map(|(_, value)| value.into_owned())
}
