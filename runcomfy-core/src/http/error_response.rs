//! Error responses: each of the service's shapes becomes an `Error`.

use std::collections::HashMap;

use memchr::memmem;
use serde_json::{Map, Value, value::RawValue};

use super::response::{DecodeContext, RawResponse};
use crate::{
    error::{Error, ErrorKind, Operation, Outcome},
    id::{RequestId, is_id},
    text::{clean, is_invisible},
};

impl DecodeContext<'_> {
    /// Fails unless the status is a success.
    pub(super) fn check_status(&self, answer: &RawResponse) -> Result<(), Error> {
        if answer.is_success() { Ok(()) } else { Err(self.error_response(answer)) }
    }

    /// Fails unless the status is a success and the body holds no error.
    pub(super) fn check(&self, answer: &RawResponse) -> Result<(), Error> {
        self.check_status(answer)?;
        if hides_an_error(answer.json()) { Err(self.error_response(answer)) } else { Ok(()) }
    }

    fn error_response(&self, answer: &RawResponse) -> Error {
        let body = match serde_json::from_slice(answer.json()) {
            Ok(Value::Object(map)) => ErrorBody::Object(map),
            Ok(Value::String(text)) => ErrorBody::Text(text),
            _ if answer.is_html() => ErrorBody::Html,
            _ => match std::str::from_utf8(&answer.body) {
                // What begins like JSON is JSON that was cut off at the size limit.
                Ok(text) if !text.trim_start().starts_with(['{', '[']) => {
                    ErrorBody::Text(text.to_owned())
                }
                _ => ErrorBody::Unreadable,
            },
        };
        let written = body.get("error_code").and_then(numbered);
        let code = match written {
            Some(number) => number.and_then(kind_of_code).map_or(Code::Unknown, Code::Known),
            None => Code::None,
        };
        let kind = match code {
            Code::Known(kind) => kind,
            Code::Unknown | Code::None => kind_of_status(answer.status),
        };
        let effect = match self.operation {
            Operation::SubmitRequest => body.get("request_id"),
            Operation::CreateDeployment => body.get("id"),
            _ => None,
        };
        let effect = effect.and_then(Value::as_str).is_some_and(is_id);
        let mut error = Error::new(self.operation, kind)
            .with_outcome(outcome(answer, code, effect))
            .with_status_code(answer.status);
        // A redirect's body is a link for people.
        let said = body.message().filter(|_| !(300..400).contains(&answer.status));
        if let Some(message) = said.or_else(|| reason(answer.status)) {
            error = error.with_message(self.redacted(&clean(&message, MAX_TEXT_BYTES)));
        }
        if let Some(number) = written.flatten() {
            error = error.with_error_code(number);
        }
        if let Some(detail) = body.detail() {
            error = error.with_detail(self.redacted_value(detail));
        }
        if let Some(non_finite) = &answer.non_finite {
            error = error.with_non_finite(non_finite.clone());
        }
        if let Some(delay) = answer.retry_after.filter(|_| !answer.is_success()) {
            error = error.with_retry_after(delay);
        }
        let run = body.get("request_id").and_then(Value::as_str);
        match run.filter(|id| !self.repeats(id)).and_then(|id| RequestId::new(id).ok()) {
            Some(id) => error.with_request_id(id),
            None => error,
        }
    }

    /// Replaces the call's secrets in `text` by `***`: complete ones, prefixes of them, and those that are
    /// interrupted by invisible characters.
    fn redacted(&self, text: &str) -> String {
        let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
        let hidden = self.secrets.iter().fold(None, |hidden: Option<String>, secret| {
            hide(secret, hidden.as_deref().unwrap_or(&visible)).or(hidden)
        });
        hidden.unwrap_or_else(|| text.to_owned())
    }

    /// Whether `text` contains a secret of the call, or a prefix of one.
    fn repeats(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| hide(secret, text).is_some())
    }

    fn redacted_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redacted(&text)),
            Value::Array(items) => {
                items.into_iter().map(|item| self.redacted_value(item)).collect()
            }
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| (self.redacted(&key), self.redacted_value(value)))
                .collect(),
            other => other,
        }
    }
}

