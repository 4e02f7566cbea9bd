//! `create_deployment`

use runcomfy_core::{deployment::CreateDeployment, id::WorkflowId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{pipeline::{auth::Api, confirmation::Question, context::ToolContext, idempotency::{self, Asked, Fingerprint, Executed}, tool::{Hints, Search, ToolDefinition}}, result::{ToolError, ToolResult}, schema, tools::{replay_key, visible_name, FORGOTTEN}, validation::ArgumentFaults, view::deployment};

pub(super) struct Tool;

/// The GPU SKUs that RunComfy documents.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Hardware {
    #[serde(rename = "TURING_16")]
    Turing16,
    #[serde(rename = "AMPERE_24")]
    Ampere24,
    #[default]
    #[serde(rename = "AMPERE_48")]
    Ampere48,
    #[serde(rename = "ADA_48_PLUS")]
    Ada48Plus,
    #[serde(rename = "AMPERE_80")]
    Ampere80,
    #[serde(rename = "ADA_80_PLUS")]
    Ada80Plus,
    #[serde(rename = "HOPPER_141")]
    Hopper141,
}

impl Hardware {
    /// The SKU's name, as the service knows it.
    pub(super) fn sku(self) -> &'static str {
        runcomfy_core::deployment::HARDWARE[self as usize]
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// For people.
    #[schemars(length(min = 1, max = 256))]
    name: String,
    /// Id of a saved workflow; list_deployments shows those in use.
    #[schemars(with = "String")]
    workflow_id: WorkflowId,
    /// Such as v1.
    #[schemars(length(min = 1, max = 128))]
    workflow_version: String,
    /// GPU, cheapest first, default AMPERE_48; the number is GB of memory.
    #[serde(default)]
    hardware: Hardware,
    /// 0 to 30, default 0; kept on and billed around the clock.
    #[serde(default)]
    #[schemars(range(min = 0, max = 30))]
    min_instances: u64,
    /// At most this many at once: 1 to 60, default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 60))]
    max_instances: u64,
    /// Pending per instance before another starts, default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100_000))]
    queue_size: u64,
    /// Idle seconds before shutdown, billed: 0 to 86400, default 60.
    #[serde(default = "sixty")]
    #[schemars(range(min = 0, max = 86_400))]
    keep_warm_duration_in_seconds: u64,
    /// New for each wish. Repeated, it returns the first and creates none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    idempotency_key: Option<String>,
    /// true: the user said yes.
    #[serde(default)]
    confirm: Option<bool>,
}

fn one() -> u64 {
    1
}

fn sixty() -> u64 {
    60
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Create deployment";
    const DESCRIPTION: &'static str = "Create a deployment of a workflow saved in RunComfy. Costs nothing until it runs, unless min_instances > 0. LoRA deployments are made in the web app. After outcome `unknown` list before you repeat.";
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: false, open_world: false };
    const SEARCH: Search = Search::Hint("new ComfyUI workflow on a GPU");
    type Args = Args;

    fn output() -> Value {
        json!({
            "deployment": schema::upstream("The new deployment in short: thirteen keys, null where unknown."),
            "replayed": schema::flag("It was created by an earlier, identical call; nothing was sent."),
            "note": schema::text("What else to know."),
        })
    }

    fn check(args: &Args) -> Result<(), ArgumentFaults> {
        if args.min_instances > args.max_instances {
            return Err(ArgumentFaults::one("min_instances", "must not be above max_instances"));
        }
        visible_name(&args.name)?;
        replay_key(args.idempotency_key.as_deref())
    }

    fn question(args: &Args) -> Option<Question> {
        let kept = deployment::kept_on(args.min_instances, args.keep_warm_duration_in_seconds)?;
        let words = format!("Create a deployment on {} that {kept}", args.hardware.sku());
        Some(Question { about: None, confirmed: args.confirm == Some(true), words: Box::new(|_| Some(words)) })
    }

    async fn run(args: Args, call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let key = args.idempotency_key;
        let numbers = [
            args.min_instances,
            args.max_instances,
            args.queue_size,
            args.keep_warm_duration_in_seconds,
        ];
        let asked = Fingerprint::of()
            .text(&args.name)
            .text(args.workflow_id.as_str())
            .text(&args.workflow_version)
            .text(args.hardware.sku())
            .value(&json!(numbers))
            .done();
        let request = CreateDeployment::new(args.name, args.workflow_id, args.workflow_version)
            .hardware(args.hardware.sku())
            .instances(args.min_instances, args.max_instances)
            .queue_size(args.queue_size)
            .keep_warm_duration_in_seconds(args.keep_warm_duration_in_seconds);
        let asked = Asked { fingerprint: asked, deployment_id: None };
        let send = |api: Api| async move { api.create_deployment(&request).await };
        let Executed { value: created, replayed, not_recorded } =
            idempotency::execute_once(&call.scope, &call.ledger, key, asked, send).await?;
        let sentence = format!("Created deployment {}.{}", created.id, deployment::standing_cost(&created));
        let reply = ToolResult::new(sentence).with_non_finite(created.non_finite.as_ref()).with("deployment", deployment::compact(created));
        let reply = if replayed { reply.prefixed("Earlier deployment, nothing new was created.") } else { reply };
        let reply = if not_recorded { reply.with_note(FORGOTTEN) } else { reply };
        Ok(if replayed { reply.with("replayed", true) } else { reply })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enum_names_the_skus_that_the_core_knows() {
        let all = [
            Hardware::Turing16,
            Hardware::Ampere24,
            Hardware::Ampere48,
            Hardware::Ada48Plus,
            Hardware::Ampere80,
            Hardware::Ada80Plus,
            Hardware::Hopper141,
        ];
        assert_eq!(all.map(|hardware| json!(hardware)), runcomfy_core::deployment::HARDWARE.map(Value::from));
        assert_eq!(all.map(Hardware::sku), runcomfy_core::deployment::HARDWARE);
        assert_eq!(Hardware::default().sku(), runcomfy_core::deployment::DEFAULT_HARDWARE);
    }
}
