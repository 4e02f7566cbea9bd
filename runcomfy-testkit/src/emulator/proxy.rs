//! The instance proxy: passes calls on to ComfyUI, or to the simulation.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use runcomfy_core::{
    Error, RunComfyApi as _,
    error::Operation,
    id::InstanceId,
    instance::{ProxyCall, ProxyPath, ProxyReply},
};
use serde_json::{Value, json};

use super::{
    app_state::{AppState, Caller},
    decode::{self, deployment_id},
    encode,
    pool::{ProxyBody, takes_forms},
};
use crate::account::service_error;

const OPERATION: Operation = Operation::CallInstanceProxy;

type ProxyPathParams = Path<(String, String, String)>;

pub(super) async fn call_instance_proxy(
    State(state): State<Arc<AppState>>,
    Caller(fake): Caller,
    RawQuery(query): RawQuery,
    path: ProxyPathParams,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, encode::ErrorResponse> {
    let call = call(path)?;
    if let Some(pool) = &state.pool
        && takes_forms(&call.path)
        && let Some(form) = form(&headers)
    {
        let (query, body) = (query.as_deref(), ProxyBody::Form(form, &body));
        return pool.pass_on(&fake, &call, &Method::POST, query, body).await;
    }
    let call = call.body(decode::proxy_body(&body)?);
    if let Some(pool) = &state.pool {
        let body = (!body.is_empty()).then(|| Value::Object(call.body.clone()));
        let body = ProxyBody::Json(body.as_ref());
        return pool.pass_on(&fake, &call, &Method::POST, None, body).await;
    }
    match fake.call_instance_proxy(&call).await {
        Ok(reply) => Ok(reply_response(reply)),
        Err(error) => by_comfyui(&error).ok_or(error.into()),
    }
}

/// GET through the proxy. The service supports it without documenting it. Only a real ComfyUI has responses.
pub(super) async fn get_instance_proxy(
    State(state): State<Arc<AppState>>,
    Caller(fake): Caller,
    RawQuery(query): RawQuery,
    path: ProxyPathParams,
) -> Result<Response, encode::ErrorResponse> {
    let call = call(path)?;
    if let Some(pool) = &state.pool {
        return pool
            .pass_on(&fake, &call, &Method::GET, query.as_deref(), ProxyBody::Json(None))
            .await;
    }
    let body = json!({"detail": "Method Not Allowed"});
    Ok(encode::json(StatusCode::METHOD_NOT_ALLOWED, &body))
}

/// The content type of a multipart form.
fn form(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    content_type.to_ascii_lowercase().starts_with("multipart/form-data").then_some(content_type)
}

fn call(Path((deployment, instance, path)): ProxyPathParams) -> Result<ProxyCall, Error> {
    let instance = InstanceId::new(instance);
    Ok(ProxyCall::new(
        deployment_id(OPERATION, &deployment)?,
        instance.map_err(|_| service_error::missing(OPERATION, "Instance not found"))?,
        ProxyPath::new(&path).map_err(|_| service_error::missing(OPERATION, "Not Found"))?,
    ))
}

fn reply_response(reply: ProxyReply) -> Response {
    match reply {
        ProxyReply::Binary { content_type: None, bytes } => bytes.into_response(),
        ProxyReply::Binary { content_type: Some(content_type), bytes } => {
            ([(header::CONTENT_TYPE, content_type)], bytes).into_response()
        }
        ProxyReply::Json(value) => encode::json(StatusCode::OK, &value),
        ProxyReply::Text(text) => text.into_response(),
        // An empty reply, and any future variant.
        _ => StatusCode::OK.into_response(),
    }
}

/// A response from ComfyUI: an error with an HTTP status but without an error code.
fn by_comfyui(error: &Error) -> Option<Response> {
    if error.error_code().is_some() {
        return None;
    }
    match error.status_code()? {
        400 => {
            let message = error.message().unwrap_or("No prompt provided");
            let error = json!({"type": "no_prompt", "message": message, "details": message, "extra_info": {}});
            Some(encode::json(StatusCode::BAD_REQUEST, &json!({"error": error, "node_errors": {}})))
        }
        404 => {
            let nothing = [(header::CONTENT_TYPE, "application/octet-stream")];
            Some((StatusCode::NOT_FOUND, nothing).into_response())
        }
        405 => Some((StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed").into_response()),
        _ => None,
    }
}
