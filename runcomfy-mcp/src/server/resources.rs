//! What can be read by its address: deployments, what they run, and runs.

use rmcp::model::{Resource, ResourceContents, ResourceTemplate};
use runcomfy_core::{
    DeploymentId, Error, ErrorKind, RequestId,
    deployment::{Deployment, Include, ListDeployments},
    error::Operation,
};
use serde_json::{Map, Value, json};

use crate::{
    pipeline::auth::Api,
    result::ToolError,
    sanitize,
    view::{
        deployment, request,
        uri::{self, JSON},
    },
};

/// Something that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Deployments,
    Deployment(DeploymentId),
    Workflow(DeploymentId),
    Readme(DeploymentId),
    Request(DeploymentId, RequestId),
}

const MARKDOWN: &str = "text/markdown";

/// How many deployments are listed one by one.
const MOST_LISTED: usize = 100;

/// By pattern: name, title, media type, what it is.
const TEMPLATES: [(&str, &str, &str, &str, &str); 4] = [
    (
        "runcomfy://deployments/{deployment_id}",
        "deployment",
        "Deployment",
        JSON,
        "Hardware, scaling, whether it is enabled, and a table of the nodes whose inputs can be set.",
    ),
    (
        "runcomfy://deployments/{deployment_id}/workflow",
        "workflow",
        "Workflow of a deployment",
        JSON,
        "The ComfyUI graph that it runs, in API format.",
    ),
    (
        "runcomfy://deployments/{deployment_id}/readme",
        "readme",
        "Readme of a deployment",
        MARKDOWN,
        "What its author says of it.",
    ),
    (
        "runcomfy://deployments/{deployment_id}/requests/{request_id}",
        "request",
        "Request",
        JSON,
        "Where a run is, and what it made once it is over.",
    ),
];

/// What can be addressed, as patterns.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |(pattern, name, title, media_type, about): &(&str, &str, &str, &str, &str)| {
        ResourceTemplate::new(*pattern, *name)
            .with_title(*title)
            .with_description(*about)
            .with_mime_type(*media_type)
    };
    TEMPLATES.iter().map(template).collect()
}

/// Whether there is such a pattern.
pub(crate) fn is_template(pattern: &str) -> bool {
    TEMPLATES.iter().any(|(known, ..)| *known == pattern)
}

impl Address {
    /// Reads an address; ids are checked before anything is asked.
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        if uri == uri::DEPLOYMENTS {
            return Some(Self::Deployments);
        }
        let mut parts = uri.strip_prefix(uri::DEPLOYMENTS)?.strip_prefix('/')?.split('/');
        let id = DeploymentId::new(parts.next()?).ok()?;
        let address = match (parts.next(), parts.next()) {
            (None, _) => Self::Deployment(id),
            (Some("workflow"), None) => Self::Workflow(id),
            (Some("readme"), None) => Self::Readme(id),
            (Some("requests"), Some(request)) => Self::Request(id, RequestId::new(request).ok()?),
            _ => return None,
        };
        parts.next().is_none().then_some(address)
    }

    fn media_type(&self) -> &'static str {
        if matches!(self, Self::Readme(_)) { MARKDOWN } else { JSON }
    }
}

/// What is there to be read: all deployments, and each, from this place in their list. And from which place
/// there is more.
pub(crate) async fn list(
    api: &Api,
    from: usize,
) -> Result<(Vec<Resource>, Option<usize>), ToolError> {
    let found = api.list_deployments(&ListDeployments::all()).await?;
    let to = from.saturating_add(MOST_LISTED);
    let each = found.iter().skip(from).take(MOST_LISTED).map(|deployment| {
        let name = deployment.name.as_deref().map(sanitize::clean).unwrap_or_default();
        let name = if name.is_empty() { deployment.id.as_str() } else { name.as_ref() };
        Resource::new(uri::deployment(&deployment.id), name)
            .with_description(about(deployment))
            .with_mime_type(JSON)
    });
    let all = (from == 0).then(uri::deployments_link);
    Ok((all.into_iter().chain(each).collect(), (to < found.len()).then_some(to)))
}

/// What tells deployments apart in a list, in words of ours.
fn about(deployment: &Deployment) -> String {
    let hardware = deployment.hardware.as_deref().unwrap_or_default();
    let hardware: String = hardware
        .join(", ")
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(80)
        .collect();
    let on = if hardware.is_empty() { String::new() } else { format!(" on {hardware}") };
    let paused = if deployment.is_enabled == Some(false) { ", paused" } else { "" };
    format!("A ComfyUI workflow{on}{paused}. Its settable inputs, for submit_request.")
}

