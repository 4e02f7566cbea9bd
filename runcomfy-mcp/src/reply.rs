//! An answer or an error, as the model reads it.

mod hint;
mod summary;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Resource};
use runcomfy_core::{Error, ErrorKind, Operation, Outcome, OutputFile, is_invisible};
use serde_json::{Map, Value, json};

use crate::{arguments::ArgumentFaults, content, gate::Busy};

pub(crate) use hint::hint;

/// A kind of failure that is the server's own, beside those of [`ErrorKind`].
pub(crate) struct OwnKind {
    pub(crate) word: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) hint: &'static str,
}

/// Those there are.
pub(crate) const OWN_KINDS: [OwnKind; 6] = [
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
];

/// A successful answer.
pub(crate) struct Reply {
    sentence: String,
    payload: JsonObject,
    files: Vec<OutputFile>,
}

impl Reply {
    /// An answer that reads as `sentence`, which carries ids and state and no text of RunComfy's.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        let mut payload = Map::new();
        payload.insert("ok".to_owned(), Value::Bool(true));
        Self { sentence: sentence.into(), payload, files: Vec::new() }
    }

    /// With this in the structured content.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.payload.insert(key.to_owned(), value.into());
        self
    }

    /// With links to the files that a run made.
    pub(crate) fn with_files(mut self, files: Vec<OutputFile>) -> Self {
        let mut listed = json!(files);
        for one in listed.as_array_mut().into_iter().flatten() {
            // For programs to look at: no client should open it.
            if !is_web(one["url"].as_str().unwrap_or_default()) {
                one["non_https"] = Value::Bool(true);
            }
        }
        self.payload.insert("output_urls".to_owned(), listed);
        self.files = files;
        self
    }

    /// Whether it is only what was known when a wait was cut short.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.payload.get("interrupted") == Some(&Value::Bool(true))
    }

    /// The structured content.
    pub(crate) fn into_payload(self) -> JsonObject {
        shown(self.payload)
    }

    /// As an MCP result. Text and structure carry the same data, as many clients show the model only one
    /// of the two; text past `limit` bytes becomes a summary. `links` says whether the client's protocol
    /// revision knows links to resources.
    pub(crate) fn into_result(self, limit: usize, links: bool) -> CallToolResult {
        let json = Value::Object(shown(self.payload));
        let text = json.to_string();
        let second = if text.len() > limit { summary::summary(&json, text.len()) } else { text };
        let mut content =
            vec![ContentBlock::text(visible(self.sentence)), ContentBlock::text(visible(second))];
        if links {
            content.extend(self.files.iter().take(MAX_LINKS).filter_map(link));
        }
        let mut result = CallToolResult::success(content);
        result.structured_content = Some(json);
        result
    }
}

/// Whether an address leads to the web, and holds nothing that hides where. An emulator on this machine
/// has no https.
fn is_web(url: &str) -> bool {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let local = local
        .iter()
        .any(|start| url.strip_prefix(start).is_some_and(|rest| rest.starts_with([':', '/'])));
    plain && (url.starts_with("https://") || local)
}

/// A result shows at most this many files as links; all are in the data.
const MAX_LINKS: usize = 20;

fn link(file: &OutputFile) -> Option<ContentBlock> {
    // A client may open it.
    if !is_web(&file.url) {
        return None;
    }
    let name = file.filename.clone().unwrap_or_else(|| format!("output of node {}", file.node_id));
    let mut resource = Resource::new(file.url.clone(), visible(name));
    resource.mime_type = file.filename.as_deref().and_then(media_type).map(str::to_owned);
    Some(ContentBlock::resource_link(resource))
}

/// The media type that a file name promises.
fn media_type(filename: &str) -> Option<&'static str> {
    Some(match filename.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "avif" => "image/avif",
        "flac" => "audio/flac",
        "gif" => "image/gif",
        "glb" => "model/gltf-binary",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "md" => "text/markdown",
        "mkv" => "video/x-matroska",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "ogg" | "opus" => "audio/ogg",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain",
        "wav" => "audio/wav",
        "webm" => "video/webm",
        "webp" => "image/webp",
        "zip" => "application/zip",
        _ => return None,
    })
}

