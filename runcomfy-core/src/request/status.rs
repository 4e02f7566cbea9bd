//! The status and the result of a run.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    id::{InstanceId, RequestId},
    json::{NonFinite, object},
};

/// Where a run is: the service's answer to a status question.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestStatus {
    /// The run, as the service named it.
    pub request_id: Option<RequestId>,
    /// The state in the service's words; see [`state`](Self::state).
    pub status: Option<String>,
    /// How many are ahead of it, while it is in queue.
    pub queue_position: Option<i64>,
    /// The machine it runs on, once it has one.
    pub instance_id: Option<InstanceId>,
    /// Every other field of the response, and any of the above that came with another type.
    pub extra: Map<String, Value>,
    /// Where the response had numbers that JSON does not have; they are null in the other fields.
    pub non_finite: Option<NonFinite>,
}

impl RequestStatus {
    /// Of this run, in this state.
    #[must_use]
    pub fn new(request_id: RequestId, status: impl Into<String>) -> Self {
        Self { request_id: Some(request_id), status: Some(status.into()), ..Self::default() }
    }

    /// The state as far as it is understood.
    #[must_use]
    pub fn state(&self) -> RequestState {
        RequestState::of(self.status.as_deref())
    }
}

/// The result of a run. Addresses of files may be signed, so `Debug` shows only which nodes made something.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestResult {
    /// The run, as the service named it.
    pub request_id: Option<RequestId>,
    /// The state in the service's words; see [`state`](Self::state).
    pub status: Option<String>,
    /// What each output node made: `{node id: {channel: [item]}}`.
    pub outputs: Option<Value>,
    /// The same from deployments of LoRAs, which have a shape of their own.
    pub output: Option<Value>,
    /// When it was submitted, as the service wrote it.
    pub created_at: Option<String>,
    /// When it ended, as the service wrote it.
    pub finished_at: Option<String>,
    /// The machine it ran on.
    pub instance_id: Option<InstanceId>,
    /// Why it failed, in any of the service's shapes; see [`failure`](Self::failure).
    pub error: Option<Value>,
    /// Every other field of the response, and any of the above that came with another type.
    pub extra: Map<String, Value>,
    /// Where the response had numbers that JSON does not have; they are null in the other fields.
    pub non_finite: Option<NonFinite>,
}

impl fmt::Debug for RequestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self
            .outputs
            .as_ref()
            .and_then(Value::as_object)
            .map(|map| map.keys().collect::<Vec<_>>());
        f.debug_struct("RequestResult")
            .field("request_id", &self.request_id)
            .field("status", &self.status)
            .field("outputs", &nodes)
            .field("has_output", &self.output.is_some())
            .field("finished_at", &self.finished_at)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl RequestResult {
    /// Of this run, in this state.
    #[must_use]
    pub fn new(request_id: RequestId, status: impl Into<String>) -> Self {
        Self { request_id: Some(request_id), status: Some(status.into()), ..Self::default() }
    }

    /// The state as far as it is understood. Only [`RequestState::Succeeded`] is success.
    #[must_use]
    pub fn state(&self) -> RequestState {
        RequestState::of(self.status.as_deref())
    }

    /// Whether this is what came of the run, and not what is known of it on the way.
    #[must_use]
    pub fn is_final(&self) -> bool {
        let made = self.outputs.is_some() || self.output.is_some() || self.error.is_some();
        self.state().is_finished() || (self.state() == RequestState::Unknown && made)
    }
}

/// What the service answers to a cancellation. It is best effort: the run's status is the truth.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Cancellation {
    /// The run, as the service named it.
    pub request_id: Option<RequestId>,
    /// The state in the service's words: `completed`, `cancellation_requested`, `not_cancellable`.
    pub status: Option<String>,
    /// `cancelled` or `not_cancellable`, where the service says so apart from the status.
    pub outcome: Option<String>,
    /// The run's own status as it was read afterwards, where an answer to the cancellation was lost. Then
    /// this is the truth: a second cancellation is refused whether or not the first got through.
    pub observed_status: Option<String>,
    /// Every other field of the response.
    pub extra: Map<String, Value>,
    /// Where the response had numbers that JSON does not have; they are null in the other fields.
    pub non_finite: Option<NonFinite>,
}

impl Cancellation {
    /// Whether the service took the cancellation on. `None` where neither its response nor the run says.
    #[must_use]
    pub fn accepted(&self) -> Option<bool> {
        if let Some(observed) = &self.observed_status {
            return (RequestState::of(Some(observed)) == RequestState::Cancelled).then_some(true);
        }
        let word = self.outcome.as_deref().or(self.status.as_deref())?;
        match word.to_ascii_lowercase().as_str() {
            "cancelled" | "canceled" | "cancellation_requested" => Some(true),
            "not_cancellable" => Some(false),
            _ => None,
        }
    }
}

