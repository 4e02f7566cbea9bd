//! Faults that replace the response.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde_json::json;

use super::{
    bomb,
    fault::{Fault, InvalidFault},
    table::FaultKind,
};
use crate::emulator::encode;

/// The response that replaces the correct one, if the fault does that.
pub(in crate::emulator) fn answer(fault: &Fault) -> Option<Response> {
    Some(match fault.kind() {
        FaultKind::BadGateway => page(StatusCode::BAD_GATEWAY),
        FaultKind::EmptyBody => StatusCode::OK.into_response(),
        FaultKind::EndlessBody => endless(),
        FaultKind::ErrorCode => {
            let (code, message) = (fault.number("code"), fault.text("message"));
            let body = json!({"error_code": code, "error_message": message});
            encode::json(StatusCode::OK, &body)
        }
        FaultKind::GatewayTimeout => page(StatusCode::GATEWAY_TIMEOUT),
        FaultKind::GiantHeaders => giant(fault.is("shape", "many")),
        FaultKind::GzipBomb => {
            let fields =
                [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
            (fields, bomb::zeros(fault.number("mib").unwrap_or_default())).into_response()
        }
        FaultKind::Html => page(StatusCode::OK),
        FaultKind::InternalError => internal_error(),
        FaultKind::RateLimited => {
            let body = json!({"message": "Too Many Requests"});
            waiting(StatusCode::TOO_MANY_REQUESTS, fault, &body)
        }
        FaultKind::Redirect => redirect(fault),
        FaultKind::Refused => refused(fault),
        FaultKind::TokenRevoked => encode::unauthorized(),
        FaultKind::Unavailable => {
            let body = json!({"message": "Service Unavailable"});
            waiting(StatusCode::SERVICE_UNAVAILABLE, fault, &body)
        }
        _ => return None,
    })
}

/// The response to an invalid `X-Emulator-Fault` header.
pub(in crate::emulator) fn forbidden(error: &InvalidFault) -> Response {
    let body = json!({"error": format!("x-emulator-fault: {error}")});
    encode::json(StatusCode::BAD_REQUEST, &body)
}

pub(in crate::emulator) fn internal_error() -> Response {
    let body = json!({"error_code": 500_001, "error_message": "Internal Server Error"});
    encode::json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// Error responses in the shapes of the service, its web framework, and its gateways.
fn refused(fault: &Fault) -> Response {
    let status = status(fault).unwrap_or(StatusCode::FORBIDDEN);
    let message = fault.text("message");
    let details = json!([{"loc": ["body"], "msg": message, "type": "value_error"}]);
    let numbered = json!({"error_code": fault.number("code"), "error_message": message});
    let body = match fault.text("shape").as_str() {
        "detailed" => {
            let mut body = numbered;
            body["detail"] = details;
            body
        }
        "message" => json!({"message": message}),
        "detail" => json!({"detail": message}),
        "details" => json!({"detail": details}),
        "error" => json!({"error": message}),
        "text" => return (status, message).into_response(),
        "html" => return page(status),
        "empty" => return status.into_response(),
        _ => numbered,
    };
    encode::json(status, &body)
}

fn status(fault: &Fault) -> Option<StatusCode> {
    StatusCode::from_u16(fault.text("status").parse().ok()?).ok()
}

fn waiting(status: StatusCode, fault: &Fault, body: &serde_json::Value) -> Response {
    let mut response = encode::json(status, body);
    if let Some(seconds) = fault.number("retry_after") {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An HTML page as a gateway or a captive portal sends it.
fn page(status: StatusCode) -> Response {
    let title = match status {
        StatusCode::OK => "Welcome to the network".to_owned(),
        status => status.to_string(),
    };
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         </body>\r\n</html>\r\n"
    );
    (status, [(header::CONTENT_TYPE, "text/html")], page).into_response()
}

fn redirect(fault: &Fault) -> Response {
    let mut response = status(fault).unwrap_or(StatusCode::TEMPORARY_REDIRECT).into_response();
    if let Ok(to) = HeaderValue::from_bytes(fault.text("to").as_bytes()) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// Sends one piece at a time, as fast as the peer reads.
fn endless() -> Response {
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    let body = stream::repeat_with(move || Ok::<_, Infallible>(piece.clone()));
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response()
}

const MANY_HEADERS: usize = 10_000;
const LONG_HEADER: usize = 1024 * 1024;

fn giant(many: bool) -> Response {
    let mut headers = HeaderMap::new();
    let name = HeaderName::from_static("x-filler");
    let value = if many { "filler".to_owned() } else { "f".repeat(LONG_HEADER) };
    if let Ok(value) = HeaderValue::from_str(&value) {
        for _ in 0..if many { MANY_HEADERS } else { 1 } {
            headers.append(name.clone(), value.clone());
        }
    }
    (headers, encode::json(StatusCode::OK, &json!({}))).into_response()
}
