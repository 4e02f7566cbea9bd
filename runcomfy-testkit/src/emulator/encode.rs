//! Encodes responses field by field. Shares no code with the client.

use axum::{
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use runcomfy_core::{
    DeploymentId, Error, ErrorKind, RequestId,
    deployment::Deployment,
    request::{Cancellation, RequestResult, RequestStatus},
};
use serde_json::{Map, Value, json};
use url::Url;

pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, body.to_string()).into_response()
}

pub(super) fn unauthorized() -> Response {
    (StatusCode::UNAUTHORIZED, "Unauthorized").into_response()
}

pub(super) fn balance(microdollars: i64) -> Value {
    json!({
        "balance_usd": microdollars as f64 / 1e6,
        "balance_microdollars": microdollars,
        "currency": "USD",
    })
}

pub(super) fn deployment(deployment: &Deployment) -> Value {
    let mut body = json!({
        "id": deployment.id.as_str(),
        "name": deployment.name,
        "workflow_id": deployment.workflow_id,
        "workflow_version": deployment.workflow_version,
        "hardware": deployment.hardware,
        "min_instances": deployment.min_instances,
        "max_instances": deployment.max_instances,
        "queue_size": deployment.queue_size,
        "keep_warm_duration_in_seconds": deployment.keep_warm_duration_in_seconds,
        "status": deployment.status,
        "is_enabled": deployment.is_enabled,
        "created_at": deployment.created_at,
        "updated_at": deployment.updated_at,
    });
    if let Some(payload) = &deployment.payload {
        let workflow = payload.workflow().ok().flatten().map(|workflow| workflow.into_value());
        body["payload"] = json!({
            "workflow_api_json": workflow,
            "overrides": payload.overrides().map(|overrides| overrides.into_value()),
            "object_info_url": payload.object_info_url(),
        });
    }
    if let Some(readme) = &deployment.readme {
        body["readme"] = json!(readme);
    }
    body
}

/// The URLs of one request, in the API version under which the call came.
pub(super) struct Addresses {
    request: String,
}

impl Addresses {
    pub(super) fn new(
        base: &Url,
        uri: &Uri,
        deployment: &DeploymentId,
        request: &RequestId,
    ) -> Self {
        let version = if uri.path().starts_with("/prod/v1/") { "v1" } else { "v2" };
        let base = base.as_str().trim_end_matches('/');
        Self {
            request: format!("{base}/prod/{version}/deployments/{deployment}/requests/{request}"),
        }
    }

    fn to(&self, action: &str) -> Value {
        Value::String(format!("{}/{action}", self.request))
    }
}

pub(super) fn submission(request: &RequestId, addresses: &Addresses) -> Value {
    json!({
        "request_id": request.as_str(),
        "status_url": addresses.to("status"),
        "result_url": addresses.to("result"),
        "cancel_url": addresses.to("cancel"),
    })
}

pub(super) fn status(request: &RequestId, status: &RequestStatus, addresses: &Addresses) -> Value {
    let mut body = json!({
        "request_id": request.as_str(),
        "status": status.status,
        "queue_position": status.queue_position,
        "status_url": addresses.to("status"),
        "result_url": addresses.to("result"),
    });
    if let Some(instance) = &status.instance_id {
        body["instance_id"] = json!(instance.as_str());
    }
    body
}

pub(super) fn result(request: &RequestId, result: &RequestResult) -> Value {
    let mut body = Map::new();
    body.insert("request_id".to_owned(), json!(request.as_str()));
    body.insert("status".to_owned(), json!(result.status));
    let mut present = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    present("outputs", result.outputs.clone());
    present("error", result.error.clone());
    present("created_at", result.created_at.clone().map(Value::String));
    present("finished_at", result.finished_at.clone().map(Value::String));
    present("instance_id", result.instance_id.as_ref().map(|id| json!(id.as_str())));
    Value::Object(body)
}

pub(super) fn cancellation(request: &RequestId, cancellation: &Cancellation) -> Value {
    json!({
        "request_id": request.as_str(),
        "status": cancellation.status,
        "outcome": cancellation.outcome,
    })
}

/// A response extension: the submit was accepted.
#[derive(Clone, Debug)]
pub(super) struct AcceptedRequest(pub(super) RequestId);

/// A response extension: the service refused the call with this error code, whatever the HTTP status is.
#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorCode(pub(super) i64);

/// An error as the service's response.
#[derive(Debug)]
pub(super) struct ErrorResponse(Error);

impl From<Error> for ErrorResponse {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl axum::response::IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (status, code) = usual(error.kind());
        if status == StatusCode::UNAUTHORIZED && error.error_code().is_none() {
            return unauthorized();
        }
        let status = error
            .status_code()
            .and_then(|given| StatusCode::from_u16(given).ok())
            .unwrap_or(status);
        let code = error.error_code().unwrap_or(code);
        let mut body = json!({
            "error_code": code,
            "error_message": error.message().map_or_else(|| error.kind().to_string(), str::to_owned),
        });
        if let Some(detail) = error.detail() {
            body["detail"] = detail.clone();
        }
        let mut response = json(status, &body);
        response.extensions_mut().insert(ErrorCode(code));
        if let Some(delay) = error.retry_after() {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The HTTP status and error code of errors that have none.
fn usual(kind: ErrorKind) -> (StatusCode, i64) {
    match kind {
        ErrorKind::Conflict => (StatusCode::CONFLICT, 409_001),
        // The service reports these with status 200 and an error code.
        ErrorKind::DeploymentDisabled => (StatusCode::OK, 10_002),
        ErrorKind::InsufficientFunds => (StatusCode::OK, 10_001),
        ErrorKind::InvalidArgument | ErrorKind::InvalidRequest => {
            (StatusCode::UNPROCESSABLE_ENTITY, 422_001)
        }
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, 404_001),
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, 403_003),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, 429_001),
        ErrorKind::Refused => (StatusCode::BAD_REQUEST, 400_001),
        ErrorKind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, 504_001),
        ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, 401_001),
        ErrorKind::UpstreamUnavailable => (StatusCode::SERVICE_UNAVAILABLE, 503_001),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, 500_001),
    }
}
