//! The addresses of resources, and links to them.

use rmcp::model::Resource;
use runcomfy_core::{DeploymentId, RequestId};

/// The media type of all resources but readmes.
pub(crate) const JSON: &str = "application/json";

/// All deployments; each address below begins with it.
pub(crate) const DEPLOYMENTS: &str = "runcomfy://deployments";

/// A deployment.
pub(crate) fn deployment(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}")
}

/// The graph that a deployment runs.
pub(crate) fn workflow(id: &DeploymentId) -> String {
    format!("{DEPLOYMENTS}/{id}/workflow")
}

/// A run of a deployment.
pub(crate) fn request(id: &DeploymentId, request_id: &RequestId) -> String {
    format!("{DEPLOYMENTS}/{id}/requests/{request_id}")
}

/// What everyone has.
pub(crate) fn deployments_link() -> Resource {
    Resource::new(DEPLOYMENTS, "deployments")
        .with_title("Deployments")
        .with_description("All ComfyUI workflows on GPUs that the account has, in short.")
        .with_mime_type(JSON)
}

/// The workflow of a deployment: much, and not needed by who only asks about the rest.
pub(crate) fn workflow_link(id: &DeploymentId) -> Resource {
    Resource::new(workflow(id), "workflow")
        .with_title("Workflow")
        .with_description("The deployment's workflow in ComfyUI's API format.")
        .with_mime_type(JSON)
}
