//! What the model reads: every result of every tool, held against the published schema.

use rmcp::{
    ServiceError,
    model::{CallToolRequestParams, CallToolResult, ContentBlock, ErrorCode},
};
use runcomfy_core::{
    Error, ErrorKind, MockRunComfyApi,
    deployment::{DeletedDeployment, Deployment, UpdatedDeployment},
    error::{Operation, Outcome},
    instance::ProxyReply,
    json::NonFinite,
    request::RequestResult,
};
use runcomfy_mcp::RunComfyMcp;
use runcomfy_testkit::{FakeRunComfy, Script};
use serde_json::{Value, json};

use crate::harness::{Session, connect, texts};

fn fake() -> FakeRunComfy {
    FakeRunComfy::builder().empty().deployment("dep_1").build()
}

/// Holds a result against its tool's output schema, and its text against its structure.
#[track_caller]
fn check_valid(tool: &str, result: &CallToolResult) {
    let published = RunComfyMcp::tools().into_iter().find(|one| one.name == tool).unwrap();
    let schema = Value::Object((*published.output_schema.unwrap()).clone());
    let data = result.structured_content.as_ref().unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<_> = validator.iter_errors(data).map(|error| error.to_string()).collect();
    assert!(faults.is_empty(), "{tool}: {faults:?} in {data}");
    // Each key is one that the schema describes.
    for key in data.as_object().unwrap().keys() {
        assert!(schema["properties"][key].is_object(), "{tool} does not describe {key}");
    }
    assert_eq!(data["ok"], result.is_error == Some(false));
    let texts = texts(result);
    assert_eq!(&serde_json::from_str::<Value>(texts[1]).unwrap(), data, "{tool}");
}

