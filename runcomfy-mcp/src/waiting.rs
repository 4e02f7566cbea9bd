//! From a submitted run to its result: waiting, and telling where a run is.

mod look;
mod queue;
mod watch;

use std::{sync::Arc, time::Duration};

use runcomfy_core::{
    Cancellation, DeploymentId, Finished, RequestId, RequestResult, RequestState, RequestStatus,
    Submission, TimedOut,
};
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) use self::look::{LookArgs, until_changed, until_result};
use self::queue::with_note;
pub(crate) use self::queue::{Reasons, with_reason};
pub(crate) use self::watch::{Submit, in_words};
use self::watch::{Watched, watch};

use crate::{
    call::Call,
    reply::{Fault, Reply, failure_hint},
    uri,
};

/// A run that RunComfy has accepted.
pub(crate) struct Submitted {
    pub(crate) deployment_id: DeploymentId,
    pub(crate) submission: Submission,
    pub(crate) submit: Submit,
}

impl Submitted {
    /// The answer for a caller who does not wait.
    pub(crate) fn reply(&self) -> Reply {
        let sentence = format!(
            "Submitted request {} on deployment {}. It goes on by itself. {NEXT}",
            self.submission.request_id, self.deployment_id
        );
        self.with_submission(self.named(sentence, RequestState::InQueue))
    }