/// A failed call, in words that a model can act on.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: &'static str,
    message: String,
    outcome: Outcome,
    retryable: bool,
    hint: String,
    /// Boxed: errors travel through every result type.
    more: Box<JsonObject>,
}

impl Fault {
    /// The operator's settings forbid it.
    pub(crate) fn denied(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let own = Self::own(&OWN_KINDS[1]);
        Self { message: message.into(), hint: hint.into(), ..own }
    }

    /// The caller has to wait.
    pub(crate) fn busy(busy: Busy) -> Self {
        let (mut fault, message, wait) = match busy {
            Busy::TooFast(wait) => {
                let error = Error::new(Operation::ListDeployments, ErrorKind::RateLimited);
                (Self::from(error), "this server takes calls more slowly than that", wait)
            }
            Busy::Overloaded(wait) => {
                (Self::own(&OWN_KINDS[2]), "too many calls are under way", wait)
            }
            Busy::Refused(wait) => {
                let message = "RunComfy refused this token a moment ago, and was not asked again";
                // As RunComfy would have said it, so that the advice is the same.
                let error = Error::new(Operation::ListDeployments, ErrorKind::Unauthenticated);
                (Self::from(error.with_status_code(401)), message, wait)
            }
        };
        message.clone_into(&mut fault.message);
        (fault.outcome, fault.retryable) = (Outcome::NotSent, true);
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        fault
            .with("retry_after_ms", milliseconds)
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

    /// The key belongs to a call with other arguments.
    pub(crate) fn key_reused() -> Self {
        let error = Error::new(Operation::SubmitRequest, ErrorKind::Conflict);
        let mut fault = Self::from(error.with_outcome(Outcome::NotSent));
        "this idempotency_key was used with other arguments".clone_into(&mut fault.message);
        fault.retryable = false;
        fault.advising(
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

    /// With other advice.
    pub(crate) fn advising(mut self, hint: &str) -> Self {
        hint.clone_into(&mut self.hint);
        self
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
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
        shown(payload)
    }

    /// As an MCP result that the model reads, not as a protocol error, which it may never see.
    pub(crate) fn into_result(self) -> CallToolResult {
        let sentence = format!("{}\nhint: {}", self.message, self.hint);
        let json = Value::Object(self.into_payload());
        let text = json.to_string();
        let mut result = CallToolResult::error(vec![
            ContentBlock::text(visible(sentence)),
            ContentBlock::text(visible(text)),
        ]);
        result.structured_content = Some(json);
        result
    }
}

impl From<Busy> for Fault {
    fn from(busy: Busy) -> Self {
        Self::busy(busy)
    }
}

impl From<ArgumentFaults> for Fault {
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

impl From<Error> for Fault {
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

impl Fault {
    /// A failure to find out who is asking.
    pub(crate) fn no_token(message: &str) -> Self {
        let error = Error::new(Operation::ListDeployments, ErrorKind::Unauthenticated)
            .with_outcome(Outcome::NotSent);
        let mut fault = Self::from(error);
        message.clone_into(&mut fault.message);
        fault
    }
}

/// Structured content as it is fit to be shown, with what was done to it.
fn shown(mut payload: JsonObject) -> JsonObject {
    let untrusted = content::untrusted(&payload);
    let changes = content::prepare(&mut payload);
    if !untrusted.is_empty() {
        payload.insert("untrusted_fields".to_owned(), untrusted.into());
    }
    if changes.removed > 0 {
        payload.insert("removed_characters".to_owned(), changes.removed.into());
    }
    if changes.truncated {
        payload.insert("truncated".to_owned(), true.into());
    }
    payload
}

/// Text as it looks: without characters that hide or reorder it.
fn visible(mut text: String) -> String {
    text.retain(|c| !is_invisible(c));
    text
}

#[cfg(test)]
mod tests;