async fn call(session: &Session, tool: &'static str, arguments: Value) -> Value {
    let result = session.call(tool, arguments).await;
    check_valid(tool, &result);
    assert_eq!(result.is_error, Some(false), "{tool}: {result:?}");
    result.structured_content.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_tool_answers_in_its_published_shape() {
    let session = connect(fake()).await;
    let listed = call(&session, "list_deployments", json!({})).await;
    assert_eq!(listed["deployments"][0].as_object().unwrap().len(), 13);
    let raw = call(&session, "list_deployments", json!({"include_readme": true})).await;
    assert!(raw["deployments"][0]["readme"].is_string());

    let loaded = call(
        &session,
        "get_deployment",
        json!({"deployment_id": "dep_1", "include_payload": true}),
    )
    .await;
    assert!(loaded["deployment"]["payload"]["workflow_api_json"].is_object());
    let summary = &loaded["payload_summary"];
    assert_eq!(
        summary["payload_keys"],
        json!(["object_info_url", "overrides", "workflow_api_json"])
    );
    assert!(
        summary["workflow_node_summary"]
            .as_array()
            .unwrap()
            .iter()
            .any(|node| node["class_type"] == "KSampler")
    );

    let workflow = listed["deployments"][0]["workflow_id"].clone();
    let created = call(
        &session,
        "create_deployment",
        json!({"name": "mine", "workflow_id": workflow, "workflow_version": "v1"}),
    )
    .await;
    let id = created["deployment"]["id"].clone();
    assert_eq!(created["deployment"]["hardware"], json!(["AMPERE_48"]));
    let updated = call(
        &session,
        "update_deployment",
        json!({"deployment_id": id, "keep_warm_duration_in_seconds": 0}),
    )
    .await;
    assert_eq!(updated["deployment"]["name"], "mine");
    assert_eq!(updated["deployment"]["keep_warm_duration_in_seconds"], 0);
    let deleted =
        call(&session, "delete_deployment", json!({"deployment_id": id, "confirm": true})).await;
    assert!(deleted.as_object().unwrap().contains_key("response"));

    let submitted = call(&session, "submit_request", json!({"deployment_id": "dep_1"})).await;
    assert_eq!(submitted["finished"], false);
    let ids = json!({"deployment_id": "dep_1", "request_id": submitted["request_id"]});
    let status = call(&session, "get_request_status", ids.clone()).await;
    assert_eq!(status["status"]["status"], "in_queue");
    let id = submitted["request_id"].as_str().unwrap();
    let next =
        format!("get_request_result with deployment_id=dep_1, request_id={id}, wait_seconds=45");
    assert_eq!((&status["next"], &submitted["next"]), (&json!(next), &json!(next)));
    let early = call(&session, "get_request_result", ids.clone()).await;
    assert_eq!(early["finished"], false);
    assert_eq!(early["output_urls"], json!([]));
    let cancelled = call(&session, "cancel_request", ids.clone()).await;
    assert_eq!(cancelled["cancel"]["outcome"], "cancelled");
    assert_eq!(cancelled["accepted"], true);
    let status = call(&session, "get_request_status", ids).await;
    assert_eq!((&status["state"], &status["finished"]), (&json!("cancelled"), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_waited_run_brings_its_files_and_links_to_them() {
    let session = connect(fake()).await;
    let result = session
        .call("submit_request", json!({"deployment_id": "dep_1", "wait_for_completion": true}))
        .await;
    check_valid("submit_request", &result);
    let data = result.structured_content.as_ref().unwrap();
    assert_eq!(data["state"], "succeeded");
    let file = &data["output_urls"][0];
    for key in ["node_id", "channel", "url", "filename", "subfolder", "type"] {
        assert!(file[key].is_string(), "{key}: {file}");
    }
    assert_eq!((&file["kind"], &file["mime"]), (&json!("image"), &json!("image/png")));
    let links: Vec<_> = result
        .content
        .iter()
        .filter(|block| matches!(block, ContentBlock::ResourceLink(_)))
        .collect();
    assert_eq!(links.len(), data["output_urls"].as_array().unwrap().len());
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_is_an_answer_that_says_failed_and_why() {
    let error = json!({"node_id": "3", "exception_type": "OutOfMemoryError", "exception_message": "CUDA out of memory"});
    let api = fake();
    api.next_request(Script::default().fails(error));
    let session = connect(api).await;
    let result = session
        .call("submit_request", json!({"deployment_id": "dep_1", "wait_for_completion": true}))
        .await;
    check_valid("submit_request", &result);
    assert_eq!(result.is_error, Some(false));
    assert_eq!(result.structured_content.as_ref().unwrap()["state"], "failed");
    let text = texts(&result)[0];
    assert!(
        text.contains("failed at node \"3\" (OutOfMemoryError): \"CUDA out of memory\""),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_says_what_to_change_and_what_is_known_of_its_bill() {
    let failures = [
        (json!({"type": "prompt_no_outputs", "message": "Prompt has no outputs"}), "SaveImage"),
        (
            json!({"exception_type": "OutOfMemoryError", "exception_message": "Allocation failed"}),
            "smaller",
        ),
        (json!({"type": "value_not_in_list", "message": "Value not in list"}), "before it ran"),
        (json!("something else"), "result.error"),
    ];
    for (error, advice) in failures {
        let api = fake();
        api.next_request(Script::default().fails(error.clone()));
        let session = connect(api).await;
        let submit = json!({"deployment_id": "dep_1", "wait_for_completion": true});
        let data = call(&session, "submit_request", submit).await;
        let hint = data["hint"].as_str().unwrap();
        assert!(hint.contains(advice) && hint.contains("bill"), "{error}: {hint}");
        let ids = json!({"deployment_id": "dep_1", "request_id": data["request_id"]});
        for wait in [0, 45] {
            let mut ids = ids.clone();
            ids["wait_seconds"] = wait.into();
            assert_eq!(call(&session, "get_request_result", ids).await["hint"], hint, "{wait}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_has_no_address_that_no_model_can_use() {
    let mut api = MockRunComfyApi::new();
    api.expect_get_request_status().returning(|_, _| {
        Ok(serde_json::from_value(json!({
            "request_id": "r1", "status": "in_progress", "status_url": "https://x/s",
            "result_url": "https://x/r", "cancel_url": "https://x/c", "later": 1,
        }))
        .unwrap())
    });
    let session = connect(api).await;
    let ids = json!({"deployment_id": "d1", "request_id": "r1"});
    let data = call(&session, "get_request_status", ids).await;
    assert_eq!(data["status"], json!({"request_id": "r1", "status": "in_progress", "later": 1}));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_found_by_a_part_of_its_name_in_any_case() {
    let mut api = MockRunComfyApi::new();
    api.expect_list_deployments().returning(|_| {
        let named = |name: &str| json!({"id": format!("d-{}", name.len()), "name": name});
        let all = json!([named("Flux Kontext edit"), named("SD 1.5"), {"id": "d-nameless"}, named("ÄNDERN")]);
        Ok(serde_json::from_value(all).unwrap())
    });
    let session = connect(api).await;
    for (query, found) in
        [("kontext", 1), ("FLUX", 1), ("5", 1), ("ändern", 1), ("none of them", 0), ("", 4)]
    {
        let data = call(&session, "list_deployments", json!({"query": query})).await;
        assert_eq!(data["deployments"].as_array().map(Vec::len), Some(found), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_that_a_client_has_quoted_are_read_and_the_answer_says_which() {
    let api = fake();
    let session = connect(api.clone()).await;
    let arguments = json!({
        "deployment_id": "dep_1", "overrides": r#"{"6": {"inputs": {"text": "a cat"}}}"#,
        "wait_for_completion": "true", "timeout_seconds": "240",
    });
    let data = call(&session, "submit_request", arguments).await;
    let note = data["note"].as_str().unwrap();
    for name in ["overrides", "wait_for_completion", "timeout_seconds"] {
        assert!(note.contains(name), "{note}");
    }
    assert_eq!(data["state"], "succeeded");
    let sent = api.submits_seen();
    assert_eq!(json!(sent[0].overrides)["6"]["inputs"]["text"], "a cat");
}

#[tokio::test(start_paused = true)]
async fn a_submit_that_a_client_has_quoted_is_the_same_as_one_that_it_has_not() {
    let session = connect(fake()).await;
    let overrides = json!({"6": {"inputs": {"text": "a cat"}}});
    let plain = json!({"deployment_id": "dep_1", "overrides": overrides, "idempotency_key": "k"});
    let mut quoted = plain.clone();
    quoted["overrides"] = overrides.to_string().into();
    let first = call(&session, "submit_request", plain).await;
    let again = call(&session, "submit_request", quoted).await;
    assert_eq!((&again["request_id"], &again["replayed"]), (&first["request_id"], &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn an_argument_without_effect_is_remarked_on() {
    let session = connect(fake()).await;
    let arguments = json!({"deployment_id": "dep_1", "webhook_intermediate_status": true});
    let data = call(&session, "submit_request", arguments).await;
    assert!(data["note"].as_str().is_some_and(|note| note.contains("webhook_url")), "{data}");
}

#[tokio::test(start_paused = true)]
async fn the_largest_seed_reaches_the_service_digit_by_digit() {
    let api = fake();
    let session = connect(api.clone()).await;
    let overrides = json!({"3": {"inputs": {"seed": u64::MAX}}});
    call(&session, "submit_request", json!({"deployment_id": "dep_1", "overrides": overrides}))
        .await;
    let sent = api.submits_seen();
    assert_eq!(json!(sent[0].overrides)["3"]["inputs"]["seed"], u64::MAX);
}

#[tokio::test]
async fn each_failure_of_the_service_has_kind_outcome_and_hint() {
    for kind in ErrorKind::ALL {
        let mut api = MockRunComfyApi::new();
        let kind = *kind;
        api.expect_submit_request().times(1).returning(move |request| {
            Err(Error::new(Operation::SubmitRequest, kind)
                .with_deployment_id(request.deployment_id.clone()))
        });
        let session = connect(api).await;
        let result = session.call("submit_request", json!({"deployment_id": "d1"})).await;
        check_valid("submit_request", &result);
        let data = result.structured_content.unwrap();
        assert_eq!(data["kind"], kind.as_str());
        assert_eq!(data["deployment_id"], "d1");
        assert!(data["hint"].as_str().is_some_and(|hint| hint.len() > 10), "{data}");
    }
}

#[tokio::test]
async fn what_is_not_known_of_a_submit_is_said_plainly() {
    let mut api = MockRunComfyApi::new();
    api.expect_submit_request().times(1).returning(|_| {
        Err(Error::new(Operation::SubmitRequest, ErrorKind::TimedOut)
            .with_outcome(Outcome::Unknown))
    });
    let data = connect(api).await.fault("submit_request", json!({"deployment_id": "d1"})).await;
    assert_eq!((&data["outcome"], &data["retryable"]), (&json!("unknown"), &json!(false)));
}

#[tokio::test]
async fn whatever_comfyui_answers_is_shown() {
    let answers = [
        (ProxyReply::Empty, Value::Null),
        (ProxyReply::Json(json!([1, "two"])), json!([1, "two"])),
        (ProxyReply::Json(json!(7)), json!(7)),
        (ProxyReply::Json(Value::Null), Value::Null),
        (ProxyReply::Json(json!({"error_code": 5})), json!({"error_code": 5})),
        (ProxyReply::Text("plain".into()), json!("plain")),
        (
            ProxyReply::Binary { content_type: Some("image/png".into()), bytes: vec![0; 2048] },
            json!({"content_type": "image/png", "bytes": 2048}),
        ),
    ];
    for (answer, shown) in answers {
        let mut api = MockRunComfyApi::new();
        api.expect_call_instance_proxy().times(1).return_once(move |_| Ok(answer));
        let session = connect(api).await;
        let arguments =
            json!({"deployment_id": "d1", "instance_id": "i1", "comfy_backend_path": "api/free"});
        assert_eq!(call(&session, "call_instance_proxy", arguments).await["response"], shown);
    }
}

#[tokio::test]
async fn the_note_says_where_numbers_that_json_lacks_became_null() {
    let nulls = |path: &str| NonFinite::new(vec![path.to_owned()]);
    let mut api = MockRunComfyApi::new();
    api.expect_get_deployment().returning(move |id, _| {
        let mut found = Deployment::new(id.clone());
        found.non_finite = Some(nulls("payload.cfg"));
        Ok(found)
    });
    api.expect_list_deployments().returning(move |_| {
        let mut found = Deployment::new("d2".parse().unwrap());
        found.non_finite = Some(nulls("payload.seed"));
        Ok(vec![Deployment::new("d1".parse().unwrap()), found])
    });
    api.expect_get_request_result().returning(move |_, id| {
        let mut result = RequestResult::new(id.clone(), "succeeded");
        result.non_finite = Some(nulls("outputs.9.score"));
        Ok(result)
    });
    api.expect_call_instance_proxy().returning(move |_| {
        let value = json!({"KSampler": {"max": null}});
        Ok(ProxyReply::JsonWithNulls { value, non_finite: nulls("KSampler.max") })
    });
    api.expect_submit_request().returning(move |_| {
        Err(Error::new(Operation::SubmitRequest, ErrorKind::InvalidRequest)
            .with_detail(json!([{"max": null}]))
            .with_non_finite(nulls("detail[0].max")))
    });
    let session = connect(api).await;
    let ids = json!({"deployment_id": "d1", "request_id": "r1"});
    let proxy = json!({"deployment_id": "d1", "instance_id": "i1", "comfy_backend_path": "queue"});
    for (tool, arguments, path) in [
        ("get_deployment", json!({"deployment_id": "d1"}), "payload.cfg"),
        ("list_deployments", json!({"include_payload": true}), "d2: "),
        ("get_request_result", ids, "outputs.9.score"),
        ("call_instance_proxy", proxy, "KSampler.max"),
        ("submit_request", json!({"deployment_id": "d1"}), "detail[0].max"),
    ] {
        let result = session.call(tool, arguments).await;
        check_valid(tool, &result);
        let data = result.structured_content.unwrap();
        let note = data["note"].as_str().unwrap();
        assert!(note.contains(path) && note.contains("became null"), "{tool}: {note}");
    }
}

#[tokio::test]
async fn a_panic_is_told_by_a_name_to_look_for_and_leaves_the_server_alive() {
    // A mock without expectations panics when it is called.
    let session = connect(MockRunComfyApi::new()).await;
    let call = CallToolRequestParams::new("list_deployments");
    let Err(ServiceError::McpError(error)) = session.client().call_tool(call).await else {
        panic!("a broken call has no result");
    };
    assert_eq!(error.code, ErrorCode::INTERNAL_ERROR);
    let data = error.data.unwrap();
    assert_eq!((&data["kind"], &data["outcome"]), (&json!("internal"), &json!("unknown")));
    let error_id = data["error_id"].as_str().unwrap();
    assert!(error_id.len() == 16 && error.message.contains(error_id), "{}", error.message);
    assert_eq!(session.client().list_all_tools().await.unwrap().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_found_out_after_a_lost_answer_is_said() {
    let mut api = MockRunComfyApi::new();
    api.expect_delete_deployment().returning(|_| Ok(DeletedDeployment::already()));
    api.expect_update_deployment().returning(|id, _| {
        let mut updated = UpdatedDeployment::new(Deployment::new(id.clone()));
        updated.found_applied = true;
        Ok(updated)
    });
    let session = connect(api).await;
    let deleted =
        call(&session, "delete_deployment", json!({"deployment_id": "dep_1", "confirm": true}))
            .await;
    assert_eq!(deleted["already_deleted"], true);
    let pause = json!({"deployment_id": "dep_1", "is_enabled": false});
    let updated = call(&session, "update_deployment", pause).await;
    assert_eq!(updated["found_applied"], true);
}