    /// The answer where the wait was cut short, with the last state seen.
    fn interrupted(&self, waited: Duration, last: RequestState) -> Reply {
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
    fn named(&self, sentence: String, state: RequestState) -> Reply {
        with_state(Reply::new(sentence), state, self.run())
            .with("deployment_id", self.deployment_id.as_str())
            .with("request_id", self.submission.request_id.as_str())
    }

    fn with_submission(&self, reply: Reply) -> Reply {
        let reply = reply.with_non_finite(self.submission.non_finite.as_ref());
        reply.with("submission", json!(self.submission))
    }
}

/// Waits for the run and answers with what came of it. Whatever happens, the answer has the ids.
pub(crate) async fn until_finished(
    submitted: Submitted,
    timeout: Duration,
    call: &mut Call,
) -> Result<Reply, Fault> {
    let (deployment_id, request_id) =
        (submitted.deployment_id.clone(), submitted.submission.request_id.clone());
    let begun = format!("submitted request {request_id}");
    let started = Instant::now();
    let begun = (begun.as_str(), submitted.submit);
    match watch(call, (deployment_id, request_id), begun, timeout, |_| false).await {
        Ok(Watched::Finished(finished)) => ended(&submitted, *finished),
        Ok(Watched::TimedOut(timed_out, reason)) => {
            Ok(with_note(ran_out(&submitted, *timed_out), reason))
        }
        Ok(Watched::Enough(last)) => Ok(submitted.interrupted(started.elapsed(), last.state())),
        Ok(Watched::Interrupted(last)) => {
            let abandoned = call.gone.is_cancelled() || call.left.is_cancelled();
            if call.settings.cancel_abandoned && abandoned {
                cancel(&submitted, call);
            }
            let last = last.map_or(RequestState::InQueue, |last| last.state());
            Ok(submitted.interrupted(started.elapsed(), last))
        }
        Err(error) => Err(after_submit(&submitted, "goes on", Fault::from(error))),
    }
}

/// Cancels a run that nobody waits for any more, whether or not anybody hears of it.
fn cancel(submitted: &Submitted, call: &Call) {
    let api = Arc::clone(&call.api);
    let deployment_id = submitted.deployment_id.clone();
    let request_id = submitted.submission.request_id.clone();
    let ledger = call.ledger.clone();
    call.work.spawn(async move {
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

fn ended(submitted: &Submitted, finished: Finished) -> Result<Reply, Fault> {
    let request_id = &submitted.submission.request_id;
    let result = match finished.result {
        Ok(result) => result,
        Err(error) => {
            let fault = after_submit(submitted, "has finished", Fault::from(error))
                .advising("Do not submit it again: its result is there, call get_request_result with these ids.");
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

fn ran_out(submitted: &Submitted, timed_out: TimedOut) -> Reply {
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
fn after_submit(submitted: &Submitted, and: &str, fault: Fault) -> Fault {
    let request_id = &submitted.submission.request_id;
    fault
        .after_effect(&format!("the request was submitted as {request_id} and {and}, but"))
        .with("submission", json!(submitted.submission))
        .with("deployment_id", submitted.deployment_id.as_str())
        .with("request_id", request_id.as_str())
}

/// RunComfy's answer without the three addresses, which no model can use; `submission` has them.
pub(crate) fn status_json(status: &RequestStatus) -> Value {
    let mut json = json!(status);
    if let Some(fields) = json.as_object_mut() {
        for address in ["status_url", "result_url", "cancel_url"] {
            fields.shift_remove(address);
        }
    }
    json
}

/// Adds what a run made, or how to do better where it failed.
pub(crate) fn with_result(
    reply: Reply,
    result: &RequestResult,
    (deployment_id, request_id): (&DeploymentId, &RequestId),
) -> Reply {
    let all_at = uri::request(deployment_id, request_id);
    let reply = reply.all_at(all_at).with_files(result.output_files());
    let reply = match (result.state(), result.failure()) {
        (RequestState::Failed, failure) => {
            reply.with("hint", failure_hint(&failure.unwrap_or_default()))
        }
        _ => reply,
    };
    reply.with_non_finite(result.non_finite.as_ref()).with("result", json!(result))
}

/// A status in a few words of ours.
pub(crate) fn describe(status: &RequestStatus) -> String {
    match (status.state(), status.queue_position) {
        (RequestState::InQueue, Some(position)) => format!("in_queue, position {position}"),
        (state, _) => state.as_str().to_owned(),
    }
}

/// A result in a sentence of ours: what there is, or why there is nothing.
pub(crate) fn describe_result(result: &RequestResult) -> String {
    match result.state() {
        RequestState::Succeeded => match (result.output_files().len(), result.output_texts().len()) {
            (0, 0) => "succeeded, without outputs; ComfyUI skips what it has already made, so change an input such as the seed.".to_owned(),
            (files, 0) => format!("succeeded with {files} file(s)."),
            (0, texts) => format!("succeeded with {texts} text(s)."),
            (files, texts) => format!("succeeded with {files} file(s) and {texts} text(s)."),
        },
        RequestState::Failed => {
            let failure = result.failure().unwrap_or_default();
            let node = failure.node_id.map(|id| format!(" at node {id:?}")).unwrap_or_default();
            let kind = failure.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
            let message = failure.message.map(|message| format!(": {:?}", clip(&message))).unwrap_or_default();
            format!("failed{node}{kind}{message}.")
        }
        RequestState::Cancelled => "cancelled.".to_owned(),
        RequestState::InQueue | RequestState::InProgress => {
            format!("not finished yet, {}.", result.state().as_str())
        }
        state => format!("{}.", state.as_str()),
    }
}

/// The next step, in a sentence that has named the run.
pub(crate) const NEXT: &str = "Next: get_request_result with these ids and wait_seconds=45.";

/// The next step, as the call to make.
pub(crate) fn next((deployment_id, request_id): (&DeploymentId, &RequestId)) -> String {
    // No JSON: its quotes would be escaped twice on the way.
    let (deployment_id, request_id) = (deployment_id.as_str(), request_id.as_str());
    [
        "get_request_result with deployment_id=",
        deployment_id,
        ", request_id=",
        request_id,
        ", wait_seconds=45",
    ]
    .concat()
}

/// Adds where the run is and, unless its result is there, what to call next.
pub(crate) fn with_state(
    reply: Reply,
    state: RequestState,
    run: (&DeploymentId, &RequestId),
) -> Reply {
    let reply = reply.with("state", state.as_str()).with("finished", state.is_finished());
    match (state, retry_after(state)) {
        (RequestState::Completed, _) => reply.with("next", next(run)),
        (_, Some(seconds)) => reply.with("next", next(run)).with("retry_after_seconds", seconds),
        (_, None) => reply,
    }
}

/// When it is worth looking again, in seconds; `None` once there is nothing more to come.
pub(crate) fn retry_after(state: RequestState) -> Option<u64> {
    match state {
        RequestState::InQueue => Some(10),
        RequestState::InProgress | RequestState::Unknown => Some(5),
        _ => None,
    }
}

/// What `state` may say.
pub(crate) fn state_schema() -> Value {
    let all = [
        RequestState::InQueue,
        RequestState::InProgress,
        RequestState::Completed,
        RequestState::Succeeded,
        RequestState::Failed,
        RequestState::Cancelled,
        RequestState::Unknown,
    ];
    json!({
        "type": "string",
        "enum": all.map(RequestState::as_str),
        "description": "Where the run is. completed = finished, see the result for success.",
    })
}

/// A cause in RunComfy's words, short enough for a sentence.
fn clip(text: &str) -> String {
    text.chars().take(300).collect()
}
