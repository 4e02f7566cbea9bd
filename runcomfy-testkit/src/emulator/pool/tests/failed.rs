//! Tests of failed runs and their results.

use super::*;

async fn failed(server: &Replay, name: &str) -> (Emulator, Asked, Value) {
    let emulator = emulator(&[server]).await;
    let request = Caller::of(&emulator).submit(name).await;
    // Accepted and completed; only the result tells the failure.
    assert_eq!(request.is("completed").await["request_id"], request.id.as_str());
    let result = request.result().await;
    assert_eq!(result["status"], "failed", "{result}");
    (emulator, request, result)
}

async fn failure(server: &Replay, name: &str) -> Value {
    let (_emulator, _, mut result) = failed(server, name).await;
    result["error"].take()
}

#[tokio::test]
async fn a_graph_that_does_not_validate_names_each_node_with_its_faults() {
    let error = failure(&Replay::of("validation_error"), "validation_error").await;
    assert_eq!(error["type"], "prompt_outputs_failed_validation");
    assert_eq!((&error["node_id"], &error["node_type"]), (&json!("1"), &json!("EmptyImage")));
    let recorded = Recording::load("validation_error").answer;
    let nodes = recorded["node_errors"].as_object().unwrap();
    let told = error["node_errors"].as_object().unwrap();
    assert!(nodes.keys().eq(told.keys()), "{error}");
    for (id, node) in nodes {
        let kinds = |node: &Value| {
            let errors = node["errors"].as_array().unwrap().iter();
            errors.map(|error| error["type"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&told[id]), kinds(node), "{id}");
    }
}

#[tokio::test]
async fn a_node_that_fails_is_named_with_its_cause() {
    let error = failure(&Replay::of("runtime_error"), "runtime_error").await;
    for (key, expected) in [
        ("type", "OSError"),
        ("message", "Truncated File Read"),
        ("node_id", "3"),
        ("node_type", "LoadImage"),
    ] {
        assert_eq!(error[key], expected, "{key}");
    }
}

/// The server reports success, but the requested image is missing.
#[tokio::test]
async fn a_graph_that_was_taken_in_part_has_failed() {
    let node_errors = json!({"9": {
        "errors": [{"type": "value_not_in_list", "message": "m", "details": "d", "extra_info": {}}],
        "dependent_outputs": ["9"],
        "class_type": "SaveImage",
    }});
    let changes = Changes { node_errors: Some(node_errors), ..Changes::default() };
    let server = Replay::changed(Recording::load("invert"), changes);
    let error = failure(&server, "invert").await;
    assert_eq!(error["type"], "prompt_outputs_failed_validation");
    assert_eq!((&error["node_id"], &error["node_type"]), (&json!("9"), &json!("SaveImage")));
}

#[tokio::test]
async fn what_other_branches_made_is_beside_the_error() {
    let server = Replay::of("runtime_error");
    let (_emulator, request, result) = failed(&server, "runtime_error").await;
    assert!(result["error"].is_object(), "{result}");
    let view = &Recording::load("runtime_error").views[0];
    let item = &result["outputs"]["2"]["images"][0];
    assert_eq!(item["filename"], view.item["filename"], "{result}");
    let path = format!("GET {}", item["url"].as_str().unwrap());
    let file = request.caller.call(&path, None).await;
    assert_eq!((file.status, file.bytes), (200, view.bytes.clone()));
}

#[tokio::test]
async fn one_that_made_nothing_has_no_outputs() {
    let server = Replay::of("validation_error");
    let (_emulator, _, result) = failed(&server, "validation_error").await;
    assert_eq!(result.get("outputs"), None, "{result}");
}
