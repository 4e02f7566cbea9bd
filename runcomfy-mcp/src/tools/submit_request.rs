//! `submit_request`

use std::time::Duration;

use rmcp::model::CreateTaskResult;
use runcomfy_core::{request::{ExtraData, Webhook}, DeploymentId, InferenceRequest, Overrides, Workflow};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{config::{Settings, WebhookHosts}, pipeline::{auth::Api, context::ToolContext, idempotency::{self, Asked, Fingerprint, Executed}, progress::Progress, tool::{Hints, Search, ToolDefinition}}, policy::self, result::{ToolError, ToolResult}, schema, tools::{replay_key, FORGOTTEN, REPLAYED_RUN}, validation::ArgumentFaults, view::{deployment, request::state_schema, task_id::TaskId}, wait};

pub(super) struct Tool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    /// Where to run.
    #[schemars(with = "String")]
    deployment_id: DeploymentId,
    /// Inputs to change, by node id from get_deployment: {"6":{"inputs":{"text":"a cat"}}}. Files: https URL or data URI.
    #[serde(default)]
    overrides: Option<Map<String, Value>>,
    /// Run this API-format graph instead of the deployment's; then omit overrides.
    #[serde(default)]
    workflow_api_json: Option<Map<String, Value>>,
    /// Passed to ComfyUI: {"api_key_comfy_org":"…"} for its paid API nodes.
    #[serde(default)]
    extra_data: Option<Map<String, Value>>,
    /// https URL to notify at the end.
    #[serde(default)]
    #[schemars(length(max = 2048))]
    webhook_url: Option<String>,
    /// With webhook_url: also on every change.
    #[serde(default)]
    webhook_intermediate_status: Option<bool>,
    /// Wait up to timeout_seconds for the result. Default false.
    #[serde(default)]
    wait_for_completion: bool,
    /// Seconds to wait: 0 to 14400, default 300; the server may stop at 240. Then finished=false, the run goes on.
    #[serde(default)]
    #[schemars(range(min = 0, max = 14_400), extend("default" = DEFAULT_WAIT_SECONDS))]
    timeout_seconds: Option<u64>,
    /// New for each wish, at most 128 characters. Repeated, it returns the first run.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    idempotency_key: Option<String>,
}

/// The contract's default wait.
const DEFAULT_WAIT_SECONDS: u64 = 300;

/// The wait of a caller who names no time and hears no progress: most such clients give up after 60 s.
const SILENT_WAIT_SECONDS: u64 = 50;

/// How long the call waits for its run.
fn wait_seconds(asked: Option<u64>, progress: &Progress) -> u64 {
    asked.unwrap_or(match progress {
        Progress::Silent => SILENT_WAIT_SECONDS,
        Progress::Peer { .. } | Progress::Lines(_) => DEFAULT_WAIT_SECONDS,
    })
}

