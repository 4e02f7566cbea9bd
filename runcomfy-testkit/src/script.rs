//! `Script`: how long one request is queued, how long it runs, and how it ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The course of one request. By default it starts as soon as an instance is free, runs for the usual time,
/// and ends as its workflow determines.
///
/// ```
/// use std::time::Duration;
/// use runcomfy_testkit::Script;
///
/// let slow = Script::default().queued(Duration::from_secs(5)).running(Duration::from_secs(60));
/// let broken = Script::default().fails(serde_json::json!({"type": "OSError", "message": "disk full"}));
/// # let _ = (slow, broken);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    pub(crate) queued: Duration,
    pub(crate) running: Option<Duration>,
    pub(crate) end: ScriptedEnd,
    pub(crate) american: bool,
    pub(crate) partial_outputs: bool,
}

/// How a scripted run ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum ScriptedEnd {
    /// As the workflow determines: with outputs, or with the error of a node that fails.
    #[default]
    AsTheWorkflowSays,
    /// Cancelled by somebody other than the caller.
    Cancelled,
    /// Failed with this error.
    Fails(Value),
    /// Succeeded with its outputs, even if a node would fail.
    Succeeds,
    /// Succeeded with empty outputs, as when ComfyUI has cached every node.
    WithoutOutputs,
}

impl Script {
    /// Stays in the queue for at least this long. Requests behind it wait as well, because the queue is first
    /// come, first served.
    #[must_use]
    pub fn queued(mut self, at_least: Duration) -> Self {
        self.queued = at_least;
        self
    }

    /// Runs for this long once it has an instance.
    #[must_use]
    pub fn running(mut self, exactly: Duration) -> Self {
        self.running = Some(exactly);
        self
    }

    /// Succeeds with outputs, even if the workflow has a node that would fail.
    #[must_use]
    pub fn succeeds(self) -> Self {
        self.ending(ScriptedEnd::Succeeds)
    }

    /// Fails with this `error` in the result, which can have any of the service's shapes.
    #[must_use]
    pub fn fails(self, error: Value) -> Self {
        self.ending(ScriptedEnd::Fails(error))
    }

    /// Lists the outputs beside the error if it fails.
    #[must_use]
    pub fn with_partial_outputs(mut self) -> Self {
        self.partial_outputs = true;
        self
    }

    /// Ends as cancelled after its run time, as if somebody else had cancelled it.
    #[must_use]
    pub fn cancelled(self) -> Self {
        self.ending(ScriptedEnd::Cancelled)
    }

    /// Succeeds with an empty `outputs`.
    #[must_use]
    pub fn completes_without_outputs(self) -> Self {
        self.ending(ScriptedEnd::WithoutOutputs)
    }

    /// Spells `cancelled` as `canceled` in all responses about this request. The service uses both.
    #[must_use]
    pub fn spelled_canceled(mut self) -> Self {
        self.american = true;
        self
    }

    fn ending(mut self, end: ScriptedEnd) -> Self {
        self.end = end;
        self
    }
}
