//! Runs that fail, and what their results say of it.

use super::*;

async fn failure(server: &Replay, name: &str) -> Value {
    let emulator = emulator(&[server]).await;
    let request = Caller::of(&emulator).submit(name).await;
    // Taken on, over, and only the result tells that it failed.
    assert_eq!(request.is("completed").await["request_id"], request.id.as_str());
    let mut result = request.result().await;
    assert_eq!(result["status"], "failed", "{result}");
    assert!(result.get("outputs").is_none_or(Value::is_null), "{result}");
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

/// The server says that all went well. The picture that was wanted is not there.
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

/// Partial files are on the disk, but at no address.
#[tokio::test]
async fn what_a_failed_run_made_is_not_served() {
    let server = Replay::of("runtime_error");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let request = caller.submit("runtime_error").await;
    request.is("completed").await;
    assert_eq!(count(&server, "GET /view"), 1);
    let item = &Recording::load("runtime_error").views[0].item;
    let name = item["filename"].as_str().unwrap();
    let path = format!("GET deployment_requests/{}/output/{name}", request.id);
    assert_eq!(caller.call(&path, None).await.status, 404);
}