impl ToolDefinition for Tool {
    const TITLE: &'static str = "Submit request";
    const DESCRIPTION: &'static str = "Third step: run a deployment's workflow to make the image, picture, video or audio. Each call starts a new billed run. Give a new idempotency_key with each new wish; after a time-out repeat with the same key, which starts nothing twice; without one ask the user. A machine takes minutes to start: while finished is false, call get_request_result.";
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: false, open_world: true };
    const SEARCH: Search = Search::AlwaysLoaded;
    type Args = Args;

    fn output() -> Value {
        json!({
            "deployment_id": schema::text("The deployment it runs on."),
            "request_id": schema::text("The run: all further questions name it."),
            "submission": schema::upstream("RunComfy's answer: request_id, status_url, result_url, cancel_url."),
            "status": schema::upstream("When waited: the last status seen."),
            "result": schema::upstream("When waited and finished: outputs by node and channel, or the error."),
            "output_urls": schema::output_urls(),
            "state": state_schema(),
            "finished": schema::flag("Whether the run is over."),
            "timed_out": schema::flag("The wait's time was up first; the run goes on."),
            "interrupted": schema::flag("The wait was cut short by the server's end or the client's; the run goes on."),
            "waited_seconds": {"type": "number", "description": "How long the wait took."},
            "next": schema::text("What to call next."),
            "hint": schema::text("On failure, and where the run failed: what to do next."),
            "replayed": schema::flag("It is the run of an earlier, identical call; nothing was sent."),
            "note": schema::text("What else to know."),
            "retry_after_seconds": schema::retry_after_seconds(),
        })
    }

    fn check(args: &Args) -> Result<(), ArgumentFaults> {
        replay_key(args.idempotency_key.as_deref())
    }

    async fn run(mut args: Args, mut call: Box<ToolContext>) -> Result<ToolResult, ToolError> {
        let timeout = wait_seconds(args.timeout_seconds, &call.scope.progress);
        let (wait, timeout) = (args.wait_for_completion, Duration::from_secs(timeout));
        let stray_webhook = args.webhook_intermediate_status.is_some() && args.webhook_url.is_none();
        let key = args.idempotency_key.take();
        let asked = fingerprint(&args);
        // Boxed, because it passes through many futures, each of which would keep the room for it.
        let request = Box::new(request(args, &call.scope.settings)?);
        let deployment_id = request.deployment_id.clone();
        let (as_task, wait) = (wait && call.tasks, wait && !call.tasks);
        if wait {
            call.scope.acquire_wait_permit()?;
            call.scope.report_progress("submitting").await;
        }
        let asked = Asked { fingerprint: asked, deployment_id: Some(deployment_id.clone()) };
        let send = |api: Api| async move {
            let submission = api.submit_request(&request).await?;
            let (request_id, deployment_id) = (&submission.request_id, &request.deployment_id);
            tracing::info!(%request_id, %deployment_id, "submitted request {request_id}");
            Ok(submission)
        };
        let Executed { value: submission, replayed, not_recorded } =
            idempotency::execute_once(&call.scope, &call.ledger, key, asked, send)
                .await
                .map_err(|fault| fault.with("deployment_id", deployment_id.as_str()))?;
        const NO_EFFECT: &str =
            "webhook_intermediate_status without webhook_url has no effect: it was not sent.";
        let notes = [(stray_webhook, NO_EFFECT), (not_recorded, FORGOTTEN)];
        let notes: Vec<_> = notes.iter().filter(|(said, _)| *said).map(|(_, note)| *note).collect();
        let submit = if replayed { wait::Submit::Earlier } else { wait::Submit::JustNow };
        let submitted = wait::Submitted { deployment_id, submission, submit };
        let reply = if as_task {
            let id = TaskId::new(submitted.deployment_id.clone(), submitted.submission.request_id.clone());
            submitted.reply().with_task(CreateTaskResult::new(id.submitted(&notes.join(" "))))
        } else if wait {
            // Whose run it is stays true whatever the wait comes to.
            let waited = wait::until_finished(submitted, timeout, &mut call).await;
            waited.map_err(|fault| {
                if replayed { fault.prefixed(REPLAYED_RUN).with("replayed", true) } else { fault }
            })?
        } else {
            submitted.reply()
        };
        let reply = if replayed { reply.prefixed(REPLAYED_RUN) } else { reply };
        let reply = if notes.is_empty() { reply } else { reply.with_note(&notes.join(" ")) };
        Ok(if replayed { reply.with("replayed", true) } else { reply })
    }
}

/// What makes two submits the same: all that is sent.
fn fingerprint(args: &Args) -> Fingerprint {
    let webhook = json!([args.webhook_url, args.webhook_intermediate_status]);
    Fingerprint::of()
        .text(args.deployment_id.as_str())
        .map(args.overrides.as_ref())
        .map(args.workflow_api_json.as_ref())
        .map(args.extra_data.as_ref())
        .value(&webhook)
        .done()
}

/// What is asked, checked as far as it can be without asking RunComfy.
fn request(args: Args, settings: &Settings) -> Result<InferenceRequest, ToolError> {
    let mut request = InferenceRequest::new(args.deployment_id);
    if let Some(overrides) = args.overrides {
        request.overrides = Some(
            Overrides::from_value(Value::Object(overrides))
                .map_err(|error| ArgumentFaults::one("overrides", format!("is not right: {}", deployment::describe(&error))))?,
        );
    }
    if let Some(workflow) = args.workflow_api_json {
        request.workflow_api_json = Some(Workflow::from_value(Value::Object(workflow)).map_err(|error| {
            ArgumentFaults::one("workflow_api_json", format!("is not right: {}", deployment::describe(&error)))
        })?);
    }
    request.extra_data = args.extra_data.map(ExtraData);
    if let Some(url) = args.webhook_url {
        let nowhere = WebhookHosts::Only(Vec::new());
        let hosts = settings.webhook_hosts.as_ref().unwrap_or(&nowhere);
        let mut webhook = Webhook::new(policy::webhook(&url, hosts)?);
        webhook.intermediate_status = args.webhook_intermediate_status;
        request.webhook = Some(webhook);
    }
    Ok(request)
}
