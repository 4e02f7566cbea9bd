//! A handshake that MCP's library can't read: completed where the server can do without what is missing, and
//! otherwise refused with the name of the field.
//!
//! Only the name of the client is used of what it says of itself, and that in no decision. A revision that is not
//! said is taken to be the one that MCP has servers assume where a request over HTTP names none.

use rmcp::{
    ErrorData,
    model::{ClientCapabilities, Implementation, InitializeRequestParams, ProtocolVersion},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The method's name.
pub(crate) const METHOD: &str = "initialize";

/// The revision that a client is taken to speak which does not say.
pub(crate) const UNSAID: ProtocolVersion = ProtocolVersion::V_2025_03_26;

/// What a client is called that does not say.
const UNKNOWN: &str = "unknown";

/// The parameters of a handshake, with what can be done without filled in; `unsaid` is the revision of a client
/// that names none.
///
/// # Errors
/// A field is of a wrong type: the error names it.
pub(crate) fn complete(
    params: Option<Value>,
    unsaid: &ProtocolVersion,
) -> Result<InitializeRequestParams, ErrorData> {
    let mut params = match params {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(wrong("params", "an object")),
    };
    // Null says as much as nothing.
    params.retain(|_, value| !value.is_null());
    fill_in(&mut params, "protocolVersion", json!(unsaid));
    fill_in(&mut params, "capabilities", json!({}));
    fill_in(&mut params, "clientInfo", json!({}));
    if let Some(Value::Object(client)) = params.get_mut("clientInfo") {
        client.retain(|_, value| !value.is_null());
        fill_in(client, "name", UNKNOWN.into());
        fill_in(client, "version", UNKNOWN.into());
    }
    let broken = find_broken(&params);
    serde_json::from_value(Value::Object(params))
        .map_err(|_| broken.unwrap_or_else(|| wrong("params", "what `initialize` takes")))
}

fn fill_in(map: &mut Map<String, Value>, key: &str, value: Value) {
    map.entry(key).or_insert(value);
}

/// The first field that is not what it must be.
fn find_broken(params: &Map<String, Value>) -> Option<ErrorData> {
    let nothing = Value::Null;
    let of = |key: &str| params.get(key).unwrap_or(&nothing);
    if !of("protocolVersion").is_string() {
        return Some(wrong("protocolVersion", "text, such as \"2025-11-25\""));
    }
    if !matches!(of("_meta"), Value::Null | Value::Object(_)) {
        return Some(wrong("_meta", "an object"));
    }
    let client = json!({"name": UNKNOWN, "version": UNKNOWN});
    broken_in::<ClientCapabilities>("capabilities", of("capabilities"), &json!({}))
        .or_else(|| broken_in::<Implementation>("clientInfo", of("clientInfo"), &client))
}

/// The same within one of them: each of its fields is read beside a `rest` that is right.
fn broken_in<T: DeserializeOwned>(name: &str, value: &Value, rest: &Value) -> Option<ErrorData> {
    let Value::Object(fields) = value else { return Some(wrong(name, "an object")) };
    let breaks = |key: &str, field: &Value| {
        let mut alone = rest.clone();
        alone[key] = field.clone();
        serde_json::from_value::<T>(alone).is_err()
    };
    let (key, field) = fields.iter().find(|(key, field)| breaks(key, field))?;
    let must =
        if field.is_string() || !rest[key].is_string() { "what MCP has there" } else { "text" };
    Some(wrong(&format!("{name}.{key}"), must))
}

/// Names are MCP's own: a field that it does not know breaks nothing.
fn wrong(field: &str, must: &str) -> ErrorData {
    let message = format!("{METHOD}: {field} must be {must}");
    ErrorData::invalid_params(message, Some(json!({ "field": field })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stays_as_it_is() {
        let said = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {"roots": {"listChanged": true}},
            "clientInfo": {"name": "client", "version": "1", "title": "Client"},
        });
        let params = complete(Some(said.clone()), &UNSAID).unwrap();
        assert_eq!(json!(params), said);
    }

    #[test]
    fn fields_that_mcp_does_not_know_are_no_fault_and_are_not_repeated() {
        let said =
            json!({"protocolVersion": "2025-06-18", "processId": [], "clientInfo": {"shoe": {}}});
        assert_eq!(complete(Some(said), &UNSAID).unwrap().client_info.name, UNKNOWN);
    }
}
