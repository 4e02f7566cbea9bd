//! `list_deployments`

use runcomfy_core::{deployment::{Include, ListDeployments}, DeploymentId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{pipeline::{context::ToolContext, tool::{Hints, READS, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema, validation::ArgumentFaults, view::deployment};

pub(super) struct Tool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// Only these ids; all if empty.
    #[serde(default)]
    #[schemars(length(max = 100))]
    ids: Option<Vec<String>>,
    /// Part of a name, in any case.
    #[serde(default)]
    query: Option<String>,
    /// Add workflows (large). Default false.
    #[serde(default)]
    include_payload: bool,
    /// Add readmes. Default false.
    #[serde(default)]
    include_readme: bool,
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "List deployments";
    const DESCRIPTION: &'static str = "First step to make an image, picture, video or audio: list the account's deployments (ComfyUI workflows on GPUs), pick one by name, then get_deployment. Free.";
    const HINTS: Hints = READS;
    const SEARCH: Search = Search::AlwaysLoaded;
    type Args = Args;

    fn output() -> Value {
        json!({ "deployments": schema::upstream_list("The deployments; without an include flag, thirteen keys each, null where unknown.") })
    }

    async fn run(args: Args, call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let mut ids: Vec<DeploymentId> = Vec::new();
        for (at, id) in args.ids.unwrap_or_default().into_iter().enumerate() {
            let id = DeploymentId::new(id).map_err(|error| {
                let rule = error.to_string();
                ArgumentFaults::one("ids", format!("entry {at}{}", rule.trim_start_matches(error.what())))
            })?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let include = Include::none().payload(args.include_payload).readme(args.include_readme);
        let all = ids.is_empty();
        let mut found = call.scope.api.list_deployments(&ListDeployments::all().ids(ids).include(include)).await?;
        let plain = include == Include::none();
        let scope = if all { "" } else { " of those asked for" };
        let sentence = match args.query.map(|query| query.to_lowercase()) {
            Some(query) => {
                let listed = found.len();
                found.retain(|one| one.name.as_ref().is_some_and(|name| name.to_lowercase().contains(&query)));
                format!("Found {} deployment(s) by name, of {listed}{scope}.", found.len())
            }
            None => format!("Found {} deployment(s){scope}.", found.len()),
        };
        let mut reply = ToolResult::new(sentence);
        for one in &found {
            if let Some(nulls) = &one.non_finite {
                reply = reply.with_note(&format!("{}: {nulls}.", one.id));
            }
        }
        let show = |found| if plain { deployment::compact(found) } else { deployment::whole(found, &mut reply) };
        let list: Vec<Value> = found.into_iter().map(show).collect();
        Ok(reply.with("deployments", list))
    }
}
