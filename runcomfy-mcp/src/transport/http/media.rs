//! Which media types of responses a client accepts.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header::ACCEPT};

use super::refusals::refusal;

/// The header that rmcp requires: it understands neither wildcards nor one type alone.
pub(super) const BOTH: HeaderValue = HeaderValue::from_static(BOTH_TYPES);
const BOTH_TYPES: &str = "application/json, text/event-stream";

const JSON: [&str; 2] = ["application", "json"];
const EVENTS: [&str; 2] = ["text", "event-stream"];

/// Which of the two media types a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// Gets JSON, or an event stream if there is progress to send.
    Either,
    Json,
    Events,
}

impl Media {
    /// Reads the `Accept` headers (RFC 9110, 12.5.1). `None`: the client accepts neither. Weights other than zero
    /// make no difference.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let (mut json, mut events) = (Acceptance::default(), Acceptance::default());
        let mut any = false;
        for value in headers.get_all(ACCEPT) {
            if value == BOTH_TYPES {
                return Some(Self::Either); // what nearly every client sends
            }
            // Neither type has a name that is not ASCII.
            let text = String::from_utf8_lossy(value.as_bytes());
            for range in split(&text, ',').filter(|range| !range.is_empty()) {
                any = true;
                let (range, accepted) = parse_range(range);
                json.apply(range, JSON, accepted);
                events.apply(range, EVENTS, accepted);
            }
        }
        match (json.accepted, events.accepted) {
            // No header means that any type is accepted.
            _ if !any => Some(Self::Either),
            (true, true) => Some(Self::Either),
            (true, false) => Some(Self::Json),
            (false, true) => Some(Self::Events),
            (false, false) => None,
        }
    }
}

/// The refusal of a client that accepts neither.
pub(super) fn not_acceptable() -> Response {
    let message = format!(
        "responses are application/json or text/event-stream, and the Accept header allows neither; send Accept: {BOTH_TYPES}"
    );
    refusal(StatusCode::NOT_ACCEPTABLE, &message)
}

/// Whether the ranges so far accept a media type. The most specific one counts.
#[derive(Default)]
struct Acceptance {
    specificity: u8,
    accepted: bool,
}

impl Acceptance {
    fn apply(&mut self, range: &str, [kind, subtype]: [&str; 2], accepted: bool) {
        let specificity = match range.split_once('/') {
            Some(("*", "*")) => 1,
            // Java's standard client sends it.
            None if range == "*" => 1,
            Some((one, "*")) if one.eq_ignore_ascii_case(kind) => 2,
            Some((one, other))
                if one.eq_ignore_ascii_case(kind) && other.eq_ignore_ascii_case(subtype) =>
            {
                3
            }
            _ => return,
        };
        if specificity > self.specificity {
            (self.specificity, self.accepted) = (specificity, accepted);
        } else if specificity == self.specificity {
            self.accepted |= accepted;
        }
    }
}

/// A media range without its parameters, and whether its weight is other than zero.
fn parse_range(range: &str) -> (&str, bool) {
    let mut parts = split(range, ';');
    let name = parts.next().unwrap_or_default();
    let excluded = parts.any(|parameter| {
        let weight = parameter.split_once('=');
        weight.is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("q") && is_zero(value.trim())
        })
    });
    (name, !excluded)
}

/// Whether a weight is zero, in any of its spellings. An invalid weight excludes nothing.
fn is_zero(weight: &str) -> bool {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    whole == "0" && fraction.len() <= 3 && fraction.bytes().all(|digit| digit == b'0')
}

/// Splits a header at this delimiter, except within quotes.
fn split(text: &str, delimiter: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let plain = !quoted && !escaped;
        let ends = plain && character == delimiter;
        if escaped {
            escaped = false;
        } else if quoted && character == '\\' {
            escaped = true;
        } else if character == '"' {
            quoted = !quoted;
        }
        ends
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&str]) -> Option<Media> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        Media::accepted(&headers)
    }

    #[test]
    fn a_client_that_accepts_both_types_or_anything_gets_either() {
        for values in [
            &[][..],
            &[""],
            &[" , "],
            &[BOTH_TYPES],
            &["text/event-stream,Application/JSON"],
            &["application/json", "text/event-stream"],
            &["*/*"],
            &["*"],
            &["application/*, text/*"],
            &["APPLICATION/*, TEXT/*;q=0.1"],
            &["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
            &["application/json;q=0.5, text/event-stream;q=0.001"],
            &["application/json; charset=utf-8, text/event-stream; charset=\"a,b;q=0\""],
            &["application/json;q=zero, text/event-stream;q=0.0000"],
            &["application/json;q=0, application/json, text/event-stream"],
        ] {
            assert_eq!(accepted(values), Some(Media::Either), "{values:?}");
        }
    }

    #[test]
    fn a_client_that_accepts_one_type_gets_that_one() {
        for (values, media) in [
            (&["application/json"][..], Media::Json),
            (&["application/*"], Media::Json),
            (&["*/*, text/event-stream;q=0"], Media::Json),
            (&["text/*;q=0, */*"], Media::Json),
            (&["application/json, text/html"], Media::Json),
            (&["application/json, text/event-stream; q=0.000"], Media::Json),
            (&["text/event-stream"], Media::Events),
            (&["Text/Event-Stream; charset=utf-8"], Media::Events),
            (&["text/*"], Media::Events),
            (&["text/event-stream, application/json;Q=0"], Media::Events),
            (&["application/json;q=0", "*/*"], Media::Events),
            (&["application/*;q=0, */*"], Media::Events),
        ] {
            assert_eq!(accepted(values), Some(media), "{values:?}");
        }
    }

    #[test]
    fn a_client_that_accepts_neither_type_gets_none() {
        for values in [
            &["text/html"][..],
            &["image/*, text/plain"],
            &["*/*;q=0"],
            &["application/json;q=0, text/event-stream;q=0., */*"],
            &["json"],
            &["application / json"],
            &["\"application/json\""],
        ] {
            assert_eq!(accepted(values), None, "{values:?}");
        }
    }
}
