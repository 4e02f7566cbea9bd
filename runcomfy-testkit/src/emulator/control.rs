//! The emulator's own routes: faults, scenarios and counters, for whoever tests with it.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{FromRequestParts, State},
    http::{StatusCode, header, request::Parts},
    response::Response,
    routing::get,
};
use serde_json::{Value, json};

use super::{
    faults::{FaultRule, InvalidFault, Scenario},
    routes::Served,
    wire,
};
use crate::text;

/// No answer ever allows pages of other origins to read it, and what changes anything must come as JSON,
/// which such a page may not send without asking first.
pub(super) fn routes() -> Router<Arc<Served>> {
    Router::new()
        .route("/_emulator/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_emulator/scenarios", get(scenarios).post(add_scenario))
        .route("/_emulator/counters", get(counters))
}

/// Says that the call has a body of JSON, or none but would.
pub(super) struct Json;

impl<S: Sync> FromRequestParts<S> for Json {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let said = parts.headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok());
        let said = said.and_then(|said| said.split(';').next()).unwrap_or_default().trim();
        if said.eq_ignore_ascii_case("application/json") {
            return Ok(Self);
        }
        let message = "send it with Content-Type: application/json";
        Err(wire::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!({"error": message})))
    }
}

async fn faults(State(served): State<Arc<Served>>) -> Response {
    wire::json(StatusCode::OK, &served.front.faults.to_json())
}

async fn add_fault(State(served): State<Arc<Served>>, _: Json, body: Bytes) -> Response {
    let rule = parsed(&body).and_then(|body| FaultRule::from_json(&body));
    match rule {
        Ok(rule) => {
            served.front.faults.inject(rule, None);
            rules(&served)
        }
        Err(error) => unfit(&error),
    }
}

async fn clear_faults(State(served): State<Arc<Served>>, _: Json) -> Response {
    served.front.faults.clear();
    rules(&served)
}

async fn scenarios() -> Response {
    let listed = |one: Scenario| {
        let rules: Vec<_> = one.rules().iter().map(FaultRule::to_json).collect();
        json!({"scenario": one.name(), "does": one.does(), "rules": rules})
    };
    let all: Vec<_> = Scenario::all().map(listed).collect();
    wire::json(StatusCode::OK, &json!({"scenarios": all}))
}

async fn add_scenario(State(served): State<Arc<Served>>, _: Json, body: Bytes) -> Response {
    match parsed(&body).and_then(|body| scenario(&body)) {
        Ok(scenario) => {
            served.front.faults.play(scenario);
            rules(&served)
        }
        Err(error) => unfit(&error),
    }
}

fn scenario(body: &Value) -> Result<Scenario, InvalidFault> {
    let object = body.as_object();
    let object = object.ok_or_else(|| InvalidFault::new("body", "must be a JSON object"))?;
    if let Some(key) = object.keys().find(|key| *key != "scenario") {
        return Err(InvalidFault::new(key, "is not known here"));
    }
    let name = object.get("scenario").and_then(Value::as_str);
    let name = name.ok_or_else(|| InvalidFault::new("scenario", "must be there, and be a name"))?;
    name.parse()
        .map_err(|error: super::UnknownScenario| InvalidFault::new("scenario", error.to_string()))
}

async fn counters(State(served): State<Arc<Served>>) -> Response {
    let counters = served.front.ledger.counters();
    let mut body = serde_json::to_value(&counters).unwrap_or_default();
    body["broken"] = json!(counters.broken());
    wire::json(StatusCode::OK, &body)
}

/// What a change leaves at work.
fn rules(served: &Served) -> Response {
    wire::json(StatusCode::OK, &json!({"rules": served.front.faults.listed()}))
}

fn parsed(body: &[u8]) -> Result<Value, InvalidFault> {
    serde_json::from_slice(text::json(body))
        .map_err(|error| InvalidFault::new("body", format!("is not JSON: {error}")))
}

fn unfit(error: &InvalidFault) -> Response {
    let body = json!({"error": error.to_string(), "field": error.field()});
    wire::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
}
