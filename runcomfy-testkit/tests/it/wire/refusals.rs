//! Every error response: those of the service itself, and at every endpoint those on demand.

use std::time::Duration;

use runcomfy_testkit::{Emulator, FakeRunComfy};
use serde_json::{Value, json};

use super::{ENDPOINTS, QUEUES, World, shape::shape, under_every_prefix};
use crate::http::{Reply, call, call_as, call_with_fault};

fn numbered(status: u16, code: i64) -> (u16, Value) {
    (status, json!({"error_code": code, "error_message": "text"}))
}

/// With the list of validation errors.
fn detailed(code: i64) -> (u16, Value) {
    let detail = json!([{"loc": ["text"], "msg": "text", "type": "text"}]);
    (422, json!({"error_code": code, "error_message": "text", "detail": detail}))
}

/// The shape of an error response with its error code.
fn refused(reply: &Reply) -> (u16, Value) {
    let body = reply.json();
    let mut shaped = shape(&body);
    if let Some(code) = body.get("error_code") {
        shaped["error_code"] = code.clone();
    }
    (reply.status, shaped)
}

#[tokio::test]
async fn without_a_token_every_endpoint_says_unauthorized_in_plain_text() {
    let world = World::new().await;
    for what in ENDPOINTS.iter().flat_map(|endpoint| under_every_prefix(endpoint)) {
        let reply = call_as(&world.emulator, None, &world.fill(&what), None).await;
        assert_eq!((reply.status, reply.text()), (401, "Unauthorized"), "{what}");
        assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_number() {
    let world = World::new().await;
    let mut calls = vec![
        "GET /prod/v2/deployments/{unknown}".to_owned(),
        "PATCH /prod/v2/deployments/{unknown}".to_owned(),
        "DELETE /prod/v2/deployments/{unknown}".to_owned(),
        "POST /prod/v2/deployments/{unknown}/instances/{instance}/proxy/free".to_owned(),
        "POST /prod/v2/deployments/{deployment}/instances/{unknown}/proxy/free".to_owned(),
    ];
    for queue in QUEUES {
        calls.push(format!("POST {queue}/deployments/{{unknown}}/inference"));
        for action in ["GET status", "GET result", "POST cancel"] {
            let (method, action) = action.split_once(' ').unwrap();
            for deployment in ["deployment", "unknown"] {
                calls.push(format!(
                    "{method} {queue}/deployments/{{{deployment}}}/requests/{{unknown}}/{action}"
                ));
            }
        }
    }
    for what in calls {
        let body = (!what.starts_with("GET")).then(|| json!({"name": "n"}));
        let reply = call(&world.emulator, &world.fill(&what), body).await;
        assert_eq!(refused(&reply), numbered(404, 404_001), "{what}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_listed() {
    let world = World::new().await;
    let list = "/prod/v2/deployments";
    let mut calls = vec![
        (format!("GET {list}?includes=everything"), None),
        (format!("GET {list}/{{deployment}}?includes=everything"), None),
        (format!("GET {list}?ids=a%2Fb"), None),
        (format!("POST {list}"), Some(json!([]))),
        (format!("PATCH {list}/{{deployment}}"), Some(json!({"name": 7}))),
        (
            format!("POST {list}/{{deployment}}/instances/{{instance}}/proxy/free"),
            Some(json!("not an object")),
        ),
    ];
    for queue in QUEUES {
        let inference = format!("POST {queue}/deployments/{{deployment}}/inference");
        calls.push((inference.clone(), None));
        calls.push((format!("{inference}?webhook=nowhere"), Some(json!({}))));
        for field in ["overrides", "workflow_api_json", "extra_data", "webhook"] {
            calls.push((inference.clone(), Some(json!({field: [1]}))));
        }
    }
    for (what, body) in calls {
        let reply = call(&world.emulator, &world.fill(&what), body).await;
        assert_eq!(refused(&reply), detailed(422_001), "{what}");
    }
}

#[tokio::test]
async fn a_deployment_that_can_not_run_refuses_by_number_with_status_200() {
    let world = World::new().await;
    world.get("DELETE /prod/v2/deployments/{to_delete}").await;
    let broke = FakeRunComfy::builder().balance_usd(0.0).cold_start(Duration::ZERO).build();
    let broke = Emulator::start(broke).await.unwrap();
    for queue in QUEUES {
        let inference =
            |id: &str| world.fill(&format!("POST {queue}/deployments/{{{id}}}/inference"));
        for (emulator, id, code) in [
            (&broke, "deployment", 10_001),
            (&world.emulator, "paused", 10_002),
            (&world.emulator, "to_delete", 10_003),
        ] {
            let reply = call(emulator, &inference(id), Some(json!({}))).await;
            assert_eq!(refused(&reply), numbered(200, code), "{id}");
        }
    }
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused_as_the_framework_does() {
    let world = World::new().await;
    for (what, status, detail) in [
        ("GET /prod/v3/deployments", 404, "Not Found"),
        ("GET /prod/v1/deployments", 404, "Not Found"),
        ("PUT /prod/v2/deployments", 405, "Method Not Allowed"),
        ("GET /prod/v1/deployments/{deployment}/inference", 405, "Method Not Allowed"),
        (
            "GET /prod/v2/deployments/{deployment}/instances/{instance}/proxy/queue",
            405,
            "Method Not Allowed",
        ),
    ] {
        let reply = world.get(what).await;
        assert_eq!((reply.status, reply.json()), (status, json!({"detail": detail})), "{what}");
    }
}

/// Each error response on demand: the fault, the status, and the shape of the body. Text bodies are given by
/// content type.
fn on_demand() -> Vec<(&'static str, u16, Value)> {
    let numbered = |code: i64| json!({"error_code": code, "error_message": "text"});
    let detail = json!([{"loc": ["text"], "msg": "text", "type": "text"}]);
    let message = json!({"message": "text"});
    vec![
        ("refused(status=401,code=401001)", 401, numbered(401_001)),
        ("refused(status=401,shape=text,message=Unauthorized)", 401, json!("text/plain")),
        ("refused(status=402,shape=message)", 402, message.clone()),
        ("refused", 403, numbered(403_003)),
        ("refused(shape=message)", 403, message.clone()),
        ("refused(status=404,code=404001)", 404, numbered(404_001)),
        ("refused(status=404,shape=detail)", 404, json!({"detail": "text"})),
        ("refused(status=409,shape=error)", 409, json!({"error": "text"})),
        (
            "refused(status=422,code=422001,shape=detailed)",
            422,
            json!({"error_code": 422_001, "error_message": "text", "detail": detail}),
        ),
        ("refused(status=422,shape=details)", 422, json!({"detail": detail})),
        ("rate_limited", 429, message.clone()),
        ("internal_error", 500, numbered(500_001)),
        ("refused(status=500,shape=empty)", 500, Value::Null),
        ("bad_gateway", 502, json!("text/html")),
        ("unavailable", 503, message),
        ("gateway_timeout(effect=none)", 504, json!("text/html")),
        ("error_code(code=10001)", 200, numbered(10_001)),
        ("error_code(code=10002)", 200, numbered(10_002)),
        ("error_code(code=10003)", 200, numbered(10_003)),
        ("error_code(code=11004)", 200, numbered(11_004)),
    ]
}

#[tokio::test]
async fn every_endpoint_can_refuse_in_every_shape() {
    let world = World::new().await;
    for what in ENDPOINTS.iter().flat_map(|endpoint| under_every_prefix(endpoint)) {
        for (fault, status, wanted) in on_demand() {
            let reply = call_with_fault(&world.emulator, fault, &world.fill(&what)).await;
            assert_eq!(reply.status, status, "{what} with {fault}");
            match &wanted {
                Value::Null => assert_eq!(reply.text(), "", "{what} with {fault}"),
                Value::String(content_type) => {
                    let said = reply.header("content-type").unwrap();
                    assert!(said.starts_with(content_type), "{what} with {fault}: {said}");
                }
                wanted => assert_eq!(refused(&reply).1, *wanted, "{what} with {fault}"),
            }
        }
    }
    assert_eq!(world.emulator.counters().broken(), [""; 0]);
}
