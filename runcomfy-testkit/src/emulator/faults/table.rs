//! The table of faults: one row each, from which names, parameters, help and listings all follow.

/// Whether a call that meets a fault takes effect all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The service did what it was asked, whatever the caller hears of it.
    Applied,
    /// The call never reached the service.
    Withheld,
}

impl Effect {
    pub(super) const ALL: [Self; 2] = [Self::Applied, Self::Withheld];

    /// The word for it in text and JSON: `applied` or `none`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Withheld => "none",
        }
    }
}

/// What is known of one fault.
pub(super) struct Row {
    pub(super) kind: FaultKind,
    pub(super) name: &'static str,
    pub(super) meets: Meets,
    pub(super) takes: Takes,
    pub(super) parameters: &'static [Parameter],
    pub(super) does: &'static str,
}

/// What a fault can happen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meets {
    /// A connection, before anything was read from it.
    Accept,
    Any,
    /// Calls whose answer says how a run is: its status, its result, its cancellation.
    Looks,
    /// Calls whose answer has a status word that says where a run is.
    States,
    Submits,
}

/// Whether the call takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Always,
    Never,
    /// As `effect` says; this where it says nothing.
    AccountSetup(Effect),
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
    /// One of these; the first where nothing is said.
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

/// Longer than anybody waits.
const HOUR_MS: u64 = 3_600_000;

const PART: Parameter =
    word("of", &["body", "response"], "what is counted: the body, or the head and the body");

macro_rules! table {
    ($($kind:ident = $name:literal, $meets:ident, $takes:expr, [$($parameter:expr),*], $does:literal;)*) => {
        /// The sorts of faults, with what each does. [`Fault`](super::fault::Fault) is one with its parameters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $(#[doc = $does] $kind,)*
        }

        impl FaultKind {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$kind),*];
        }

        static TABLE: &[Row] = &[$(Row {
            kind: FaultKind::$kind,
            name: $name,
            meets: Meets::$meets,
            takes: $takes,
            parameters: &[$($parameter),*],
            does: $does,
        },)*];
    };
}

use Effect::{Applied, Withheld};
use Takes::{AccountSetup, Always, Never};

