//! The table of faults. Names, parameters, help and listings are generated from it.

/// Whether a call with a fault takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The call takes effect, whatever response the caller gets.
    Applied,
    /// The call does not reach the service.
    Withheld,
}

impl Effect {
    pub(super) const ALL: [Self; 2] = [Self::Applied, Self::Withheld];

    /// Its name in text and JSON: `applied` or `none`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Withheld => "none",
        }
    }
}

/// One row of the table.
pub(super) struct Row {
    pub(super) kind: FaultKind,
    pub(super) name: &'static str,
    pub(super) target: Target,
    pub(super) effect_rule: EffectRule,
    pub(super) parameters: &'static [Parameter],
    pub(super) does: &'static str,
}

/// To what a fault applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A connection, before anything is read.
    Accept,
    Any,
    /// Status, result and cancellation calls.
    Looks,
    /// Status and result calls.
    States,
    Submits,
}

/// Whether the call takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EffectRule {
    Always,
    Never,
    /// As the parameter `effect` says; this is its default.
    Configurable(Effect),
}

pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) sort: Sort,
    pub(super) about: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Sort {
    Number {
        default: Option<u64>,
        most: u64,
    },
    Text {
        default: &'static str,
    },
    /// One of these words; the first is the default.
    Word(&'static [&'static str]),
}

const fn number(name: &'static str, default: u64, most: u64, about: &'static str) -> Parameter {
    Parameter { name, sort: Sort::Number { default: Some(default), most }, about }
}

const fn text(name: &'static str, default: &'static str, about: &'static str) -> Parameter {
    Parameter { name, sort: Sort::Text { default }, about }
}

const fn word(
    name: &'static str,
    words: &'static [&'static str],
    about: &'static str,
) -> Parameter {
    Parameter { name, sort: Sort::Word(words), about }
}

/// A bound on durations.
const HOUR_MS: u64 = 3_600_000;

const PART: Parameter = word(
    "of",
    &["body", "response"],
    "what is counted: the body, or the whole response with its head",
);

macro_rules! table {
    ($($kind:ident = $name:literal, $target:ident, $effect:expr, [$($parameter:expr),*], $does:literal;)*) => {
        /// The kinds of faults. A [`Fault`](super::fault::Fault) has a kind and parameters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $(#[doc = $does] $kind,)*
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];
        }

        static TABLE: &[Row] = &[$(Row {
            kind: FaultKind::$kind,
            name: $name,
            target: Target::$target,
            effect_rule: $effect,
            parameters: &[$($parameter),*],
            does: $does,
        },)*];
    };
}

use Effect::{Applied, Withheld};
use EffectRule::{Always, Configurable, Never};

