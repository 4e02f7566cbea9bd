//! Responses decoded into types: bytes in, values out.

use bytestring::ByteString;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::response::{DecodeContext, RawResponse};
use crate::{
    deployment::{DecodedDeployment, DeletedDeployment, Deployment},
    error::{Error, ErrorKind},
    id::RequestId,
    instance::ProxyReply,
    json::RawJson,
    request::{Cancellation, RequestResult, RequestStatus, Submission},
};

/// A list of deployments: bare, or wrapped in an object.
pub(super) fn deployments(
    context: &DecodeContext<'_>,
    answer: RawResponse,
) -> Result<Vec<Deployment>, Error> {
    #[derive(Deserialize)]
    struct Wrapped<'json> {
        #[serde(borrow)]
        deployments: Vec<BorrowedDeployment<'json>>,
    }
    context.check(&answer)?;
    let malformed = || context.malformed(&answer, "no list of deployments");
    let text = answer.text().ok_or_else(malformed)?;
    // Told apart by hand: serde's `untagged` would take the payloads apart on the way.
    let (list, prefix) = if text.starts_with('[') {
        (serde_json::from_str(&text), "")
    } else {
        let read = serde_json::from_str(&text);
        (read.map(|Wrapped { deployments }| deployments), "deployments")
    };
    let list: Vec<BorrowedDeployment<'_>> = list.map_err(|_| malformed())?;
    let (all, mut usable) = (list.len(), Vec::with_capacity(list.len()));
    usable.extend(list.into_iter().enumerate().filter_map(|(at, listed)| {
        let mut deployment = listed.deployment(payload_of(&text))?;
        if let Some(found) = &answer.non_finite {
            deployment.non_finite = found.within(&format!("{prefix}[{at}]"));
        }
        Some(deployment)
    }));
    if usable.len() < all {
        // One that can't be named must not hide the others.
        tracing::warn!("left out {} deployment(s) without a usable id", all - usable.len());
    }
    Ok(usable)
}

/// One deployment.
pub(super) fn deployment(
    context: &DecodeContext<'_>,
    answer: RawResponse,
) -> Result<Deployment, Error> {
    context.check(&answer)?;
    let text = answer.text();
    let read = text.as_ref().and_then(|text| {
        let read: BorrowedDeployment<'_> = serde_json::from_str(text).ok()?;
        let mut deployment = read.deployment(payload_of(text))?;
        deployment.non_finite = answer.non_finite.clone();
        Some(deployment)
    });
    read.ok_or_else(|| context.malformed(&answer, "no deployment with a usable id"))
}

/// A deployment whose payload is still a part of the response.
type BorrowedDeployment<'json> = DecodedDeployment<&'json RawValue>;

/// Keeps a payload as the part of the response that it is.
fn payload_of<'json>(text: &'json ByteString) -> impl Fn(&'json RawValue) -> RawJson {
    |payload| RawJson::part(text, payload)
}

/// Any success at all: what a deletion answers is not documented.
pub(super) fn deleted(
    context: &DecodeContext<'_>,
    answer: RawResponse,
) -> Result<DeletedDeployment, Error> {
    context.check(&answer)?;
    let mut deleted = DeletedDeployment::new(context.any_value(&answer)?);
    deleted.non_finite = answer.non_finite;
    Ok(deleted)
}

/// A run that was accepted.
pub(super) fn submission(
    context: &DecodeContext<'_>,
    answer: RawResponse,
) -> Result<Submission, Error> {
    context.check(&answer)?;
    let read = context.object(&answer).ok().and_then(Submission::from_map);
    let mut submission = read.ok_or_else(|| context.malformed(&answer, "no usable request_id"))?;
    submission.non_finite = answer.non_finite;
    Ok(submission)
}

/// Where the run `asked` is.
pub(super) fn status(
    context: &DecodeContext<'_>,
    answer: RawResponse,
    asked: &RequestId,
) -> Result<RequestStatus, Error> {
    context.check(&answer)?;
    let map = context.object(&answer)?;
    let map = context.check_request_id(&answer, map, asked, &["request_id", "status"])?;
    Ok(RequestStatus { non_finite: answer.non_finite, ..map.into() })
}

