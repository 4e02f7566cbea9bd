//! A failed call, as the model reads it.

use std::time::Duration;

use rmcp::model::JsonObject;
use runcomfy_core::{
    Error, ErrorKind,
    error::{Operation, Outcome},
};
use serde_json::{Map, Value, json};

use super::{Changes, FILL_IN, Format, Shaped, hint, shown, visible};
use crate::validation::ArgumentFaults;

/// A kind of failure that is the server's own, beside those of [`ErrorKind`].
pub(crate) struct OwnKind {
    pub(crate) word: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) hint: &'static str,
}

/// Those there are.
pub(crate) const OWN_KINDS: [OwnKind; 9] = [
    OwnKind {
        word: "internal",
        meaning: "a fault of this server's",
        outcome: Outcome::Unknown,
        hint: "This is a bug in runcomfy-mcp: look at its log. Check with list_deployments or \
               get_request_status before you repeat a call that costs money.",
    },
    OwnKind {
        word: "policy_denied",
        meaning: "the operator's settings forbid it",
        outcome: Outcome::NotSent,
        hint: "Nothing was sent. Whoever runs the server decides: `message` says what is not allowed.",
    },
    OwnKind {
        word: "overloaded",
        meaning: "too much is under way, of yours or of everyone's",
        outcome: Outcome::NotSent,
        hint: "Nothing was sent. Let some of your calls end, wait `retry_after_seconds`, then repeat this one.",
    },
    OwnKind {
        word: "shutting_down",
        meaning: "the server is ending",
        outcome: Outcome::NotSent,
        hint: "Nothing was changed. Repeat the call in some seconds: another server, or this one once it is \
               back, will answer. Running requests go on.",
    },
    OwnKind {
        word: "outcome_unknown",
        meaning: "an earlier call in the same words may have taken effect, and what came of it is not known",
        outcome: Outcome::Unknown,
        hint: "It was not sent again. Look with list_deployments or in the web app, and ask the user: only a new \
               idempotency_key makes a second, billed attempt.",
    },
    OwnKind {
        word: "replay_unavailable",
        meaning: "the store of idempotency keys can't be asked",
        outcome: Outcome::NotSent,
        hint: "Nothing was sent. Repeat the call with the same idempotency_key in some seconds; without a key it \
               would go through, unprotected.",
    },
    OwnKind {
        word: "confirmation_required",
        meaning: "it hurts if it was not meant, and the user was not asked",
        outcome: Outcome::NotSent,
        hint: "Nothing was changed. Show the user the question in `message`; only if they say yes, repeat the call \
               with confirm=true.",
    },
    OwnKind {
        word: "declined",
        meaning: "the user did not agree, or nobody was there to ask",
        outcome: Outcome::NotSent,
        hint: "Nothing was changed. Do not try it again unless the user asks for it. Where the client runs without a \
               person, it is done in RunComfy's web app, or on a terminal with `runcomfy-mcp call`.",
    },
    OwnKind {
        word: "state_refused",
        meaning: "requestState is not what this server gave for this call",
        outcome: Outcome::NotSent,
        hint: "Nothing was changed. Make the call anew, without requestState and inputResponses.",
    },
];

/// A failed call, in words that a model can act on.
#[derive(Debug)]
pub(crate) struct ToolError {
    kind: &'static str,
    message: String,
    outcome: Outcome,
    retryable: bool,
    hint: String,
    /// Boxed: errors travel through every result type.
    more: Box<JsonObject>,
}

impl ToolError {
    /// The operator's settings forbid it.
    pub(crate) fn denied(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let own = Self::own(&OWN_KINDS[1]);
        Self { message: message.into(), hint: hint.into(), ..own }
    }

    /// Too much is under way.
    pub(crate) fn overloaded() -> Self {
        Self::own(&OWN_KINDS[2])
    }

    /// The same for a call that was not sent because the caller has to wait.
    pub(crate) fn retry_after(mut self, message: &str, wait: Duration) -> Self {
        message.clone_into(&mut self.message);
        (self.outcome, self.retryable) = (Outcome::NotSent, true);
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        self.with("retry_after_ms", milliseconds)
            .with("retry_after_seconds", milliseconds.div_ceil(1000))
    }

    /// The server ends before the answer is there, to a call that changes nothing.
    pub(crate) fn shutting_down() -> Self {
        let mut fault = Self::own(&OWN_KINDS[3]);
        fault.retryable = true;
        fault
    }

    /// What came of an earlier, identical call is not known, so that it is not sent again.
    pub(crate) fn outcome_unknown() -> Self {
        Self::own(&OWN_KINDS[4])
    }

    /// A keyed call can't be protected.
    pub(crate) fn replay_unavailable() -> Self {
        let mut fault = Self::own(&OWN_KINDS[5]);
        fault.retryable = true;
        fault
    }

    /// The person must be asked, and only the model can.
    pub(crate) fn needs_confirmation(question: &str) -> Self {
        let mut fault = Self::own(&OWN_KINDS[6]);
        fault.message = format!("the user has to agree first: {question}");
        fault
    }

    /// The person does not want it.
    pub(crate) fn declined() -> Self {
        Self::own(&OWN_KINDS[7])
    }

    /// What should be an earlier round of this call is none. A fault of the client's, not of the model's.
    pub(crate) fn state_refused() -> Self {
        Self::own(&OWN_KINDS[8])
    }

    /// Whether it breaks the protocol: the client must learn it, not the model.
    pub(crate) fn breaks_protocol(&self) -> bool {
        self.kind == OWN_KINDS[8].word
    }

