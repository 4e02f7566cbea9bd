//! A run that was submitted just now, and the wait for its end.

use std::{sync::Arc, time::Duration};

use runcomfy_core::{
    DeploymentId, RequestId,
    request::{Cancellation, RequestState, RequestStatus, Submission},
    wait::{FinishedRun, TimedOutWait},
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    queue::with_note,
    watch::{Submit, Watched, watch},
};
use crate::{
    pipeline::context::ToolContext,
    result::{ToolError, ToolResult},
    view::request::{NEXT, describe, describe_result, next, status_json, with_result, with_state},
};

/// A run that RunComfy has accepted.
pub(crate) struct Submitted {
    pub(crate) deployment_id: DeploymentId,
    pub(crate) submission: Submission,
    pub(crate) submit: Submit,
}

impl Submitted {
    /// The answer for a caller who does not wait.
    pub(crate) fn reply(self) -> ToolResult {
        let sentence = format!(
            "Submitted request {} on deployment {}. It goes on by itself. {NEXT}",
            self.submission.request_id, self.deployment_id
        );
        let reply = self.named(sentence, RequestState::InQueue);
        self.with_submission(reply)
    }

    /// The answer where the wait was cut short, with the last state seen.
    fn interrupted(self, waited: Duration, last: RequestState) -> ToolResult {
        let sentence = format!(
            "Request {} was submitted; the wait for it was cut short after {} s. It goes on by itself: do not \
             submit it again. {NEXT}",
            self.submission.request_id,
            waited.as_secs_f64().round()
        );
        let reply = self.named(sentence, last).with("interrupted", true);
        self.with_submission(reply.with("waited_seconds", waited.as_secs_f64()))
    }

    fn run(&self) -> (&DeploymentId, &RequestId) {
        (&self.deployment_id, &self.submission.request_id)
    }

    /// An answer with what comes first in it: where the run is, its ids, and what to call next.
    fn named(&self, sentence: String, state: RequestState) -> ToolResult {
        with_state(ToolResult::new(sentence), state, self.run())
            .with("deployment_id", self.deployment_id.as_str())
            .with("request_id", self.submission.request_id.as_str())
    }

    fn with_submission(self, reply: ToolResult) -> ToolResult {
        let reply = reply.with_non_finite(self.submission.non_finite.as_ref());
        reply.with("submission", self.submission.into_map())
    }
}

/// Waits for the run and answers with what came of it. Whatever happens, the answer has the ids.
pub(crate) async fn until_finished(
    submitted: Submitted,
    timeout: Duration,
    call: &mut ToolContext,
) -> Result<ToolResult, ToolError> {
    let (deployment_id, request_id) =
        (submitted.deployment_id.clone(), submitted.submission.request_id.clone());
    let begun = format!("submitted request {request_id}");
    let started = Instant::now();
    let begun = (begun.as_str(), submitted.submit);
    match watch(call, (deployment_id, request_id), begun, timeout, |_| false).await {
        Ok(Watched::Finished(finished)) => ended(submitted, *finished),
        Ok(Watched::TimedOut(timed_out, reason)) => {
            Ok(with_note(ran_out(submitted, *timed_out), reason))
        }
        Ok(Watched::ConditionMet(last)) => {
            Ok(submitted.interrupted(started.elapsed(), last.state()))
        }
        Ok(Watched::Interrupted(last)) => {
            let abandoned = call.scope.cancelled.is_cancelled() || call.disconnected.is_cancelled();
            if call.scope.settings.cancel_abandoned && abandoned {
                cancel(&submitted, call);
            }
            let last = last.map_or(RequestState::InQueue, |last| last.state());
            Ok(submitted.interrupted(started.elapsed(), last))
        }
        Err(error) => Err(after_submit(&submitted, "goes on", ToolError::from(error))),
    }
}

/// Cancels a run that nobody waits for any more, whether or not anybody hears of it.
fn cancel(submitted: &Submitted, call: &ToolContext) {
    let api = Arc::clone(&call.scope.api);
    let deployment_id = submitted.deployment_id.clone();
    let request_id = submitted.submission.request_id.clone();
    let ledger = call.ledger.clone();
    call.scope.background.spawn(async move {
        let answer = api.cancel_request(&deployment_id, &request_id).await;
        let accepted = answer.as_ref().ok().and_then(Cancellation::accepted);
        if answer.is_ok() {
            // Who submits the same again wants a run, not this one.
            ledger.forget_run(&request_id);
        }
        let error = answer.err().map(|error| error.kind().as_str());
        tracing::info!(%request_id, accepted, error, "cancelled request {request_id}, which was abandoned");
    });
}

fn ended(submitted: Submitted, finished: FinishedRun) -> Result<ToolResult, ToolError> {
    let request_id = &submitted.submission.request_id;
    let result = match finished.result {
        Ok(result) => result,
        Err(error) => {
            let fault = after_submit(&submitted, "has finished", ToolError::from(error))
                .with_hint("Do not submit it again: its result is there, call get_request_result with these ids.");
            let state = finished.status.state().as_str();
            return Err(fault
                .with("status", status_json(&finished.status))
                .with("state", state)
                .with("finished", true)
                .with("next", next(submitted.run())));
        }
    };
    let sentence = format!("Request {request_id} finished: {}", describe_result(&result));
    let reply = submitted
        .named(sentence, result.state())
        .with("waited_seconds", finished.waited.as_secs_f64());
    let reply =
        with_result(reply, &result, submitted.run()).with("status", status_json(&finished.status));
    Ok(submitted.with_submission(reply))
}

fn ran_out(submitted: Submitted, timed_out: TimedOutWait) -> ToolResult {
    let seen = timed_out.last_status.as_ref().map_or_else(|| "not seen yet".to_owned(), describe);
    let sentence = format!(
        "Request {} is not finished after {} s: {seen}. It goes on by itself: do not submit it again. {NEXT}",
        submitted.submission.request_id,
        timed_out.waited.as_secs()
    );
    let state = timed_out.last_status.as_ref().map_or(RequestState::Unknown, RequestStatus::state);
    let reply = submitted
        .named(sentence, state)
        .with("timed_out", true)
        .with("waited_seconds", timed_out.waited.as_secs_f64());
    let reply = submitted.with_submission(reply);
    match timed_out.last_status {
        Some(status) => reply.with("status", status_json(&status)),
        None => reply,
    }
}

/// A failure after the run was accepted, and what the run does now: it must not read as if nothing had
/// happened.
fn after_submit(submitted: &Submitted, and: &str, fault: ToolError) -> ToolError {
    let request_id = &submitted.submission.request_id;
    fault
        .after_effect(&format!("the request was submitted as {request_id} and {and}, but"))
        .with("submission", json!(submitted.submission))
        .with("deployment_id", submitted.deployment_id.as_str())
        .with("request_id", request_id.as_str())
}
