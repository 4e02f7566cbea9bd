//! Handing a job to a server, and what the server says to it.

use serde_json::{Map, Value, json};

use super::{Accepted, Job, Trouble, TroubleKind, api::Api, api::Reply, failure};

/// Why a job was not taken.
pub(super) enum NotTaken {
    /// The graph was refused: the failure of the run.
    Graph(Value),
    /// There is no telling whether it was taken.
    Unknown(Trouble),
    /// The server has not got it.
    Trouble(Trouble),
}

/// Submits a job under its request's id, if servers take that for an id.
pub(super) async fn submit(
    api: &Api,
    job: &Job,
    graph: Value,
    client_id: &str,
) -> Result<Accepted, NotTaken> {
    let mut body = json!({"prompt": graph, "client_id": client_id});
    let id = job.request_id.as_str();
    if is_canonical_uuid(id) {
        body["prompt_id"] = json!(id);
    }
    if let Some(extra_data) = &job.extra_data {
        body["extra_data"] = Value::Object(extra_data.clone());
    }
    match api.post(&["prompt"], &body).await {
        Ok(reply) => read(api, &reply),
        // Refused connections aside, the request may have arrived.
        Err(trouble) => Err(NotTaken::Unknown(trouble)),
    }
}

/// Reads the answer to a graph.
pub(super) fn read(api: &Api, reply: &Reply) -> Result<Accepted, NotTaken> {
    let body = api.parsed(&reply.bytes);
    match (reply.status, body) {
        (200, Ok(body)) => match body.get("prompt_id") {
            Some(Value::String(prompt_id)) => {
                let node_errors = body.get("node_errors").and_then(Value::as_object);
                let node_errors = node_errors.cloned().unwrap_or_else(Map::new);
                Ok(Accepted { prompt_id: prompt_id.clone(), node_errors })
            }
            _ => {
                let trouble = api.trouble(TroubleKind::Unusable, "its /prompt is not ComfyUI's");
                Err(NotTaken::Trouble(trouble))
            }
        },
        (400, Ok(body)) if body.get("error").is_some() => {
            Err(NotTaken::Graph(failure::of_validation(&body)))
        }
        (200, Err(trouble)) => Err(NotTaken::Trouble(trouble)),
        _ => Err(NotTaken::Trouble(api.bad_status(reply))),
    }
}

/// Whether this is a UUID as ComfyUI wants it: lower case, with its hyphens.
pub(super) fn is_canonical_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_canonical_uuid_is_one() {
        assert!(is_canonical_uuid("25cf070b-f4c1-4975-9126-3f520c892592"));
        assert!(is_canonical_uuid("6c84fb90-12c4-11e1-840d-7b25c5ee775a"));
        for other in [
            "",
            "req_1",
            "25CF070B-F4C1-4975-9126-3F520C892592",
            "25cf070bf4c1497591263f520c892592",
            "25cf070b-f4c1-4975-9126-3f520c89259g",
            "25cf070b-f4c1-4975-9126-3f520c8925922",
            "-5cf070b-f4c1-4975-9126-3f520c892592",
        ] {
            assert!(!is_canonical_uuid(other), "{other}");
        }
    }
}