    /// With other words on what happened.
    pub(crate) fn with_message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    /// The key belongs to a call with other arguments.
    pub(crate) fn key_reused() -> Self {
        let error = Error::new(Operation::SubmitRequest, ErrorKind::Conflict);
        let mut fault = Self::from(error.with_outcome(Outcome::NotSent));
        "this idempotency_key was used with other arguments".clone_into(&mut fault.message);
        fault.retryable = false;
        fault.with_hint(
            "Nothing was sent. For something else take a new idempotency_key; to learn what came of the first \
             call, repeat it with its own arguments.",
        )
    }

    fn own(kind: &OwnKind) -> Self {
        Self {
            kind: kind.word,
            message: kind.meaning.to_owned(),
            outcome: kind.outcome,
            retryable: false,
            hint: kind.hint.to_owned(),
            more: Box::default(),
        }
    }

    /// Whether RunComfy has refused the caller's token.
    pub(crate) fn is_refused_token(&self) -> bool {
        self.kind == ErrorKind::Unauthenticated.as_str()
            && self.more.get("status_code") == Some(&Value::from(401))
            && !self.more.contains_key("retry_after_ms")
    }

    /// A fault of this server's.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self {
            kind: OWN_KINDS[0].word,
            message: message.into(),
            outcome: Outcome::Unknown,
            retryable: false,
            hint: OWN_KINDS[0].hint.to_owned(),
            more: Box::default(),
        }
    }

    /// With this in the structured content.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// Where the call took effect before it failed: what happened goes in front, and no advice may sound
    /// as if it had not.
    pub(crate) fn after_effect(mut self, what: &str) -> Self {
        self.message = format!("{what} {}", self.message);
        (self.outcome, self.retryable) = (Outcome::Applied, false);
        self.hint = format!("Do not submit it again. {}", self.hint);
        self
    }

    /// With this in front of its message.
    pub(crate) fn prefixed(mut self, words: &str) -> Self {
        self.message = format!("{words} {}", self.message);
        self
    }

    /// With other advice.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.hint);
        self
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whether the same call may succeed later, and nothing has to be done for it but to wait.
    pub(crate) fn passes(&self) -> bool {
        self.retryable && self.kind != ErrorKind::Unauthenticated.as_str()
    }

    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.more.get("retry_after_seconds").and_then(Value::as_u64)
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What its structured content has beside kind, outcome and words.
    pub(crate) fn more(&self) -> &JsonObject {
        &self.more
    }

    /// The structured content.
    pub(crate) fn into_payload(self) -> JsonObject {
        let head = json!({
            "ok": false,
            "kind": self.kind,
            "message": visible(self.message),
            "outcome": self.outcome.as_str(),
            "retryable": self.retryable,
            "hint": self.hint,
        });
        let mut payload = if let Value::Object(head) = head { head } else { Map::new() };
        payload.extend(*self.more);
        shown(payload, Changes::default())
    }

    /// As an MCP result that the model reads, not as a protocol error, which it may never see.
    pub(crate) fn render(self, format: Format) -> Shaped {
        let sentence = format!("{}\nhint: {}", self.message, self.hint);
        let payload = self.into_payload();
        let mut shaped = Shaped::new(sentence, payload, Vec::new(), format, None);
        shaped.result.is_error = Some(true);
        shaped
    }
}

impl From<ArgumentFaults> for ToolError {
    fn from(faults: ArgumentFaults) -> Self {
        let list: Vec<_> = faults
            .0
            .iter()
            .map(|fault| json!({"argument": fault.argument, "rule": fault.rule}))
            .collect();
        Self {
            kind: ErrorKind::InvalidArgument.as_str(),
            message: format!("invalid arguments: {}", faults.message()),
            outcome: Outcome::NotSent,
            retryable: false,
            hint: "Nothing was sent. Correct the arguments and call again.".to_owned(),
            more: Box::new(
                [("invalid_arguments".to_owned(), Value::from(list))].into_iter().collect(),
            ),
        }
    }
}

impl From<Error> for ToolError {
    fn from(error: Error) -> Self {
        let mut more = Map::new();
        let mut add = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                more.insert(key.to_owned(), value);
            }
        };
        add(
            "retry_after_seconds",
            error.retry_after().map(|delay| delay.as_secs_f64().ceil() as u64).map(Value::from),
        );
        add("status_code", error.status_code().map(Value::from));
        add("error_code", error.error_code().map(Value::from));
        add("detail", error.detail().cloned());
        add("note", error.non_finite().map(|found| format!("{found}.").into()));
        add("deployment_id", error.deployment_id().map(|id| Value::from(id.as_str())));
        add("request_id", error.request_id().map(|id| Value::from(id.as_str())));
        add("attempts", (error.attempts() > 1).then(|| Value::from(error.attempts())));
        Self {
            kind: error.kind().as_str(),
            message: error.to_string(),
            outcome: error.outcome(),
            retryable: error.is_retryable(),
            hint: hint(error.kind(), error.operation(), error.outcome(), error.status_code())
                .to_owned(),
            more: Box::new(more),
        }
    }
}

impl ToolError {
    /// What is configured as the token is a text in its place.
    pub(crate) fn placeholder(source: &str) -> Self {
        Self::no_token(&format!(
            "the token from {source} looks like a placeholder that the client did not fill in"
        ))
        .with_hint(FILL_IN)
    }

    /// A failure to find out who is asking.
    pub(crate) fn no_token(message: &str) -> Self {
        let error = Error::new(Operation::ListDeployments, ErrorKind::Unauthenticated)
            .with_outcome(Outcome::NotSent);
        let mut fault = Self::from(error);
        message.clone_into(&mut fault.message);
        fault
    }
}
