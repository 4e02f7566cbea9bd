//! In which media types a client takes answers.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header::ACCEPT};

use super::answer::refusal;

/// What MCP's library wants to see in the header: it knows neither wildcards nor one type alone.
pub(super) const BOTH: HeaderValue = HeaderValue::from_static(BOTH_TYPES);
const BOTH_TYPES: &str = "application/json, text/event-stream";

const JSON: [&str; 2] = ["application", "json"];
const EVENTS: [&str; 2] = ["text", "event-stream"];

/// The media types of answers that a client takes, of the two that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// JSON; a stream of events where there is progress to tell.
    Either,
    Json,
    Events,
}

impl Media {
    /// By the request's `Accept` headers, as HTTP has them (RFC 9110, 12.5.1). `None`: neither is taken. Weights
    /// other than zero make no difference.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let (mut json, mut events) = (Verdict::default(), Verdict::default());
        let mut any = false;
        for value in headers.get_all(ACCEPT) {
            if value == BOTH_TYPES {
                return Some(Self::Either); // as nearly every client has it
            }
            // What is not ASCII names neither of the two.
            let text = String::from_utf8_lossy(value.as_bytes());
            for range in split(&text, ',').filter(|range| !range.is_empty()) {
                any = true;
                let (range, taken) = read(range);
                json.hear(range, JSON, taken);
                events.hear(range, EVENTS, taken);
            }
        }
        match (json.taken, events.taken) {
            // Who says nothing takes anything.
            _ if !any => Some(Self::Either),
            (true, true) => Some(Self::Either),
            (true, false) => Some(Self::Json),
            (false, true) => Some(Self::Events),
            (false, false) => None,
        }
    }
}

/// The refusal of a client that takes neither.
pub(super) fn not_acceptable() -> Response {
    let message = format!(
        "answers are application/json or text/event-stream, and the Accept header takes neither; send Accept: {BOTH_TYPES}"
    );
    refusal(StatusCode::NOT_ACCEPTABLE, &message)
}

/// What the ranges so far say of a media type: the most specific one counts.
#[derive(Default)]
struct Verdict {
    specificity: u8,
    taken: bool,
}

impl Verdict {
    fn hear(&mut self, range: &str, [kind, subtype]: [&str; 2], taken: bool) {
        let specificity = match range.split_once('/') {
            Some(("*", "*")) => 1,
            // Java's own client has sent it so.
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
            (self.specificity, self.taken) = (specificity, taken);
        } else if specificity == self.specificity {
            self.taken |= taken;
        }
    }
}

/// A media range without its parameters, and whether its weight is other than zero.
fn read(range: &str) -> (&str, bool) {
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

/// Whether a weight is zero in one of its spellings. One that is none excludes nothing.
fn is_zero(weight: &str) -> bool {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    whole == "0" && fraction.len() <= 3 && fraction.bytes().all(|digit| digit == b'0')
}

/// The parts of a header between these delimiters, those within quotes aside.
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
    fn a_client_that_takes_both_types_or_anything_takes_either() {
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
    fn a_client_that_takes_one_type_gets_that_one() {
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
    fn a_client_that_takes_neither_type_gets_none() {
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
