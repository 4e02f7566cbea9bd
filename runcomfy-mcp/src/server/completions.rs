//! What could stand in a field that somebody is filling in.

use std::collections::HashMap;

use runcomfy_core::{
    DeploymentId, Workflow,
    deployment::{HARDWARE, Include, ListDeployments},
};

use crate::{pipeline::auth::Api, result::ToolError};

/// Values for `argument` that begin with, or are named like, what is there. `known` are the fields that are filled in already.
pub(crate) async fn values(
    argument: &str,
    typed: &str,
    known: &HashMap<String, String>,
    api: &Api,
) -> Result<Vec<String>, ToolError> {
    let typed = typed.to_lowercase();
    let fits = |words: &[&str]| words.iter().any(|word| word.to_lowercase().contains(&typed));
    let found: Vec<String> = match argument {
        "deployment_id" => {
            let all = api.list_deployments(&ListDeployments::all()).await?;
            let all = all.iter().filter(|deployment| {
                fits(&[deployment.id.as_str(), deployment.name.as_deref().unwrap_or_default()])
            });
            all.map(|deployment| deployment.id.to_string()).collect()
        }
        "hardware" => {
            HARDWARE.iter().filter(|sku| fits(&[sku])).map(|sku| (*sku).to_owned()).collect()
        }
        "node_id" => {
            let Some(workflow) = workflow(known, api).await? else { return Ok(Vec::new()) };
            let nodes = workflow.nodes().filter(|node| {
                let title = node.title().unwrap_or_default();
                node.settable_inputs().next().is_some()
                    && fits(&[node.id(), node.class_type(), title])
            });
            nodes.map(|node| node.id().to_owned()).collect()
        }
        "input" => {
            let Some(workflow) = workflow(known, api).await? else { return Ok(Vec::new()) };
            let node = known.get("node_id").and_then(|id| workflow.node(id));
            let inputs = node.iter().flat_map(|node| node.settable_inputs());
            inputs.map(|(name, _)| name).filter(|name| fits(&[name])).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    Ok(found)
}

/// What the deployment that was chosen runs.
async fn workflow(
    known: &HashMap<String, String>,
    api: &Api,
) -> Result<Option<Workflow>, ToolError> {
    let id = known.get("deployment_id").and_then(|id| DeploymentId::new(id.as_str()).ok());
    let Some(id) = id else { return Ok(None) };
    let found = api.get_deployment(&id, Include::none().payload(true)).await?;
    Ok(found.payload.and_then(|payload| payload.workflow().ok().flatten()))
}
