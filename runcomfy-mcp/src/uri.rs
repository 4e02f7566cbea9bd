//! The addresses of resources.

use runcomfy_core::{DeploymentId, RequestId};

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
