//! What can go wrong, sorted by what a caller can do about it.

mod words;

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    id::{DeploymentId, RequestId},
    json::NonFinite,
    text::clean,
};

pub use words::{CallKind, ErrorKind, Operation, Outcome, ParseNameError, Retry};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// A failed operation: which one, the kind of failure, what is known of its effect, and the cause.
///
/// It carries the ids known so far, because the id of an accepted run must not get lost, and the service's
/// message as data. It never holds a token, a request body or an address with a query.
#[derive(Clone)]
pub struct Error(Arc<ErrorData>);

#[derive(Clone, Debug)]
struct ErrorData {
    operation: Operation,
    kind: ErrorKind,
    outcome: Outcome,
    message: Option<String>,
    status_code: Option<u16>,
    error_code: Option<i64>,
    detail: Option<Value>,
    non_finite: Option<NonFinite>,
    retry_after: Option<Duration>,
    deployment_id: Option<DeploymentId>,
    request_id: Option<RequestId>,
    attempts: u32,
    elapsed: Duration,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `operation`, with the outcome that its kind implies.
    #[must_use]
    pub fn new(operation: Operation, kind: ErrorKind) -> Self {
        Self(Arc::new(ErrorData {
            operation,
            kind,
            outcome: kind.usual_outcome(),
            message: None,
            status_code: None,
            error_code: None,
            detail: None,
            non_finite: None,
            retry_after: None,
            deployment_id: None,
            request_id: None,
            attempts: 1,
            elapsed: Duration::ZERO,
            source: None,
        }))
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is known for sure of its effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// What exactly was wrong, from the service or from this crate; at most 1,536 bytes.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The HTTP status, where there was an answer.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        self.0.status_code
    }

    /// The service's own number for the error.
    #[must_use]
    pub fn error_code(&self) -> Option<i64> {
        self.0.error_code
    }

    /// What the service listed beside its message, such as the fields that were wrong; at most 20 entries.
    #[must_use]
    pub fn detail(&self) -> Option<&Value> {
        self.0.detail.as_ref()
    }

    /// Where the service's answer had numbers that JSON does not have; they are null in [`detail`](Self::detail).
    #[must_use]
    pub fn non_finite(&self) -> Option<&NonFinite> {
        self.0.non_finite.as_ref()
    }

    /// How long to wait before the next call: what the service asked for, or how long this client sends no
    /// retries (see [`RetryBudget`](crate::retry::RetryBudget)).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The deployment it was about.
    #[must_use]
    pub fn deployment_id(&self) -> Option<&DeploymentId> {
        self.0.deployment_id.as_ref()
    }

    /// The run it was about, as far as it has an id.
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        self.0.request_id.as_ref()
    }

    /// How many attempts there were.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The time from the first attempt to the last failure.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// The operation that failed, where a step towards it was another one.
    #[must_use]
    pub fn with_operation(mut self, operation: Operation) -> Self {
        self.data_mut().operation = operation;
        self
    }

    /// What is known of its effect, where that differs from what the kind implies.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.data_mut().outcome = outcome;
        self
    }

    /// What exactly was wrong. Control characters are removed, and text beyond 1,536 bytes is cut off.
    #[must_use]
    pub fn with_message(mut self, message: impl AsRef<str>) -> Self {
        let text = clean(message.as_ref(), MAX_MESSAGE_BYTES);
        self.data_mut().message = (!text.is_empty()).then_some(text);
        self
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn with_status_code(mut self, status: u16) -> Self {
        self.data_mut().status_code = Some(status);
        self
    }

    /// The service's own number.
    #[must_use]
    pub fn with_error_code(mut self, code: i64) -> Self {
        self.data_mut().error_code = Some(code);
        self
    }

    /// What the service listed beside its message. A list keeps its first 20 entries, and as many of them
    /// as fit into 8 KiB of JSON; anything else that is larger is left out.
    #[must_use]
    pub fn with_detail(mut self, mut detail: Value) -> Self {
        if let Value::Array(items) = &mut detail {
            items.truncate(MAX_DETAILS);
            let mut room = MAX_DETAIL_BYTES;
            let fitting = items.iter().take_while(|item| {
                let fits = item.to_string().len() < room;
                room = room.saturating_sub(item.to_string().len() + 1);
                fits
            });
            let fitting = fitting.count();
            items.truncate(fitting);
        }
        self.data_mut().detail = (detail.to_string().len() <= MAX_DETAIL_BYTES).then_some(detail);
        self
    }

    /// Where the service's answer had numbers that JSON does not have.
    #[must_use]
    pub fn with_non_finite(mut self, non_finite: NonFinite) -> Self {
        self.data_mut().non_finite = Some(non_finite);
        self
    }

    /// How long to wait before the next call.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.data_mut().retry_after = Some(delay);
        self
    }

    /// The deployment it was about.
    #[must_use]
    pub fn with_deployment_id(mut self, deployment_id: DeploymentId) -> Self {
        self.data_mut().deployment_id = Some(deployment_id);
        self
    }

    /// The run it was about.
    #[must_use]
    pub fn with_request_id(mut self, request_id: RequestId) -> Self {
        self.data_mut().request_id = Some(request_id);
        self
    }

    /// How many attempts there were, and how long they took together.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32, elapsed: Duration) -> Self {
        let data = self.data_mut();
        (data.attempts, data.elapsed) = (attempts, elapsed);
        self
    }

    fn data_mut(&mut self) -> &mut ErrorData {
        Arc::make_mut(&mut self.0)
    }

    /// The cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.data_mut().source = Some(Arc::from(source.into()));
        self
    }
}

/// Leaves room below 2 KiB for the rest of the error's text and for a server's hint.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1536;
const MAX_DETAILS: usize = 20;
const MAX_DETAIL_BYTES: usize = 8192;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &self.0;
        write!(f, "could not {}: {}", error.operation, error.kind)?;
        match (error.status_code, error.error_code) {
            (Some(status), Some(code)) => write!(f, " (HTTP {status}, error_code {code})")?,
            (Some(status), None) => write!(f, " (HTTP {status})")?,
            (None, Some(code)) => write!(f, " (error_code {code})")?,
            (None, None) => {}
        }
        if let Some(message) = &error.message {
            write!(f, ": {message}")?;
        }
        if error.attempts > 1 {
            write!(f, " (after {} tries in {:.1} s)", error.attempts, error.elapsed.as_secs_f64())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests;
