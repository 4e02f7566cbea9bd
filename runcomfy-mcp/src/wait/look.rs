//! Looking at a run that somebody submitted before, and waiting until there is something new to see.

use std::time::Duration;

use runcomfy_core::{
    DeploymentId, Error, ErrorKind, RequestId, error::Operation, request::RequestStatus,
    wait::TimedOutWait,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    queue::with_note,
    watch::{Submit, Watched, watch},
};
use crate::{
    pipeline::context::ToolContext,
    result::{ToolError, ToolResult},
    view::request::{describe, describe_result, status_json, with_result, with_state},
};

/// What is said until something is seen.
const LOOKING: (&str, Submit) = ("looking", Submit::Unknown);

/// The arguments of a look.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookArgs {
    /// Where it runs.
    #[schemars(with = "String")]
    pub(crate) deployment_id: DeploymentId,
    /// From submit_request.
    #[schemars(with = "String")]
    pub(crate) request_id: RequestId,
    /// Wait up to this long for news: 0 to 14400, default 0; 45 is safe.
    #[serde(default)]
    #[schemars(range(min = 0, max = 14_400))]
    pub(crate) wait_seconds: u64,
}

impl LookArgs {
    fn ids(&self) -> RunIds {
        (self.deployment_id.clone(), self.request_id.clone())
    }

    /// The run that is asked about.
    pub(crate) fn run(&self) -> (&DeploymentId, &RequestId) {
        (&self.deployment_id, &self.request_id)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }
}

/// Waits for another state than the first that is seen: a model that asks again and again at every place
/// in the queue would use up its patience.
pub(crate) async fn until_changed(
    args: &LookArgs,
    call: &mut ToolContext,
) -> Result<ToolResult, ToolError> {
    call.scope.acquire_wait_permit()?;
    let started = Instant::now();
    let mut first = None;
    // A run that is over has no news to wait for, and its result may take longer than its state.
    let changed = |status: &RequestStatus| {
        let state = status.state();
        state.is_finished() || *first.get_or_insert(state) != state
    };
    let watched = watch(call, args.ids(), LOOKING, args.timeout(), changed).await?;
    let (status, how, reason) = match watched {
        Watched::Finished(finished) => (finished.status, None, None),
        Watched::ConditionMet(status) => (*status, None, None),
        Watched::TimedOut(timed_out, reason) => {
            (last(*timed_out, args.ids())?, Some("timed_out"), reason)
        }
        Watched::Interrupted(status) => {
            (*status.ok_or_else(ToolError::shutting_down)?, Some("interrupted"), None)
        }
    };
    let sentence = match how {
        None => format!("Request {}: {}.", args.request_id, describe(&status)),
        Some(_) => format!("Request {}: still {}.", args.request_id, describe(&status)),
    };
    let reply = with_state(ToolResult::new(sentence), status.state(), args.run());
    Ok(with_note(waited(reply, started, how), reason).with("status", status_json(&status)))
}

/// Waits for the run's end and its result.
pub(crate) async fn until_result(
    args: &LookArgs,
    call: &mut ToolContext,
) -> Result<ToolResult, ToolError> {
    call.scope.acquire_wait_permit()?;
    let started = Instant::now();
    let watched = watch(call, args.ids(), LOOKING, args.timeout(), |_| false).await?;
    let (status, how, reason) = match watched {
        Watched::Finished(finished) => {
            let result = finished.result?;
            let sentence = format!("Result for {}: {}", args.request_id, describe_result(&result));
            let reply = with_state(ToolResult::new(sentence), result.state(), args.run());
            return Ok(with_result(waited(reply, started, None), &result, args.run()));
        }
        Watched::ConditionMet(status) => (*status, Some("timed_out"), None),
        Watched::TimedOut(timed_out, reason) => {
            (last(*timed_out, args.ids())?, Some("timed_out"), reason)
        }
        Watched::Interrupted(status) => {
            (*status.ok_or_else(ToolError::shutting_down)?, Some("interrupted"), None)
        }
    };
    let sentence = format!("Request {} has no result yet: {}.", args.request_id, describe(&status));
    let reply = with_state(ToolResult::new(sentence), status.state(), args.run());
    Ok(with_note(waited(reply, started, how), reason).with("status", status_json(&status)))
}

fn waited(reply: ToolResult, started: Instant, how: Option<&str>) -> ToolResult {
    let reply = reply.with("waited_seconds", started.elapsed().as_secs_f64());
    match how {
        Some(how) => reply.with(how, true),
        None => reply,
    }
}

type RunIds = (DeploymentId, RequestId);

/// What was seen last, or why nothing was.
fn last(
    timed_out: TimedOutWait,
    (deployment_id, request_id): RunIds,
) -> Result<RequestStatus, ToolError> {
    let error = || {
        Error::new(Operation::GetRequestStatus, ErrorKind::TimedOut)
            .with_deployment_id(deployment_id)
            .with_request_id(request_id)
    };
    let seen = timed_out.last_status.ok_or_else(|| timed_out.last_error.unwrap_or_else(error))?;
    Ok(seen)
}
