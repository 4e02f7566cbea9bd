//! Submits a job and reads the server's response.

use serde_json::{Map, Value, json};

use super::{
    api::{Api, Reply},
    error::{ComfyError, ComfyErrorKind},
    failure,
    job::{AcceptedJob, Job},
};

/// Why a job was not accepted.
pub(super) enum SubmitError {
    /// The graph was refused. Contains the failure of the run.
    Graph(Value),
    /// It is unknown whether the job was accepted.
    Unknown(ComfyError),
    /// The job was not accepted.
    Comfy(ComfyError),
}

/// Submits a job under its own prompt id. Servers before July 2025 choose another.
pub(super) async fn submit(
    api: &Api,
    job: &Job,
    graph: Value,
    client_id: &str,
) -> Result<AcceptedJob, SubmitError> {
    let mut body = json!({"prompt": graph, "client_id": client_id, "prompt_id": job.prompt_id});
    if let Some(extra_data) = &job.extra_data {
        body["extra_data"] = Value::Object(extra_data.clone());
    }
    match api.post(&["prompt"], &body).await {
        Ok(reply) => read(api, &reply),
        // Unless the connection was refused, the request may have arrived.
        Err(error) => Err(SubmitError::Unknown(error)),
    }
}

/// Decodes the response to a submission.
pub(super) fn read(api: &Api, reply: &Reply) -> Result<AcceptedJob, SubmitError> {
    let body = api.parsed(&reply.bytes);
    match (reply.status, body) {
        (200, Ok(body)) => match body.get("prompt_id") {
            Some(Value::String(prompt_id)) => {
                let node_errors = body.get("node_errors").and_then(Value::as_object);
                let node_errors = node_errors.cloned().unwrap_or_else(Map::new);
                let number = body.get("number").and_then(Value::as_f64);
                Ok(AcceptedJob { prompt_id: prompt_id.clone(), number, node_errors })
            }
            _ => {
                let error = api.error(ComfyErrorKind::Unusable, "its /prompt is not ComfyUI's");
                Err(SubmitError::Comfy(error))
            }
        },
        (400, Ok(body)) if body.get("error").is_some() => {
            Err(SubmitError::Graph(failure::of_validation(&body)))
        }
        (200, Err(error)) => Err(SubmitError::Comfy(error)),
        _ => Err(SubmitError::Comfy(api.bad_status(reply))),
    }
}
