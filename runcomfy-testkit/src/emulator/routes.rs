//! The API's routes: each handler decodes the call, runs it on the caller's fake, and encodes the response.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, RawQuery, State},
    http::{StatusCode, Uri, header},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use runcomfy_core::{DeploymentId, Error, RequestId, RunComfyApi as _, error::Operation};
use serde_json::{Value, json};

use super::{
    app_state::{AppState, Caller, MAX_BODY_BYTES},
    control,
    decode::{self, deployment_id},
    encode::{self, AcceptedRequest},
    files, middleware, overview, page, proxy,
};
use crate::{account::service_error, samples, script::Script};

type HandlerResult = Result<Response, encode::ErrorResponse>;

pub(super) fn router(state: AppState) -> Router {
    let state = Arc::new(state);
    let mut router = Router::new()
        .merge(page::router())
        .route("/healthz", get(healthz))
        .route("/object_info.json", get(object_info))
        .route("/deployment_requests/{request_id}/{kind}/{*path}", get(files::output_file))
        .route("/prod/v2/balance", get(get_balance))
        .route("/prod/v2/deployments", get(list_deployments).post(create_deployment))
        .route(
            "/prod/v2/deployments/{deployment_id}",
            get(get_deployment).patch(update_deployment).delete(delete_deployment),
        )
        .route(
            "/prod/v2/deployments/{deployment_id}/instances/{instance_id}/proxy/{*path}",
            post(proxy::call_instance_proxy).get(proxy::get_instance_proxy),
        );
    // The queue moved from v1 to v2 and is served under both.
    for version in ["v1", "v2"] {
        let path = |rest: &str| format!("/prod/{version}/deployments/{{deployment_id}}/{rest}");
        router = router
            .route(&path("inference"), post(submit_request))
            .route(&path("requests/{request_id}/status"), get(get_request_status))
            .route(&path("requests/{request_id}/result"), get(get_request_result))
            .route(&path("requests/{request_id}/cancel"), post(cancel_request));
    }
    router
        .merge(control::routes())
        .merge(overview::routes())
        .fallback(async || encode::json(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"})))
        .method_not_allowed_fallback(async || {
            encode::json(StatusCode::METHOD_NOT_ALLOWED, &json!({"detail": "Method Not Allowed"}))
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), middleware::handle))
        .with_state(state)
}

async fn get_balance(Caller(fake): Caller) -> Response {
    encode::json(StatusCode::OK, &encode::balance(fake.balance()))
}

async fn list_deployments(Caller(fake): Caller, RawQuery(query): RawQuery) -> HandlerResult {
    let found = fake.list_deployments(&decode::list(query.as_deref())?).await?;
    let written: Vec<_> = found.iter().map(encode::deployment).collect();
    Ok(encode::json(StatusCode::OK, &Value::Array(written)))
}

async fn get_deployment(
    Caller(fake): Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> HandlerResult {
    const OPERATION: Operation = Operation::GetDeployment;
    let include = decode::include(OPERATION, query.as_deref())?;
    let found = fake.get_deployment(&deployment_id(OPERATION, &id)?, include).await?;
    Ok(encode::json(StatusCode::OK, &encode::deployment(&found)))
}

async fn create_deployment(Caller(fake): Caller, body: Bytes) -> HandlerResult {
    let created = fake.create_deployment(&decode::create(&body)?).await?;
    Ok(encode::json(StatusCode::OK, &encode::deployment(&created)))
}

async fn update_deployment(
    Caller(fake): Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> HandlerResult {
    let id = deployment_id(Operation::UpdateDeployment, &id)?;
    let updated = fake.update_deployment(&id, &decode::update(&body)?).await?;
    Ok(encode::json(StatusCode::OK, &encode::deployment(&updated.deployment)))
}

async fn delete_deployment(Caller(fake): Caller, Path(id): Path<String>) -> HandlerResult {
    let id = deployment_id(Operation::DeleteDeployment, &id)?;
    fake.delete_deployment(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn submit_request(
    State(state): State<Arc<AppState>>,
    Caller(fake): Caller,
    script: Option<Extension<Script>>,
    uri: Uri,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> HandlerResult {
    let id = deployment_id(Operation::SubmitRequest, &id)?;
    let request = decode::inference(id.clone(), query.as_deref(), &body)?;
    let submitted = match script {
        None => fake.submit_request(&request).await?,
        Some(Extension(script)) => fake.submit_scripted(&request, script).await?,
    };
    if let Some(notifier) = state.notifier.as_ref().filter(|_| request.webhook.is_some()) {
        notifier.watch(&fake);
    }
    let addresses = encode::Addresses::new(&state.base, &uri, &id, &submitted.request_id);
    let written = encode::submission(&submitted.request_id, &addresses);
    let mut answer = encode::json(StatusCode::OK, &written);
    answer.extensions_mut().insert(AcceptedRequest(submitted.request_id));
    Ok(answer)
}

async fn get_request_status(
    State(state): State<Arc<AppState>>,
    Caller(fake): Caller,
    uri: Uri,
    Path((deployment, request)): Path<(String, String)>,
) -> HandlerResult {
    let (deployment, request) = ids(Operation::GetRequestStatus, &deployment, &request)?;
    let status = fake.get_request_status(&deployment, &request).await?;
    let addresses = encode::Addresses::new(&state.base, &uri, &deployment, &request);
    Ok(encode::json(StatusCode::OK, &encode::status(&request, &status, &addresses)))
}

async fn get_request_result(
    Caller(fake): Caller,
    Path((deployment, request)): Path<(String, String)>,
) -> HandlerResult {
    let (deployment, request) = ids(Operation::GetRequestResult, &deployment, &request)?;
    let result = fake.get_request_result(&deployment, &request).await?;
    Ok(encode::json(StatusCode::OK, &encode::result(&request, &result)))
}

async fn cancel_request(
    Caller(fake): Caller,
    Path((deployment, request)): Path<(String, String)>,
) -> HandlerResult {
    let (deployment, request) = ids(Operation::CancelRequest, &deployment, &request)?;
    let cancelled = fake.cancel_request(&deployment, &request).await?;
    Ok(encode::json(StatusCode::ACCEPTED, &encode::cancellation(&request, &cancelled)))
}

async fn healthz() -> Response {
    encode::json(StatusCode::OK, &json!({"ok": true, "service": "runcomfy-emulator"}))
}

async fn object_info(State(state): State<Arc<AppState>>) -> Response {
    if let Some(pool) = &state.pool {
        return match pool.object_info().await {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Err(why) => encode::json(
                StatusCode::BAD_GATEWAY,
                &json!({"error_code": 502_001, "error_message": why}),
            ),
        };
    }
    ([(header::CONTENT_TYPE, "application/json")], samples::OBJECT_INFO).into_response()
}

fn ids(
    operation: Operation,
    deployment: &str,
    request: &str,
) -> Result<(DeploymentId, RequestId), Error> {
    let request = RequestId::new(request);
    Ok((
        deployment_id(operation, deployment)?,
        request.map_err(|_| service_error::missing(operation, "Request not found"))?,
    ))
}
