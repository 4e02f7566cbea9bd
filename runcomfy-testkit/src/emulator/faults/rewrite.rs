//! Faults that change the correct response.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, header, response::Parts},
    response::Response,
};
use serde_json::{Value, json};

use super::{fault::Fault, table::FaultKind};

/// Changes the correct response as the fault requires. Returns it unchanged if the fault does not apply.
pub(in crate::emulator) async fn rewrite(fault: &Fault, right: Response) -> Response {
    match fault.kind() {
        FaultKind::CanceledSpelling => edited(right, |body| respell(body, "canceled")).await,
        FaultKind::CancelledSpelling => edited(right, |body| respell(body, "cancelled")).await,
        FaultKind::UnknownFields => edited(right, add_fields).await,
        FaultKind::UnknownStatus => {
            let word = fault.text("word");
            edited(right, |body| {
                if let Some(status) = body.get_mut("status") {
                    *status = json!(word);
                }
            })
            .await
        }
        FaultKind::WrongContentType => {
            let (mut parts, body) = right.into_parts();
            if let Ok(wrong) = HeaderValue::from_bytes(fault.text("type").as_bytes()) {
                parts.headers.insert(header::CONTENT_TYPE, wrong);
            }
            Response::from_parts(parts, body)
        }
        _ => right,
    }
}

async fn edited(right: Response, edit: impl FnOnce(&mut Value)) -> Response {
    let (parts, body) = right.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(mut body) => {
            edit(&mut body);
            with_body(parts, body.to_string())
        }
        Err(_) => Response::from_parts(parts, Body::from(bytes)),
    }
}

fn with_body(mut parts: Parts, body: String) -> Response {
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

/// Adds fields to an object, or to each object of a list.
fn add_fields(body: &mut Value) {
    match body {
        Value::Array(items) => items.iter_mut().for_each(add_fields),
        Value::Object(fields) => {
            fields.insert("x_unheard_of".to_owned(), json!({"nested": [1, null, {"deep": true}]}));
            fields.insert("schema_version".to_owned(), json!(99));
        }
        _ => {}
    }
}

/// Changes the spelling of status and outcome.
fn respell(body: &mut Value, spelling: &str) {
    for key in ["status", "outcome"] {
        if let Some(word) = body.get_mut(key)
            && (*word == "cancelled" || *word == "canceled")
        {
            *word = json!(spelling);
        }
    }
}
