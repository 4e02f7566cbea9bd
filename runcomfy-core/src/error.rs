//! What can go wrong, sorted by what a caller can do about it.

use std::{error::Error as StdError, fmt, time::Duration};

use serde_json::Value;

use crate::types::{DeploymentId, RequestId};

type BoxError = Box<dyn StdError + Send + Sync>;

/// A failed operation: which one, what sort of failure, what is known of its effect, and what lay beneath.
///
/// It carries the ids known so far, so that a run which was accepted is never lost in an error, and the
/// service's own words as data. It never holds a token, a request body or an address with a query.
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    operation: Operation,
    kind: ErrorKind,
    outcome: Outcome,
    message: Option<String>,
    status_code: Option<u16>,
    error_code: Option<i64>,
    detail: Option<Value>,
    retry_after: Option<Duration>,
    deployment_id: Option<DeploymentId>,
    request_id: Option<RequestId>,
    attempts: u32,
    elapsed: Duration,
    source: Option<BoxError>,
}

impl Error {
    /// A failure of `operation`, with the outcome that its kind implies.
    #[must_use]
    pub fn new(operation: Operation, kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            operation,
            kind,
            outcome: kind.usual_outcome(),
            message: None,
            status_code: None,
            error_code: None,
            detail: None,
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

    /// What sort of failure it was.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is known for sure of its effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The service's words, or ours, on what exactly was wrong; at most 2 KiB.
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

    /// How long the service asked to be left alone.
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

    /// How often it was tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// From the first try to giving up.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// Whether doing the same again can help, and at what risk. The one place that decides.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::RateLimited => Retry::Safe,
            // HTTP 408: the service says that it gave up on the request, not that nothing came of it.
            ErrorKind::TimedOut if self.outcome() == Outcome::Rejected => Retry::IfIdempotent,
            ErrorKind::TimedOut | ErrorKind::UpstreamProtocol | ErrorKind::UpstreamUnavailable => {
                match self.outcome() {
                    Outcome::NotSent | Outcome::Rejected => Retry::Safe,
                    Outcome::Applied => Retry::Never,
                    Outcome::Unknown => Retry::IfIdempotent,
                }
            }
            ErrorKind::Conflict
            | ErrorKind::DeploymentDisabled
            | ErrorKind::InsufficientFunds
            | ErrorKind::InvalidArgument
            | ErrorKind::InvalidRequest
            | ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::Refused
            | ErrorKind::Unauthenticated
            | ErrorKind::UpstreamTls => Retry::Never,
        }
    }

    /// Whether the caller may repeat this very call without the risk of a second effect.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.retry() {
            Retry::Safe => true,
            Retry::IfIdempotent => self.operation().call_kind() != CallKind::Paid,
            Retry::Never => false,
        }
    }

    /// The operation that failed, where a step towards it was another one.
    #[must_use]
    pub fn with_operation(mut self, operation: Operation) -> Self {
        self.0.operation = operation;
        self
    }

    /// What is known of its effect, where that differs from what the kind implies.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// What exactly was wrong. Control characters go, and all past 2 KiB.
    #[must_use]
    pub fn with_message(mut self, message: impl AsRef<str>) -> Self {
        let text = clean(message.as_ref(), MAX_MESSAGE_BYTES);
        self.0.message = (!text.is_empty()).then_some(text);
        self
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn with_status_code(mut self, status: u16) -> Self {
        self.0.status_code = Some(status);
        self
    }

    /// The service's own number.
    #[must_use]
    pub fn with_error_code(mut self, code: i64) -> Self {
        self.0.error_code = Some(code);
        self
    }

    /// What the service listed beside its message. A list keeps its first 20 entries; anything that is
    /// still over 8 KiB as JSON is left out.
    #[must_use]
    pub fn with_detail(mut self, mut detail: Value) -> Self {
        if let Value::Array(items) = &mut detail {
            items.truncate(MAX_DETAILS);
        }
        self.0.detail = (detail.to_string().len() <= MAX_DETAIL_BYTES).then_some(detail);
        self
    }

    /// How long to leave the service alone.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// The deployment it was about.
    #[must_use]
    pub fn with_deployment_id(mut self, deployment_id: DeploymentId) -> Self {
        self.0.deployment_id = Some(deployment_id);
        self
    }

    /// The run it was about.
    #[must_use]
    pub fn with_request_id(mut self, request_id: RequestId) -> Self {
        self.0.request_id = Some(request_id);
        self
    }

    /// How often it was tried, and for how long in all.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32, elapsed: Duration) -> Self {
        (self.0.attempts, self.0.elapsed) = (attempts, elapsed);
        self
    }

    /// The cause beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