table! {
    // Responses.
    RateLimited = "rate_limited", Any, Configurable(Withheld),
        [number("retry_after", 1, 1_000_000, "seconds")],
        "429 with Retry-After, in a gateway's format.";
    InternalError = "internal_error", Any, Configurable(Withheld), [],
        "500 with error code 500001.";
    BadGateway = "bad_gateway", Any, Configurable(Withheld), [],
        "502 with an HTML page, in a gateway's format.";
    Unavailable = "unavailable", Any, Configurable(Withheld),
        [Parameter {
            name: "retry_after",
            sort: Sort::Number { default: None, most: 1_000_000 },
            about: "seconds; no such header by default",
        }],
        "503, in a gateway's format.";
    GatewayTimeout = "gateway_timeout", Any, Configurable(Applied), [],
        "504 with an HTML page, in the format of a gateway that timed out.";
    ErrorCode = "error_code", Any, Configurable(Withheld),
        [
            number("code", 10_002, i64::MAX as u64, "the error code"),
            text("message", "The deployment is disabled", "the error message")
        ],
        "200 with an error code in the body.";
    Refused = "refused", Any, Configurable(Withheld),
        [
            word(
                "status",
                &[
                    "403", "400", "401", "402", "404", "408", "409", "413", "422", "429", "500", "502",
                    "503", "504"
                ],
                "the status"
            ),
            number("code", 403_003, i64::MAX as u64, "the error code, if the shape has one"),
            word(
                "shape",
                &[
                    "numbered", "detailed", "message", "detail", "details", "error", "text", "html",
                    "empty"
                ],
                "the shape of the body"
            ),
            text("message", "Forbidden", "the message")
        ],
        "An error response in any of the shapes that the service and its gateways use.";
    TokenRevoked = "token_revoked", Any, Never, [],
        "401 in plain text for every call with this token, until the faults are cleared.";
    Html = "html", Any, Configurable(Withheld), [],
        "200 with an HTML page, as from a captive portal.";
    WrongContentType = "wrong_content_type", Any, Configurable(Applied),
        [text("type", "text/plain", "the content type")],
        "The correct response with a wrong Content-Type.";
    EmptyBody = "empty_body", Any, Configurable(Applied), [],
        "200 with an empty body.";
    Garbage = "garbage", Any, Configurable(Withheld), [],
        "Bytes that are not HTTP, then the connection is closed.";
    Redirect = "redirect", Any, Configurable(Withheld),
        [
            word("status", &["307", "302", "301", "303", "308"], "the status"),
            text("to", "http://elsewhere.invalid/", "the location")
        ],
        "A redirect to another host.";
    UnknownFields = "unknown_fields", Any, Always, [],
        "The correct response with additional unknown fields.";
    UnknownStatus = "unknown_status", States, Always,
        [text("word", "paused", "the status word")],
        "The correct response with an unknown status word.";
    CanceledSpelling = "canceled_spelling", Looks, Always, [],
        "The correct response, with `canceled` in place of `cancelled`.";
    CancelledSpelling = "cancelled_spelling", Looks, Always, [],
        "The correct response, with `cancelled` in place of `canceled`.";
    NotFoundAtFirst = "not_found_at_first", Submits, Always,
        [number("ms", 2_000, HOUR_MS, "how long after the submit, in milliseconds")],
        "The run is accepted, but its status and result are 404 with error code 404001 at first.";
    GzipBomb = "gzip_bomb", Any, Configurable(Withheld),
        [number("mib", 512, 1_048_576, "the decompressed size in MiB")],
        "200 with a small gzip body that decompresses to a huge one.";
    EndlessBody = "endless_body", Any, Configurable(Withheld), [],
        "200 with an endless body, until the peer disconnects.";
    GiantHeaders = "giant_headers", Any, Configurable(Withheld),
        [word("shape", &["long", "many"], "one header of 1 MiB, or 10,000 headers")],
        "200 with headers larger than a client should accept.";
    InformationalFlood = "informational_flood", Any, Configurable(Withheld), [],
        "103 Early Hints repeated without end, until the peer disconnects.";
    // Connections.
    ResetAtAccept = "reset_at_accept", Accept, Never, [],
        "The connection is reset before anything is read.";
    CloseAtAccept = "close_at_accept", Accept, Never, [],
        "The connection is closed before anything is read.";
    ResetBeforeBody = "reset_before_body", Any, Never, [],
        "The connection is reset after the request's head was read and before its body.";
    ResetAfterBody = "reset_after_body", Any, Configurable(Withheld), [],
        "The connection is reset after the whole request was read.";
    CloseAfterBody = "close_after_body", Any, Configurable(Withheld), [],
        "The connection is closed without a response after the whole request was read.";
    AnswerLost = "answer_lost", Any, Always,
        [word("end", &["reset", "close"], "how the connection ends")],
        "The call takes effect, but its response is not sent: a submit's request id is lost.";
    CutResponse = "cut_response", Any, Configurable(Applied),
        [
            number("at", 100, u64::MAX, "after how many bytes"),
            PART,
            word("end", &["close", "reset"], "how the connection ends")
        ],
        "The response is cut off; a shorter one is sent completely.";
    Trickle = "trickle", Any, Configurable(Applied),
        [
            number("bytes", 1, u64::MAX, "how many bytes"),
            number("every_ms", 200, HOUR_MS, "the interval in milliseconds"),
            PART
        ],
        "The response is sent a few bytes at a time.";
    Stall = "stall", Any, Configurable(Withheld), [],
        "No response, until the peer disconnects or the emulator stops.";
    // Runs.
    FailedRun = "failed_run", Submits, Always,
        [word("error", &["array", "object", "string"], "the shape of the result's `error`")],
        "The run fails.";
    PartialOutputs = "partial_outputs", Submits, Always, [],
        "The run fails, and its result has partial outputs beside the error.";
    NoOutputs = "no_outputs", Submits, Always, [],
        "The run succeeds without outputs, as when every node was cached.";
    CancelledRun = "cancelled_run", Submits, Always, [],
        "The run ends as cancelled by somebody else.";
}

impl FaultKind {
    /// Its name in text, JSON and counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// A one-sentence description.
    #[must_use]
    pub fn does(self) -> &'static str {
        self.row().does
    }

    pub(super) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.kind)
    }
}
