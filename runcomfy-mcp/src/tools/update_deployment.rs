//! `update_deployment`

use runcomfy_core::{DeploymentId, UpdateDeployment};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_deployment::Hardware;
use crate::{
    arguments::ArgumentFaults,
    call::Call,
    consent::{self, Question},
    deployment,
    reply::{Fault, Reply},
    schema,
    tools::{visible_name, Hints, ToolDefinition},
};

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
    /// Kept on, billed around the clock if above 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 30))]
    min_instances: Option<u64>,
    /// At most this many at once.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60))]
    max_instances: Option<u64>,
    /// Pending per instance before another starts.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100_000))]
    queue_size: Option<u64>,
    /// Idle seconds before shutdown, billed.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    keep_warm_duration_in_seconds: Option<u64>,
    /// false pauses, true resumes.
    #[serde(default)]
    is_enabled: Option<bool>,
    /// The user said yes.
    #[serde(default)]
    confirm: Option<bool>,
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Update deployment";
    const DESCRIPTION: &'static str =
        "Change a deployment; pass only what changes. A rename by someone else at the same moment may be undone.";
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: false, open_world: false };
    type Args = Args;

    fn output() -> Value {
        json!({
            "deployment": schema::upstream("The deployment after the change, in short: thirteen keys, null where unknown."),
            "name_race_possible": schema::flag("Somebody else may have renamed it at the same moment: check the name."),
            "found_applied": schema::flag("The answer was lost; the deployment was found as wanted."),
        })
    }

    fn question(args: &Args) -> Option<Question> {
        // What is paused costs nothing, whatever else it is told.
        let (min, warm) = (args.min_instances, args.keep_warm_duration_in_seconds);
        if args.is_enabled == Some(false) {
            return None;
        }
        let (id, resumes) = (args.deployment_id.clone(), args.is_enabled == Some(true));
        let told = deployment::kept_on(min.unwrap_or(0), warm.unwrap_or(0));
        (told.is_some() || resumes).then(|| Question {
            about: Some(id.clone()),
            confirmed: args.confirm == Some(true),
            words: Box::new(move |found| {
                // What is resumed keeps on what it was told to before.
                let before = found.filter(|_| resumes);
                let min = min.or(before.and_then(|found| found.min_instances)).unwrap_or(0);
                let kept = deployment::kept_on(min, warm.unwrap_or(0))?;
                let change = if resumes { "Resume" } else { "Change" };
                Some(format!("{change} {} so that it {kept}", consent::named(&id, found)))
            }),
        })
    }

    async fn run(args: Args, call: Call) -> Result<Reply, Fault> {
        let mut changes = UpdateDeployment::new();
        changes.name = args.name.map(visible_name).transpose()?;
        changes.workflow_version = args.workflow_version;
        changes.hardware = args.hardware.map(|hardware| hardware.sku().to_owned());
        changes.min_instances = args.min_instances;
        changes.max_instances = args.max_instances;
        changes.queue_size = args.queue_size;
        changes.keep_warm_duration_in_seconds = args.keep_warm_duration_in_seconds;
        changes.is_enabled = args.is_enabled;
        if changes.is_empty() {
            let rule = "has nothing to change beside it: pass at least one field";
            return Err(ArgumentFaults::one("deployment_id", rule).into());
        }
        if let (Some(min), Some(max)) = (changes.min_instances, changes.max_instances)
            && min > max
        {
            return Err(ArgumentFaults::one("min_instances", "must not be above max_instances").into());
        }
        let id = args.deployment_id;
        let updated = call.write(|api| async move { api.update_deployment(&id, &changes).await }).await?;
        let deployment = &updated.deployment;
        let race = if updated.name_race_possible { " Its name may have been changed by somebody else: check it." } else { "" };
        let paused = if deployment.is_enabled == Some(false) { " It is paused." } else { "" };
        let sentence = format!("Updated deployment {}.{paused}{race}{}", deployment.id, deployment::standing_cost(deployment));
        let (name_race_possible, found_applied) = (updated.name_race_possible, updated.found_applied);
        let mut reply = Reply::new(sentence).with("deployment", deployment::compact(updated.deployment));
        if name_race_possible {
            reply = reply.with("name_race_possible", true);
        }
        if found_applied {
            reply = reply.with("found_applied", true);
        }
        Ok(reply)
    }
}
