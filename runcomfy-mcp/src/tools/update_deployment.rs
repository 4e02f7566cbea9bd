//! `update_deployment`

use runcomfy_core::{deployment::{Deployment, UpdateDeployment}, DeploymentId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_deployment::Hardware;
use crate::{pipeline::{confirmation::{self, Question}, context::ToolContext, tool::{Hints, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema, tools::visible_name, validation::ArgumentFaults, view::deployment};

pub(super) struct Tool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// From list_deployments.
    #[schemars(with = "String")]
    deployment_id: DeploymentId,
    /// New name.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256))]
    name: Option<String>,
    /// Such as v2.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    workflow_version: Option<String>,
    /// GPU, cheapest first.
    #[serde(default)]
    #[schemars(with = "Hardware")]
    hardware: Option<Hardware>,
    /// 0 to 30. Kept on, billed around the clock.
    #[serde(default)]
    #[schemars(range(min = 0, max = 30))]
    min_instances: Option<u64>,
    /// At most this many at once: 1 to 60.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60))]
    max_instances: Option<u64>,
    /// Pending per instance before another starts.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    queue_size: Option<u64>,
    /// Idle seconds before shutdown, billed: 0 to 86400.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    keep_warm_duration_in_seconds: Option<u64>,
    /// false pauses, true resumes.
    #[serde(default)]
    is_enabled: Option<bool>,
    /// true: the user said yes.
    #[serde(default)]
    confirm: Option<bool>,
}

impl Args {
    fn changes(&self) -> UpdateDeployment {
        let mut changes = UpdateDeployment::new();
        changes.name = self.name.clone();
        changes.workflow_version = self.workflow_version.clone();
        changes.hardware = self.hardware.map(|hardware| hardware.sku().to_owned());
        changes.min_instances = self.min_instances;
        changes.max_instances = self.max_instances;
        changes.queue_size = self.queue_size;
        changes.keep_warm_duration_in_seconds = self.keep_warm_duration_in_seconds;
        changes.is_enabled = self.is_enabled;
        changes
    }
}

/// What may make a deployment that is not paused cost more with nothing to do.
struct Wanted {
    resumes: bool,
    hardware: Option<&'static str>,
    min: Option<u64>,
    warm: Option<u64>,
}

impl Wanted {
    /// As far as can be told without a look at it.
    fn may_keep_more_on(&self) -> bool {
        let kept = deployment::kept_on(self.min.unwrap_or(0), self.warm.unwrap_or(0));
        self.resumes || self.hardware.is_some() || kept.is_some()
    }

    /// What to ask, given the deployment as it is; `None` where no more is kept on than before.
    fn words(&self, id: &DeploymentId, found: Option<&Deployment>) -> Option<String> {
        let (change, name) = (if self.resumes { "Resume" } else { "Change" }, confirmation::named(id, found));
        let Some(found) = found else {
            return Some(format!(
                "{change} {name}? What it is set to could not be found out: it may keep machines on around the clock, billed."
            ));
        };
        let paused = found.is_enabled == Some(false);
        if paused && !self.resumes {
            return None;
        }
        let (min_set, warm_set) =
            (found.min_instances.unwrap_or(0), found.keep_warm_duration_in_seconds.unwrap_or(0));
        let (min_kept, warm_kept) = if paused { (0, 0) } else { (min_set, warm_set) };
        let (min, warm) = (self.min.unwrap_or(min_set), self.warm.unwrap_or(warm_set));
        let other = self.hardware.filter(|sku| found.hardware.as_ref().is_none_or(|now| now != &[*sku]));
        let more = min > min_kept || (other.is_some() && min > 0);
        let warmer = warm > warm_kept || (other.is_some() && warm > 0);
        let kept = deployment::kept_on(if more { min } else { 0 }, if warmer { warm } else { 0 })?;
        let on = other.map(|sku| format!("moves to {sku} and ")).unwrap_or_default();
        Some(format!("{change} {name} so that it {on}{kept}"))
    }
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Update deployment";
    const DESCRIPTION: &'static str = "Change a deployment; pass only what changes. is_enabled=false pauses it and stops costs.";
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: false, open_world: false };
    const SEARCH: Search = Search::Hint("pause, resume, keep warm, change GPU, stop costs");
    type Args = Args;

    fn output() -> Value {
        json!({
            "deployment": schema::upstream("The deployment after the change, in short: thirteen keys, null where unknown."),
            "name_race_possible": schema::flag("Somebody else may have renamed it at the same moment: check the name."),
            "found_applied": schema::flag("The answer was lost; the deployment was found as wanted."),
        })
    }

    fn check(args: &Args) -> Result<(), ArgumentFaults> {
        let changes = args.changes();
        args.name.as_deref().map_or(Ok(()), visible_name)?;
        if changes.is_empty() {
            let rule = "has nothing to change beside it: pass at least one field";
            return Err(ArgumentFaults::one("deployment_id", rule));
        }
        match (changes.min_instances, changes.max_instances) {
            (Some(min), Some(max)) if min > max => {
                Err(ArgumentFaults::one("min_instances", "must not be above max_instances"))
            }
            _ => Ok(()),
        }
    }

    fn question(args: &Args) -> Option<Question> {
        // What is paused costs nothing, whatever else it is told.
        if args.is_enabled == Some(false) {
            return None;
        }
        let wanted = Wanted {
            resumes: args.is_enabled == Some(true),
            hardware: args.hardware.map(Hardware::sku),
            min: args.min_instances,
            warm: args.keep_warm_duration_in_seconds,
        };
        let (id, confirmed) = (args.deployment_id.clone(), args.confirm == Some(true));
        wanted.may_keep_more_on().then(|| Question {
            about: Some(id.clone()),
            confirmed,
            words: Box::new(move |found| wanted.words(&id, found)),
        })
    }

    async fn run(args: Args, call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let (changes, id) = (args.changes(), args.deployment_id);
        let changed = id.clone();
        let updated = call.write(|api| async move { api.update_deployment(&id, &changes).await }).await;
        call.forget_deployment(&changed);
        let updated = updated?;
        let deployment = &updated.deployment;
        let race = if updated.name_race_possible { " Its name may have been changed by somebody else: check it." } else { "" };
        let paused = if deployment.is_enabled == Some(false) { " It is paused." } else { "" };
        let sentence = format!("Updated deployment {}.{paused}{race}{}", deployment.id, deployment::standing_cost(deployment));
        let (name_race_possible, found_applied) = (updated.name_race_possible, updated.found_applied);
        let mut reply = ToolResult::new(sentence).with_non_finite(deployment.non_finite.as_ref()).with("deployment", deployment::compact(updated.deployment));
        if name_race_possible {
            reply = reply.with("name_race_possible", true);
        }
        if found_applied {
            reply = reply.with("found_applied", true);
        }
        Ok(reply)
    }
}