const MAX_MESSAGE_BYTES: usize = 2048;
const MAX_DETAILS: usize = 20;
const MAX_DETAIL_BYTES: usize = 8192;

/// Text without control characters and invisible ones, runs of space folded, at most `max` bytes.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut kept = String::new();
    for word in
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty())
    {
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.extend(word.chars().filter(|c| !is_invisible(*c)));
        if kept.len() > max {
            let end = (0..=max).rev().find(|at| kept.is_char_boundary(*at)).unwrap_or(0);
            kept.truncate(end);
            kept.push('…');
            break;
        }
    }
    kept.trim_end().to_owned()
}

/// Characters that change how text is shown without being seen: bidi controls, zero-width ones, tags.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

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

macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal, $phrase:literal;)* }) => {
        $(#[$outer])*
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for programs: logs, metrics, structured results.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        /// The phrase for people.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $phrase,)*
                })
            }
        }
    };
}

words! {
    /// One remote operation, named as the trait's method is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    Operation {
        /// [`call_instance_proxy`](crate::RunComfyApi::call_instance_proxy)
        CallInstanceProxy = "call_instance_proxy", "call the instance";
        /// [`cancel_request`](crate::RunComfyApi::cancel_request)
        CancelRequest = "cancel_request", "cancel the request";
        /// [`create_deployment`](crate::RunComfyApi::create_deployment)
        CreateDeployment = "create_deployment", "create the deployment";
        /// [`delete_deployment`](crate::RunComfyApi::delete_deployment)
        DeleteDeployment = "delete_deployment", "delete the deployment";
        /// [`get_deployment`](crate::RunComfyApi::get_deployment)
        GetDeployment = "get_deployment", "get the deployment";
        /// [`get_request_result`](crate::RunComfyApi::get_request_result)
        GetRequestResult = "get_request_result", "get the request's result";
        /// [`get_request_status`](crate::RunComfyApi::get_request_status)
        GetRequestStatus = "get_request_status", "get the request's status";
        /// [`list_deployments`](crate::RunComfyApi::list_deployments)
        ListDeployments = "list_deployments", "list deployments";
        /// [`submit_request`](crate::RunComfyApi::submit_request)
        SubmitRequest = "submit_request", "submit the request";
        /// [`update_deployment`](crate::RunComfyApi::update_deployment)
        UpdateDeployment = "update_deployment", "update the deployment";
    }
}

impl Operation {
    /// What repeating it may cost.
    #[must_use]
    pub fn call_kind(self) -> CallKind {
        match self {
            Self::GetDeployment
            | Self::GetRequestResult
            | Self::GetRequestStatus
            | Self::ListDeployments => CallKind::Read,
            Self::CancelRequest | Self::DeleteDeployment | Self::UpdateDeployment => {
                CallKind::Idempotent
            }
            Self::CallInstanceProxy | Self::CreateDeployment | Self::SubmitRequest => {
                CallKind::Paid
            }
        }
    }
}

/// What repeating a call may cost. Exhaustive on purpose: whoever matches has to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Changes nothing.
    Read,
    /// Changes something, and the same thing however often.
    Idempotent,
    /// Each call may start something that is billed.
    Paid,
}

words! {
    /// The sort of failure, by what a caller can do about it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    ErrorKind {
        /// It clashes with another change or an earlier call.
        Conflict = "conflict", "it conflicts with another change";
        /// The deployment is paused.
        DeploymentDisabled = "deployment_disabled", "the deployment is disabled";
        /// The account has run out of money.
        InsufficientFunds = "insufficient_funds", "the account has insufficient funds";
        /// An argument breaks a rule that is checked before any call.
        InvalidArgument = "invalid_argument", "an argument is invalid";
        /// The service found the request's content invalid.
        InvalidRequest = "invalid_request", "RunComfy found the request invalid";
        /// There is no such thing, or it is gone.
        NotFound = "not_found", "not found";
        /// The token may not do this.
        PermissionDenied = "permission_denied", "the token may not do this";
        /// Too many calls; wait, then repeat.
        RateLimited = "rate_limited", "rate limited";
        /// The service refused for a reason of its own.
        Refused = "refused", "RunComfy refused";
        /// No answer in time.
        TimedOut = "timed_out", "no answer in time";
        /// No token, or one that the service does not accept.
        Unauthenticated = "unauthenticated", "the token was not accepted";
        /// An answer that makes no sense.
        UpstreamProtocol = "upstream_protocol", "RunComfy's answer makes no sense";
        /// No secure connection.
        UpstreamTls = "upstream_tls", "no secure connection to RunComfy";
        /// The service can't be reached, or fails.
        UpstreamUnavailable = "upstream_unavailable", "RunComfy is unavailable";
    }
}

