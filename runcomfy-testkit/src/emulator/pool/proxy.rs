//! Passes proxy calls on to a ComfyUI server.

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use runcomfy_core::{Error, ErrorKind, error::Operation, instance::ProxyCall};

use super::Pool;
use crate::{
    account::service_error,
    comfyui::{self, ProxyAnswer, ProxyBody, ProxyError},
    emulator::encode,
    fake::FakeRunComfy,
};

const OPERATION: Operation = Operation::CallInstanceProxy;

impl Pool {
    /// Passes a call on to the server behind this instance.
    pub(in crate::emulator) async fn pass_on(
        &self,
        fake: &FakeRunComfy,
        call: &ProxyCall,
        method: &Method,
        query: Option<&str>,
        body: ProxyBody<'_>,
    ) -> Result<Response, encode::ErrorResponse> {
        let (deployment, instance) = (&call.deployment_id, &call.instance_id);
        let number = fake.machine(deployment, instance);
        let Some(server) = number.and_then(|number| self.server(number)) else {
            let error = service_error::instance_not_found(instance);
            return Err(error.with_deployment_id(deployment.clone()).into());
        };
        let method =
            if *method == Method::GET { comfyui::Method::Get } else { comfyui::Method::Post };
        let ids = fake.prompt_ids();
        let own = |id: &str| ids.contains(id);
        match server.proxy(method, &call.path, query, body, own).await {
            Ok(answer) => Ok(to_response(answer)),
            Err(ProxyError::Refused(why)) => {
                // 405 and not 403, because another token would not help.
                Err(Error::new(OPERATION, ErrorKind::Refused)
                    .with_status_code(405)
                    .with_error_code(405_001)
                    .with_message(why)
                    .into())
            }
            Err(ProxyError::Server(error)) => {
                Err(Error::new(OPERATION, ErrorKind::UpstreamUnavailable)
                    .with_status_code(502)
                    .with_message(error.to_string())
                    .into())
            }
        }
    }
}

fn to_response(answer: ProxyAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    match answer.content_type {
        Some(content_type) => {
            (status, [(header::CONTENT_TYPE, content_type)], answer.bytes).into_response()
        }
        None => (status, Body::from(answer.bytes)).into_response(),
    }
}