table! {
    // Answers.
    RateLimited = "rate_limited", Any, AccountSetup(Withheld),
        [number("retry_after", 1, 1_000_000, "seconds")],
        "429 with Retry-After, as a gateway writes it.";
    InternalError = "internal_error", Any, AccountSetup(Withheld), [],
        "500 with error code 500001.";
    BadGateway = "bad_gateway", Any, AccountSetup(Withheld), [],
        "502 with a page of HTML, as a gateway writes it.";
    Unavailable = "unavailable", Any, AccountSetup(Withheld),
        [Parameter {
            name: "retry_after",
            sort: Sort::Number { default: None, most: 1_000_000 },
            about: "seconds; no such header where nothing is said",
        }],
        "503 as a gateway writes it.";
    GatewayTimeout = "gateway_timeout", Any, AccountSetup(Applied), [],
        "504 with a page of HTML, as a gateway writes it that has waited too long.";
    ErrorCode = "error_code", Any, AccountSetup(Withheld),
        [
            number("code", 10_002, i64::MAX as u64, "the service's number"),
            text("message", "The deployment is disabled", "the service's words")
        ],
        "200 with an error code for a body.";
    Refused = "refused", Any, AccountSetup(Withheld),
        [
            word(
                "status",
                &[
                    "403", "400", "401", "402", "404", "408", "409", "413", "422", "429", "500", "502",
                    "503", "504"
                ],
                "the status"
            ),
            number("code", 403_003, i64::MAX as u64, "the service's number, where the shape has one"),
            word(
                "shape",
                &[
                    "numbered", "detailed", "message", "detail", "details", "error", "text", "html",
                    "empty"
                ],
                "how it is written"
            ),
            text("message", "Forbidden", "the words in it")
        ],
        "A refusal in any of the shapes that the service and its gateways have.";
    TokenRevoked = "token_revoked", Any, Never, [],
        "401 in plain text, for every call with this token from now on until the faults are cleared.";
    Html = "html", Any, AccountSetup(Withheld), [],
        "200 with a page of HTML, as a captive portal answers.";
    WrongContentType = "wrong_content_type", Any, AccountSetup(Applied),
        [text("type", "text/plain", "the type it claims")],
        "The right answer under a wrong Content-Type.";
    EmptyBody = "empty_body", Any, AccountSetup(Applied), [],
        "200 and nothing more.";
    Garbage = "garbage", Any, AccountSetup(Withheld), [],
        "Bytes that are not HTTP, then the end of the connection.";
    Redirect = "redirect", Any, AccountSetup(Withheld),
        [
            word("status", &["307", "302", "301", "303", "308"], "the status"),
            text("to", "http://elsewhere.invalid/", "where to")
        ],
        "A redirect to another host.";
    UnknownFields = "unknown_fields", Any, Always, [],
        "The right answer with fields that nobody knows.";
    UnknownStatus = "unknown_status", States, Always,
        [text("word", "paused", "the word")],
        "The right answer, but with a status word that nobody knows.";
    CanceledSpelling = "canceled_spelling", Looks, Always, [],
        "The right answer, with `canceled` wherever it says `cancelled`.";
    CancelledSpelling = "cancelled_spelling", Looks, Always, [],
        "The right answer, with `cancelled` wherever it says `canceled`.";
    NotFoundAtFirst = "not_found_at_first", Submits, Always,
        [number("ms", 2_000, HOUR_MS, "for how many milliseconds after the submit")],
        "The run is accepted, but its status and result are 404 with error code 404001 at first.";
    GzipBomb = "gzip_bomb", Any, AccountSetup(Withheld),
        [number("mib", 512, 1_048_576, "how large it is once decompressed, in MiB")],
        "200 with a small gzip body that decompresses to a huge one.";
    EndlessBody = "endless_body", Any, AccountSetup(Withheld), [],
        "200 with a body that never ends, until the peer goes away.";
    GiantHeaders = "giant_headers", Any, AccountSetup(Withheld),
        [word("shape", &["long", "many"], "one header of 1 MiB, or 10,000 headers")],
        "200 with more in its headers than a client should take.";
    InformationalFlood = "informational_flood", Any, AccountSetup(Withheld), [],
        "103 Early Hints over and over, until the peer goes away.";
    // Connections.
    ResetAtAccept = "reset_at_accept", Accept, Never, [],
        "The connection is reset before anything is read.";
    CloseAtAccept = "close_at_accept", Accept, Never, [],
        "The connection is closed before anything is read.";
    ResetBeforeBody = "reset_before_body", Any, Never, [],
        "The connection is reset after the head was read, and before the body was.";
    ResetAfterBody = "reset_after_body", Any, AccountSetup(Withheld), [],
        "The connection is reset after the whole call was read.";
    CloseAfterBody = "close_after_body", Any, AccountSetup(Withheld), [],
        "The connection is closed after the whole call was read, without an answer.";
    AnswerLost = "answer_lost", Any, Always,
        [word("end", &["reset", "close"], "how the connection ends")],
        "The call takes effect, and its answer never comes: a submit's request id is lost.";
    CutResponse = "cut_response", Any, AccountSetup(Applied),
        [
            number("at", 100, u64::MAX, "after how many bytes"),
            PART,
            word("end", &["close", "reset"], "how the connection ends")
        ],
        "The answer breaks off; one that is shorter comes whole.";
    Trickle = "trickle", Any, AccountSetup(Applied),
        [
            number("bytes", 1, u64::MAX, "so many bytes"),
            number("every_ms", 200, HOUR_MS, "in so many milliseconds"),
            PART
        ],
        "The answer comes drop by drop.";
    Stall = "stall", Any, AccountSetup(Withheld), [],
        "No answer, until the peer goes away or the emulator stops.";
    // Runs.
    FailedRun = "failed_run", Submits, Always,
        [word("error", &["array", "object", "string"], "the shape of the result's `error`")],
        "The run fails.";
    PartialOutputs = "partial_outputs", Submits, Always, [],
        "The run fails, and its result has an error beside what was made until then.";
    NoOutputs = "no_outputs", Submits, Always, [],
        "The run succeeds with no outputs, as one whose every node was cached.";
    CancelledRun = "cancelled_run", Submits, Always, [],
        "The run is cancelled by someone else at the end of its time.";
}

impl FaultKind {
    /// Its name in text, JSON and counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// What it does, in a sentence.
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