object!(RequestStatus {
    request_id: request_id,
    status: string,
    queue_position: integer,
    instance_id: instance_id,
});
object!(RequestResult {
    request_id: request_id,
    status: string,
    outputs: value,
    output: value,
    created_at: string,
    finished_at: string,
    instance_id: instance_id,
    error: value,
});
object!(Cancellation {
    request_id: request_id,
    status: string,
    outcome: string,
    observed_status: string,
});

/// A state of a run, as far as it is understood.
///
/// The service's own word stays beside it: new words, and both spellings of `cancelled`, are no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestState {
    /// Waits for a machine. Not billed.
    InQueue,
    /// Runs on a machine. Billed.
    InProgress,
    /// Ended, as the status endpoint says it: the result tells whether it succeeded.
    Completed,
    /// Ended with outputs.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Ended by a cancellation.
    Cancelled,
    /// A word that is not known; taken as not finished.
    Unknown,
}

impl RequestState {
    /// Reads the service's word, in any case and either spelling.
    #[must_use]
    pub fn of(word: Option<&str>) -> Self {
        match word.unwrap_or_default().to_ascii_lowercase().as_str() {
            "in_queue" => Self::InQueue,
            "in_progress" => Self::InProgress,
            "completed" => Self::Completed,
            "succeeded" | "success" => Self::Succeeded,
            "failed" | "error" | "timeout" => Self::Failed,
            "cancelled" | "canceled" => Self::Cancelled,
            _ => Self::Unknown,
        }
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_finished(self) -> bool {
        match self {
            Self::Completed | Self::Succeeded | Self::Failed | Self::Cancelled => true,
            Self::InQueue | Self::InProgress | Self::Unknown => false,
        }
    }

    /// The word for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InQueue => "in_queue",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InQueue => "in queue",
            Self::InProgress => "in progress",
            other => other.as_str(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[track_caller]
    fn check_state(word: &str, state: RequestState, finished: bool) {
        assert_eq!(RequestState::of(Some(word)), state, "{word}");
        assert_eq!(state.is_finished(), finished, "{word}");
    }

    #[test]
    fn each_word_for_a_state_is_understood_in_either_spelling() {
        check_state("in_queue", RequestState::InQueue, false);
        check_state("in_progress", RequestState::InProgress, false);
        check_state("completed", RequestState::Completed, true);
        check_state("Succeeded", RequestState::Succeeded, true);
        check_state("success", RequestState::Succeeded, true);
        check_state("failed", RequestState::Failed, true);
        check_state("error", RequestState::Failed, true);
        check_state("timeout", RequestState::Failed, true);
        check_state("cancelled", RequestState::Cancelled, true);
        check_state("canceled", RequestState::Cancelled, true);
        check_state("paused", RequestState::Unknown, false);
    }

    #[test]
    fn an_answer_leaves_as_it_came() {
        let wire = json!({
            "request_id": "r1", "status": 7, "queue_position": null, "instance_id": "i1",
            "seed": 18_446_744_073_709_551_615_u64, "new": {"field": [1, 2]},
        });
        let status: RequestStatus = from_value(wire.clone()).unwrap();
        assert_eq!(status.state(), RequestState::Unknown);
        assert_eq!(status.instance_id.as_ref().unwrap().as_str(), "i1");
        assert_eq!(to_value(&status).unwrap(), wire);
    }

    #[test]
    fn a_cancellation_is_judged_by_its_outcome_then_its_status() {
        let check = |wire: Value, expected| {
            assert_eq!(
                from_value::<Cancellation>(wire.clone()).unwrap().accepted(),
                expected,
                "{wire}"
            );
        };
        check(json!({"status": "completed", "outcome": "cancelled"}), Some(true));
        check(json!({"status": "completed", "outcome": "not_cancellable"}), Some(false));
        check(json!({"status": "cancellation_requested"}), Some(true));
        check(json!({"status": "not_cancellable"}), Some(false));
        check(json!({"status": "completed"}), None);
        check(json!({"observed_status": "canceled"}), Some(true));
        check(json!({"outcome": "not_cancellable", "observed_status": "cancelled"}), Some(true));
        check(json!({"outcome": "not_cancellable", "observed_status": "completed"}), None);
        check(json!({}), None);
    }
}