impl ErrorKind {
    fn usual_outcome(self) -> Outcome {
        match self {
            Self::InvalidArgument | Self::UpstreamTls => Outcome::NotSent,
            Self::Conflict
            | Self::DeploymentDisabled
            | Self::InsufficientFunds
            | Self::InvalidRequest
            | Self::NotFound
            | Self::PermissionDenied
            | Self::RateLimited
            | Self::Refused
            | Self::Unauthenticated => Outcome::Rejected,
            Self::TimedOut | Self::UpstreamProtocol | Self::UpstreamUnavailable => Outcome::Unknown,
        }
    }
}

words! {
    /// What is known for sure of a failed call's effect. Exhaustive on purpose.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    Outcome {
        /// It took effect; only its answer was lost.
        Applied = "applied", "it took effect";
        /// Nothing left this machine.
        NotSent = "not_sent", "nothing was sent";
        /// The service got it and declined: it had no effect.
        Rejected = "rejected", "it was refused and had no effect";
        /// It may have taken effect or not.
        Unknown = "unknown", "whether it took effect is unknown";
    }
}

/// Whether doing the same thing again can help. Exhaustive on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may have happened; safe only for calls that can be repeated.
    IfIdempotent,
    /// The same call will fail the same way.
    Never,
    /// Nothing happened on the other side; always safe.
    Safe,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(operation: Operation, kind: ErrorKind, outcome: Outcome, retryable: bool) {
        let error = Error::new(operation, kind).with_outcome(outcome);
        assert_eq!(error.is_retryable(), retryable, "{operation:?} {kind:?} {outcome:?}");
    }

    #[test]
    fn a_paid_call_is_repeated_only_where_nothing_can_have_happened() {
        for paid in
            [Operation::SubmitRequest, Operation::CreateDeployment, Operation::CallInstanceProxy]
        {
            check(paid, ErrorKind::TimedOut, Outcome::Unknown, false);
            check(paid, ErrorKind::TimedOut, Outcome::Rejected, false);
            check(paid, ErrorKind::TimedOut, Outcome::NotSent, true);
            check(paid, ErrorKind::UpstreamUnavailable, Outcome::Unknown, false);
            check(paid, ErrorKind::UpstreamProtocol, Outcome::Unknown, false);
            check(paid, ErrorKind::UpstreamProtocol, Outcome::Applied, false);
            check(paid, ErrorKind::UpstreamUnavailable, Outcome::NotSent, true);
            check(paid, ErrorKind::RateLimited, Outcome::Rejected, true);
        }
    }

    #[test]
    fn a_call_without_a_second_effect_is_repeated_after_any_passing_fault() {
        for free in
            [Operation::GetRequestStatus, Operation::DeleteDeployment, Operation::CancelRequest]
        {
            check(free, ErrorKind::TimedOut, Outcome::Unknown, true);
            check(free, ErrorKind::UpstreamUnavailable, Outcome::Unknown, true);
            check(free, ErrorKind::NotFound, Outcome::Rejected, false);
            check(free, ErrorKind::Unauthenticated, Outcome::Rejected, false);
        }
    }

    #[test]
    fn words_for_programs_are_unique() {
        let mut words: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn an_error_reads_as_one_line_with_what_is_known() {
        let error = Error::new(Operation::SubmitRequest, ErrorKind::InvalidRequest)
            .with_status_code(422)
            .with_error_code(422_001)
            .with_message("Validation\n\u{1b}[31mError\u{202e}");
        assert_eq!(
            error.to_string(),
            "could not submit the request: RunComfy found the request invalid (HTTP 422, error_code 422001): \
             Validation [31mError"
        );
        let error = Error::new(Operation::ListDeployments, ErrorKind::UpstreamUnavailable)
            .with_attempts(3, Duration::from_millis(12_400));
        assert_eq!(
            error.to_string(),
            "could not list deployments: RunComfy is unavailable (after 3 tries in 12.4 s)"
        );
    }

    #[test]
    fn messages_and_details_are_bounded() {
        let error = Error::new(Operation::SubmitRequest, ErrorKind::InvalidRequest)
            .with_message("é".repeat(5000))
            .with_detail(Value::Array(vec![Value::from("x"); 500]));
        assert!(error.message().unwrap().len() <= MAX_MESSAGE_BYTES + '…'.len_utf8());
        assert_eq!(error.detail().unwrap().as_array().unwrap().len(), MAX_DETAILS);
        let error = error.with_detail(Value::from("y".repeat(9000)));
        assert_eq!(error.detail(), None);
    }
}