/// What came of the run `asked`.
pub(super) fn result(
    context: &DecodeContext<'_>,
    answer: RawResponse,
    asked: &RequestId,
) -> Result<RequestResult, Error> {
    match context.check(&answer) {
        // RunComfy's other APIs say so of a run that is not over; this one says its state.
        Err(error) if error.error_code() == Some(NOT_READY) => {
            return Ok(RequestResult { request_id: Some(asked.clone()), ..Default::default() });
        }
        checked => checked?,
    }
    let map = context.object(&answer)?;
    let known = ["request_id", "status", "outputs", "output", "error"];
    let map = context.check_request_id(&answer, map, asked, &known)?;
    Ok(RequestResult { non_finite: answer.non_finite, ..map.into() })
}

/// The code of a result that is not there yet.
const NOT_READY: i64 = 400_005;

/// What became of cancelling the run `asked`. Any success will do; what is no object is kept in `extra`.
pub(super) fn cancellation(
    context: &DecodeContext<'_>,
    answer: RawResponse,
    asked: &RequestId,
) -> Result<Cancellation, Error> {
    context.check(&answer)?;
    let map = match context.any_value(&answer)? {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => Map::from_iter([("response".to_owned(), other)]),
    };
    let map = context.check_request_id(&answer, map, asked, &[])?;
    Ok(Cancellation { non_finite: answer.non_finite, ..map.into() })
}

/// What ComfyUI said. With a good status it is data, whatever it looks like.
pub(super) fn proxy_reply(
    context: &DecodeContext<'_>,
    answer: RawResponse,
) -> Result<ProxyReply, Error> {
    context.check_status(&answer)?;
    if answer.body.is_empty() {
        return Ok(ProxyReply::Empty);
    }
    if let Ok(value) = serde_json::from_slice(answer.json()) {
        return Ok(match answer.non_finite {
            Some(non_finite) => ProxyReply::JsonWithNulls { value, non_finite },
            None => ProxyReply::Json(value),
        });
    }
    Ok(match String::from_utf8(answer.body.into()) {
        Ok(text) => ProxyReply::Text(text),
        Err(error) => {
            ProxyReply::Binary { content_type: answer.content_type, bytes: error.into_bytes() }
        }
    })
}

impl DecodeContext<'_> {
    fn object(&self, answer: &RawResponse) -> Result<Map<String, Value>, Error> {
        serde_json::from_slice(answer.json()).map_err(|_| self.malformed(answer, "no JSON object"))
    }

    /// Any body as JSON: null where it is empty, a text where it is no JSON. Not a page for people,
    /// which comes from something else than the service.
    fn any_value(&self, answer: &RawResponse) -> Result<Value, Error> {
        if answer.json().is_empty() {
            return Ok(Value::Null);
        }
        if let Ok(value) = serde_json::from_slice(answer.json()) {
            return Ok(value);
        }
        if answer.is_html() {
            return Err(self.malformed(answer, ""));
        }
        Ok(Value::String(String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// A response about the run `asked`, with its id. One that names another run is never passed off as
    /// this one's; neither is one that has none of the `known` fields.
    fn check_request_id(
        &self,
        answer: &RawResponse,
        mut map: Map<String, Value>,
        asked: &RequestId,
        known: &[&str],
    ) -> Result<Map<String, Value>, Error> {
        if !known.is_empty() && !known.iter().any(|key| map.contains_key(*key)) {
            return Err(self.malformed(answer, "an object with no known field"));
        }
        match map.get("request_id") {
            None | Some(Value::Null) => {
                map.insert("request_id".to_owned(), asked.as_str().into());
            }
            // UUIDs may come back in another case.
            Some(Value::String(id)) if id.eq_ignore_ascii_case(asked.as_str()) => {}
            Some(_) => return Err(self.malformed(answer, "the answer to another request")),
        }
        Ok(map)
    }

    /// A success that can't be read. Nothing of it is repeated.
    fn malformed(&self, answer: &RawResponse, what: &str) -> Error {
        let message = if answer.is_html() {
            "an HTML page instead of JSON"
        } else if answer.json().is_empty() {
            "an empty body instead of JSON"
        } else {
            what
        };
        Error::new(self.operation, ErrorKind::UpstreamProtocol)
            .with_status_code(answer.status)
            .with_message(message)
    }
}

#[cfg(test)]
mod tests;