/// What is at an address.
pub(crate) async fn read(
    address: &Address,
    uri: &str,
    api: &Api,
) -> Result<ResourceContents, ToolError> {
    let text = match address {
        Address::Deployments => {
            let all = api.list_deployments(&ListDeployments::all()).await?;
            let all: Vec<Value> = all.into_iter().map(deployment::compact).collect();
            shown(json!({ "deployments": all }))
        }
        Address::Deployment(id) => {
            let found = api.get_deployment(id, Include::none().payload(true)).await?;
            let summary = found.payload.as_ref().map(deployment::payload_summary);
            shown(json!({"deployment": deployment::compact(found), "payload_summary": summary}))
        }
        // As it is: whoever sends it back must send what it was.
        Address::Workflow(id) => {
            let found = api.get_deployment(id, Include::none().payload(true)).await?;
            let workflow = found.payload.as_ref().map(|payload| payload.workflow());
            let workflow =
                workflow.and_then(Result::ok).flatten().ok_or_else(|| absent("workflow"))?;
            workflow.into_value().to_string()
        }
        Address::Readme(id) => {
            let found = api.get_deployment(id, Include::none().readme(true)).await?;
            let readme =
                found.readme.filter(|readme| !readme.is_empty()).ok_or_else(|| absent("readme"))?;
            sanitize::clean(&readme).into_owned()
        }
        Address::Request(id, request_id) => {
            let status = api.get_request_status(id, request_id).await?;
            let state = status.state();
            let result = if state.is_finished() {
                Some(api.get_request_result(id, request_id).await?)
            } else {
                None
            };
            let words = result
                .as_ref()
                .map_or_else(|| request::describe(&status), request::describe_result);
            let files = result.as_ref().map(|result| result.output_files());
            let mut shown_run = json!({
                "summary": words, "state": state.as_str(), "finished": state.is_finished(),
                "status": request::status_json(&status), "result": result, "output_urls": files,
            });
            if let Some(found) = result.as_ref().and_then(|result| result.non_finite.as_ref()) {
                shown_run["note"] = format!("{found}.").into();
            }
            shown(shown_run)
        }
    };
    Ok(ResourceContents::text(text, uri).with_mime_type(address.media_type()))
}

/// There is such a deployment, and it has none of what is asked for.
fn absent(what: &str) -> ToolError {
    let error = Error::new(Operation::GetDeployment, ErrorKind::NotFound);
    let fault = ToolError::from(error.with_message(format!("the deployment has no {what}")));
    fault.with_hint(&format!("The id is right: go on without the {what}."))
}

/// Fit to be read, and no more of it than a reader can take.
fn shown(value: Value) -> String {
    let mut map = match value {
        Value::Object(map) => map,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    sanitize::prepare(&mut map);
    Value::Object(map).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_a_whole_or_not_at_all() {
        let id = || DeploymentId::new("d1").unwrap();
        let request = Address::Request(id(), RequestId::new("r1").unwrap());
        for (uri, address) in [
            ("runcomfy://deployments", Some(Address::Deployments)),
            ("runcomfy://deployments/d1", Some(Address::Deployment(id()))),
            ("runcomfy://deployments/d1/workflow", Some(Address::Workflow(id()))),
            ("runcomfy://deployments/d1/readme", Some(Address::Readme(id()))),
            ("runcomfy://deployments/d1/requests/r1", Some(request)),
            ("runcomfy://deployments/", None),
            ("runcomfy://deploymentsd1", None),
            ("runcomfy://deployments/d1/", None),
            ("runcomfy://deployments/d1/readme/x", None),
            ("runcomfy://deployments/d1/requests", None),
            ("runcomfy://deployments/d1/requests/r1/x", None),
            ("runcomfy://deployments/../d1", None),
            ("runcomfy://deployments/d%31", None),
            ("runcomfy://deployments/{deployment_id}", None),
            ("https://deployments/d1", None),
            ("", None),
        ] {
            assert_eq!(Address::parse(uri), address, "{uri}");
        }
    }

    #[test]
    fn every_pattern_leads_to_something() {
        for (pattern, ..) in TEMPLATES {
            let uri = pattern.replace("{deployment_id}", "d1").replace("{request_id}", "r1");
            assert!(Address::parse(&uri).is_some(), "{uri}");
        }
    }
}
