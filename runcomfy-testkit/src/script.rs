//! What one request will do: how long it is held, how long it runs and how it ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The course of one request. By default it starts as soon as an instance is free, runs as long as every
/// run does, and ends as its workflow says.
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
    /// As its workflow says: with outputs, or with the error of a node that can't work.
    #[default]
    AsTheWorkflowSays,
    /// Cancelled, by someone who is not the caller.
    Cancelled,
    /// With this error.
    Fails(Value),
    /// With its outputs, whatever its workflow says.
    Succeeds,
    /// Well, but with no outputs, as a run whose every node was cached may.
    WithoutOutputs,
}

impl Script {
    /// Not started before this long after it was submitted. As the queue is first come, first served,
    /// those behind it wait too.
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

    /// Ends with outputs, even where the workflow holds a node that would fail.
    #[must_use]
    pub fn succeeds(self) -> Self {
        self.ending(ScriptedEnd::Succeeds)
    }

    /// Ends with this as the result's `error`, in any of the shapes that the service uses.
    #[must_use]
    pub fn fails(self, error: Value) -> Self {
        self.ending(ScriptedEnd::Fails(error))
    }

    /// Shows what was made beside the error, where it fails.
    #[must_use]
    pub fn with_partial_outputs(mut self) -> Self {
        self.partial_outputs = true;
        self
    }

    /// Ends as cancelled after its time, as if somebody else had cancelled it.
    #[must_use]
    pub fn cancelled(self) -> Self {
        self.ending(ScriptedEnd::Cancelled)
    }

    /// Ends well, but with an empty `outputs`.
    #[must_use]
    pub fn completes_without_outputs(self) -> Self {
        self.ending(ScriptedEnd::WithoutOutputs)
    }

    /// Spells `cancelled` as `canceled` wherever this request is spoken of; the service has done both.
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
