//! Calls that go on to the ComfyUI of an instance, and its own way to answer.

use axum::{
    body::Bytes,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use runcomfy_core::{
    Error, InstanceId, Operation, ProxyCall, ProxyPath, ProxyReply, RunComfyApi as _,
};
use serde_json::json;

use super::{
    read,
    routes::{Caller, deployment_id},
    wire,
};
use crate::account::refusal;

pub(super) async fn call_instance_proxy(
    Caller(fake): Caller,
    Path((deployment, instance, path)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, wire::Refusal> {
    const OPERATION: Operation = Operation::CallInstanceProxy;
    let instance = InstanceId::new(instance);
    let call = ProxyCall::new(
        deployment_id(OPERATION, &deployment)?,
        instance.map_err(|_| refusal::missing(OPERATION, "Instance not found"))?,
        ProxyPath::new(&path).map_err(|_| refusal::missing(OPERATION, "Not Found"))?,
    );
    match fake.call_instance_proxy(&call.body(read::proxy_body(&body)?)).await {
        Ok(reply) => Ok(written(reply)),
        Err(error) => by_comfyui(&error).ok_or(error.into()),
    }
}

fn written(reply: ProxyReply) -> Response {
    match reply {
        ProxyReply::Binary { content_type: None, bytes } => bytes.into_response(),
        ProxyReply::Binary { content_type: Some(content_type), bytes } => {
            ([(header::CONTENT_TYPE, content_type)], bytes).into_response()
        }
        ProxyReply::Json(value) => wire::json(StatusCode::OK, &value),
        ProxyReply::Text(text) => text.into_response(),
        // Nothing, and whatever else there may be one day.
        _ => StatusCode::OK.into_response(),
    }
}

/// A refusal that came from ComfyUI: one with an HTTP status, but without a number of the service's.
fn by_comfyui(error: &Error) -> Option<Response> {
    if error.error_code().is_some() {
        return None;
    }
    match error.status_code()? {
        400 => {
            let message = error.message().unwrap_or("No prompt provided");
            let error = json!({"type": "no_prompt", "message": message, "details": message, "extra_info": {}});
            Some(wire::json(StatusCode::BAD_REQUEST, &json!({"error": error, "node_errors": {}})))
        }
        404 => {
            let nothing = [(header::CONTENT_TYPE, "application/octet-stream")];
            Some((StatusCode::NOT_FOUND, nothing).into_response())
        }
        405 => Some((StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed").into_response()),
        _ => None,
    }
}