/// `text` with `secret` replaced; `None` if it does not contain it.
fn hide(secret: &str, text: &str) -> Option<String> {
    /// A prefix of this many bytes identifies a secret. Shorter secrets must match completely.
    const TELLING: usize = 12;
    let start = secret.get(..TELLING).unwrap_or(secret);
    if start.is_empty() || !text.contains(start) {
        return None;
    }
    let (mut hidden, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(start) {
        hidden.push_str(&rest[..at]);
        hidden.push_str("***");
        let same = rest[at..].chars().zip(secret.chars()).take_while(|(a, b)| a == b);
        rest = &rest[at + same.map(|(c, _)| c.len_utf8()).sum::<usize>()..];
    }
    Some(hidden + rest)
}

/// The maximum length of a text in which secrets are searched. It is far longer than an error's message,
/// because cutting a text before the search could leave half a secret.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The body of an error.
enum ErrorBody {
    Html,
    Object(Map<String, Value>),
    Text(String),
    Unreadable,
}

impl ErrorBody {
    fn get(&self, key: &str) -> Option<&Value> {
        if let Self::Object(map) = self { map.get(key) } else { None }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    fn message(&self) -> Option<String> {
        let said = match self {
            Self::Html => Some("an HTML page instead of JSON"),
            Self::Unreadable => None,
            Self::Text(text) => Some(text.as_str()),
            Self::Object(_) => {
                let error = self.get("error");
                let inner = error.and_then(|error| error.get("message")).and_then(Value::as_str);
                [self.text("error_message"), self.text("message"), self.text("error"), inner]
                    .into_iter()
                    .chain([self.text("detail")])
                    .flatten()
                    .find(|text| !text.trim().is_empty())
            }
        };
        said.filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
            .or_else(|| self.first_fault())
    }

    /// What is listed beside the message. ComfyUI, behind the proxy, calls it `node_errors`.
    fn detail(&self) -> Option<Value> {
        let full = |value: &&Value| match value {
            Value::Null => false,
            Value::Object(map) => !map.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        self.get("detail").or_else(|| self.get("node_errors")).filter(full).map(without_input)
    }

    /// The first field that a list of faults names, and what is wrong with it.
    fn first_fault(&self) -> Option<String> {
        let fault = self.get("detail")?.as_array()?.first()?;
        let place: Vec<_> = fault
            .get("loc")?
            .as_array()?
            .iter()
            .map(|part| match part {
                Value::String(name) => name.clone(),
                other => other.to_string(),
            })
            .collect();
        Some(format!("{}: {}", place.join("."), fault.get("msg")?.as_str()?))
    }
}

/// A list of validation errors without the caller's values, because these are long and may be secret.
fn without_input(detail: &Value) -> Value {
    let Value::Array(faults) = detail else { return detail.clone() };
    let mut faults = faults.clone();
    for fault in faults.iter_mut().filter_map(Value::as_object_mut) {
        if fault.contains_key("loc") && fault.contains_key("msg") {
            fault.retain(|key, _| matches!(key.as_str(), "loc" | "msg" | "type"));
        }
    }
    Value::Array(faults)
}

/// Whether the body of a success says that the call failed.
fn hides_an_error(json: &[u8]) -> bool {
    /// Fields of a response that is none.
    const NORMAL: [&str; 7] =
        ["request_id", "id", "status", "outcome", "outputs", "output", "deployments"];
    // Nearly all responses have no such word in them, nor an escape that could spell one.
    let may_say = |word: &[u8]| memmem::find(json, word).is_some();
    if !json.starts_with(b"{") || !(may_say(b"error_") || may_say(b"\\u")) {
        return false;
    }
    // Raw values: a deployment's payload may be a megabyte.
    let Ok(map) = serde_json::from_slice::<HashMap<String, &RawValue>>(json) else { return false };
    // A run that failed is a response: it has a state, and says which run it is.
    if map.contains_key("request_id") && map.contains_key("status") && map.contains_key("error") {
        return false;
    }
    let value = |key| map.get(key).and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let has_code = value("error_code").is_some_and(|code| numbered(&code).is_some());
    let has_message = value("error_message")
        .is_some_and(|text| text.as_str().is_some_and(|text| !text.is_empty()));
    has_code || (has_message && !NORMAL.iter().any(|key| map.contains_key(*key)))
}

/// An error code, which the service writes as a number or as its digits: `None` where there is none or
/// it is 0, `Some(None)` where it is no number.
fn numbered(code: &Value) -> Option<Option<i64>> {
    match code {
        Value::Null | Value::Bool(false) => None,
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        Value::Number(number) => Some(number.as_i64()),
        Value::String(text) => match text.trim() {
            "" => None,
            digits => match digits.parse() {
                Ok(0) => None,
                code => Some(code.ok()),
            },
        },
        Value::Bool(true) | Value::Array(_) | Value::Object(_) => Some(None),
    }
}

/// The codes that the service documents.
fn kind_of_code(code: i64) -> Option<ErrorKind> {
    Some(match code {
        10_001 => ErrorKind::InsufficientFunds,
        10_002 => ErrorKind::DeploymentDisabled,
        10_003 | 404_001 => ErrorKind::NotFound,
        11_007 | 500_001 => ErrorKind::UpstreamUnavailable,
        401_001 => ErrorKind::Unauthenticated,
        403_003 => ErrorKind::PermissionDenied,
        422_001 => ErrorKind::InvalidRequest,
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        400 | 413 | 415 | 422 => ErrorKind::InvalidRequest,
        401 => ErrorKind::Unauthenticated,
        402 => ErrorKind::InsufficientFunds,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::NotFound,
        408 => ErrorKind::TimedOut,
        409 => ErrorKind::Conflict,
        425 | 429 => ErrorKind::RateLimited,
        500..=599 => ErrorKind::UpstreamUnavailable,
        // An error with a good status and a code that is not known.
        200..=299 | 400..=499 => ErrorKind::Refused,
        // A redirect, which is not followed, or no status of HTTP's.
        _ => ErrorKind::UpstreamProtocol,
    }
}

/// What is known of the effect. Only what is certain counts as refused.
fn outcome(answer: &RawResponse, code: Code, names_its_effect: bool) -> Outcome {
    match code {
        // A response that names what it made has made something, whatever else it says.
        _ if names_its_effect => Outcome::Unknown,
        // An internal error may come halfway through, whatever the status and headers beside it.
        Code::Known(ErrorKind::UpstreamUnavailable) => Outcome::Unknown,
        Code::Known(_) => Outcome::Rejected,
        Code::Unknown | Code::None => match answer.status {
            // The service, or a gateway, gave up on a request that may have gone through.
            408 | 499 => Outcome::Unknown,
            400..=498 => Outcome::Rejected,
            503 if code == Code::None && answer.retry_after.is_some() => Outcome::Rejected,
            // A good status beside a code that nobody documents, a redirect, a broken gateway.
            _ => Outcome::Unknown,
        },
    }
}

/// What an error's code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Known(ErrorKind),
    Unknown,
    None,
}

fn reason(status: u16) -> Option<String> {
    let status = reqwest::StatusCode::from_u16(status).ok()?;
    if status.is_redirection() {
        return Some("a redirect, which is not followed".to_owned());
    }
    status.canonical_reason().filter(|_| !status.is_success()).map(str::to_owned)
}
