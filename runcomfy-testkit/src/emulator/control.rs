//! The control API below `/_emulator/`: faults, scenarios and counters.

use std::sync::Arc;

use axum::{
    Router, body::Bytes, extract::State, http::StatusCode, response::Response, routing::get,
};
use serde_json::{Value, json};

use super::{
    app_state::{AppState, RequireJson},
    encode,
    faults::{FaultRule, InvalidFault, Scenario, UnknownScenario},
};
use crate::text;

/// No response allows cross-origin reads, and changes require JSON, which a page of another origin cannot
/// send without a preflight.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/_emulator/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_emulator/scenarios", get(scenarios).post(add_scenario))
        .route("/_emulator/counters", get(counters))
}

async fn faults(State(state): State<Arc<AppState>>) -> Response {
    encode::json(StatusCode::OK, &state.shared.faults.to_json())
}

async fn add_fault(State(state): State<Arc<AppState>>, _: RequireJson, body: Bytes) -> Response {
    let rule = parsed(&body).and_then(|body| FaultRule::from_json(&body));
    match rule {
        Ok(rule) => {
            state.shared.faults.inject(rule, None);
            rules(&state)
        }
        Err(error) => unprocessable(&error),
    }
}

async fn clear_faults(State(state): State<Arc<AppState>>, _: RequireJson) -> Response {
    state.shared.faults.clear();
    rules(&state)
}

async fn scenarios() -> Response {
    let listed = |one: Scenario| {
        let rules: Vec<_> = one.rules().iter().map(FaultRule::to_json).collect();
        json!({"scenario": one.name(), "does": one.does(), "rules": rules})
    };
    let all: Vec<_> = Scenario::all().map(listed).collect();
    encode::json(StatusCode::OK, &json!({"scenarios": all}))
}

async fn add_scenario(State(state): State<Arc<AppState>>, _: RequireJson, body: Bytes) -> Response {
    match parsed(&body).and_then(|body| scenario(&body)) {
        Ok(scenario) => {
            state.shared.faults.play(scenario);
            rules(&state)
        }
        Err(error) => unprocessable(&error),
    }
}

fn scenario(body: &Value) -> Result<Scenario, InvalidFault> {
    let object = body.as_object();
    let object = object.ok_or_else(|| InvalidFault::new("body", "must be a JSON object"))?;
    if let Some(key) = object.keys().find(|key| *key != "scenario") {
        return Err(InvalidFault::new(key, "is unknown"));
    }
    let name = object.get("scenario").and_then(Value::as_str);
    let name =
        name.ok_or_else(|| InvalidFault::new("scenario", "is required and must be a name"))?;
    name.parse().map_err(|error: UnknownScenario| InvalidFault::new("scenario", error.to_string()))
}

async fn counters(State(state): State<Arc<AppState>>) -> Response {
    let counters = state.shared.call_log.counters();
    let mut body = serde_json::to_value(&counters).unwrap_or_default();
    body["broken"] = json!(counters.broken());
    encode::json(StatusCode::OK, &body)
}

/// The response to a change: the active rules.
fn rules(state: &AppState) -> Response {
    encode::json(StatusCode::OK, &json!({"rules": state.shared.faults.listed()}))
}

fn parsed(body: &[u8]) -> Result<Value, InvalidFault> {
    serde_json::from_slice(text::json(body))
        .map_err(|error| InvalidFault::new("body", format!("is not JSON: {error}")))
}

fn unprocessable(error: &InvalidFault) -> Response {
    let body = json!({"error": error.to_string(), "field": error.field()});
    encode::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
}
