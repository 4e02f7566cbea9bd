//! Bad arguments: a clear error that names the argument, and no call made.

use runcomfy_core::MockRunComfyApi;
use serde_json::{Value, json};

use crate::harness::{connect, texts};

/// Calls with arguments that must be refused, on a service that panics when it is called at all.
async fn check(tool: &'static str, cases: &[(Value, &str)]) {
    let session = connect(MockRunComfyApi::new()).await;
    for (arguments, named) in cases {
        let result = session.call(tool, arguments.clone()).await;
        let text = texts(&result)[0].to_owned();
        let data = result.structured_content.unwrap();
        assert_eq!(data["kind"], "invalid_argument", "{tool} {arguments}: {data}");
        assert_eq!(data["outcome"], "not_sent", "{tool} {arguments}");
        let faults = data["invalid_arguments"].as_array().unwrap();
        assert!(
            faults.iter().any(|fault| fault["argument"] == *named),
            "{tool} {arguments}: {data}"
        );
        assert!(text.contains(&format!("`{named}`")), "{tool} {arguments}: {text}");
        assert!(text.len() < 1000, "{tool}: {} bytes", text.len());
    }
    // The server lives on.
    assert_eq!(session.client().list_all_tools().await.unwrap().len(), 10);
}

/// Ids that would lead elsewhere, were they ever put into a URL.
fn hostile_ids() -> Vec<Value> {
    let long = "a".repeat(129);
    let ids = [
        "",
        " ",
        ".",
        "..",
        "%2e%2e",
        "../../v2/deployments/x",
        "a/b",
        "a\\..\\b",
        "x?webhook=https://evil",
        "x#f",
        "a\nb",
        "a\r\nHost: evil",
        "a\0b",
        "//evil.com",
        "https://evil.com/x",
        "．．",
        "{d1}",
        &long,
    ];
    ids.iter()
        .map(|id| json!(id))
        .chain([json!(5), json!(["d1"]), json!({}), json!(true)])
        .collect()
}

/// The cases every id argument has: missing, null and hostile. `rest` are the other arguments.
fn id_cases<'a>(name: &'a str, rest: &Value) -> Vec<(Value, &'a str)> {
    let with = |value: Option<Value>| {
        let mut arguments = rest.clone();
        if let Some(value) = value {
            arguments[name] = value;
        }
        (arguments, name)
    };
    [with(None), with(Some(Value::Null))]
        .into_iter()
        .chain(hostile_ids().into_iter().map(|id| with(Some(id))))
        .collect()
}

#[tokio::test]
async fn list_deployments_refuses_bad_arguments() {
    let mut cases = vec![
        (json!({"ids": "d1"}), "ids"),
        (json!({"ids": vec!["d1"; 101]}), "ids"),
        (json!({"include_payload": "yes"}), "include_payload"),
        (json!({"include_payloads": true}), "include_payloads"),
    ];
    cases.extend(hostile_ids().into_iter().map(|id| (json!({"ids": ["d1", id]}), "ids")));
    check("list_deployments", &cases).await;
}

#[tokio::test]
async fn get_deployment_refuses_bad_arguments() {
    let mut cases = id_cases("deployment_id", &json!({}));
    cases.push((json!({"deployment_id": "d1", "include_readme": 1}), "include_readme"));
    cases.push((json!({"deploymentid": "d1"}), "deploymentid"));
    check("get_deployment", &cases).await;
}

#[tokio::test]
async fn create_deployment_refuses_bad_arguments() {
    let good = json!({"name": "n", "workflow_id": "w1", "workflow_version": "v1"});
    let with = |name: &'static str, value: Value| {
        let mut arguments = good.clone();
        arguments[name] = value;
        (arguments, name)
    };
    let mut cases = id_cases("workflow_id", &json!({"name": "n", "workflow_version": "v1"}));
    cases.extend([
        (json!({"workflow_id": "w1", "workflow_version": "v1"}), "name"),
        with("name", json!("")),
        with("name", json!("x".repeat(10_000))),
        with("workflow_version", Value::Null),
        with("hardware", json!("RTX_9090")),
        with("hardware", json!("ampere_48")),
        with("hardware", json!(["AMPERE_48"])),
        with("min_instances", json!(31)),
        with("min_instances", json!(-1)),
        with("min_instances", json!(2)), // above max_instances
        with("max_instances", json!(0)),
        with("max_instances", json!(61)),
        with("max_instances", json!(1.5)),
        with("max_instances", json!("three")),
        with("queue_size", json!(-1)),
        with("keep_warm_duration_in_seconds", json!(1_000_000_000)),
        with("max_instance", json!(9)),
        with("max_instances", json!(true)),
        with("name", json!("a\u{7}b")),
    ]);
    check("create_deployment", &cases).await;
}

#[tokio::test]
async fn update_deployment_refuses_bad_arguments() {
    let mut cases = id_cases("deployment_id", &json!({"is_enabled": true}));
    cases.extend([
        (json!({"deployment_id": "d1"}), "deployment_id"),
        (json!({"deployment_id": "d1", "name": null}), "deployment_id"),
        (json!({"deployment_id": "d1", "name": ""}), "deployment_id"),
        (json!({"deployment_id": "d1", "name": "null"}), "name"),
        (json!({"deployment_id": "d1", "name": "a\u{1b}[31mb"}), "name"),
        (json!({"deployment_id": "d1", "max_instances": 61}), "max_instances"),
        (json!({"deployment_id": "d1", "min_instances": 5, "max_instances": 4}), "min_instances"),
        (json!({"deployment_id": "d1", "is_enabled": "no"}), "is_enabled"),
        (json!({"deployment_id": "d1", "enabled": false}), "enabled"),
    ]);
    check("update_deployment", &cases).await;
}

#[tokio::test]
async fn delete_deployment_refuses_bad_arguments() {
    let mut cases = id_cases("deployment_id", &json!({}));
    cases.push((json!({"deployment_id": "d1", "force": true}), "force"));
    check("delete_deployment", &cases).await;
}

#[tokio::test]
async fn submit_request_refuses_bad_arguments() {
    let with = |name: &'static str, value: Value| {
        let mut arguments = json!({"deployment_id": "d1"});
        arguments[name] = value;
        (arguments, name)
    };
    let mut cases = id_cases("deployment_id", &json!({}));
    cases.extend([
        with("overrides", json!("a cat")),
        with("overrides", json!([1])),
        with("overrides", json!({"6": "a cat"})),
        with("overrides", json!({"6": {"inputs": "a cat"}})),
        with("overrides", json!({"6": {"text": "a cat"}})), // would be ignored, and billed
        with(
            "overrides",
            serde_json::from_str(r#"{"3": {"inputs": {"seed": 18446744073709551616}}}"#).unwrap(),
        ),
        with("workflow_api_json", json!({"nodes": [], "links": [], "version": 0.4})),
        with("workflow_api_json", json!({"1": {"inputs": {}}})),
        with("extra_data", json!("key")),
        with("webhook_url", json!("http://example.com/hook")),
        with("webhook_url", json!("ftp://example.com")),
        with("webhook_url", json!("https://127.1/hook")),
        with("webhook_url", json!("https://metadata.google.internal/")),
        with("webhook_url", json!("example.com")),
        with("webhook_url", json!("https://user:pass@example.com")),
        with("webhook_url", json!("https://example.com/#f")),
        with("webhook_url", json!(format!("https://example.com/{}", "x".repeat(2048)))),
        with("webhook_intermediate_status", json!("yes")),
        with("wait_for_completion", json!("1")),
        with("idempotency_key", json!("null")),
        with("idempotency_key", json!("undefined")),
        with("idempotency_key", json!("None")),
        with("timeout_seconds", json!(-1)),
        with("timeout_seconds", json!(14_401)),
        with("timeout_seconds", json!(u64::MAX)),
        with("timeout_seconds", json!("five minutes")),
        with("override", json!({})),
    ]);
    check("submit_request", &cases).await;
}

#[tokio::test]
async fn a_whole_request_in_place_of_a_graph_is_told_where_in_it_the_graph_is() {
    let graph = json!({"9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}});
    let session = connect(MockRunComfyApi::new()).await;
    for (request, at) in [
        (json!({"prompt": graph, "client_id": "c"}), "`prompt`"),
        (json!({"input": {"workflow": graph}}), "`input.workflow`"),
    ] {
        let arguments = json!({"deployment_id": "d1", "workflow_api_json": request});
        let fault = session.fault("submit_request", arguments).await;
        assert_eq!(
            (&fault["kind"], &fault["outcome"]),
            (&json!("invalid_argument"), &json!("not_sent"))
        );
        let rule = fault["invalid_arguments"][0]["rule"].as_str().unwrap();
        assert!(rule.contains(at), "{rule}");
    }
}

#[tokio::test]
async fn the_questions_about_a_request_refuse_bad_arguments() {
    for tool in ["get_request_status", "get_request_result", "cancel_request"] {
        let mut cases = id_cases("deployment_id", &json!({"request_id": "r1"}));
        cases.extend(id_cases("request_id", &json!({"deployment_id": "d1"})));
        cases.push((
            json!({"deployment_id": "d1", "request_id": "r1", "requestId": "r1"}),
            "requestId",
        ));
        check(tool, &cases).await;
    }
}

#[tokio::test]
async fn call_instance_proxy_refuses_bad_arguments() {
    let rest = json!({"instance_id": "i1", "comfy_backend_path": "api/free"});
    let mut cases = id_cases("deployment_id", &rest);
    cases.extend(id_cases(
        "instance_id",
        &json!({"deployment_id": "d1", "comfy_backend_path": "api/free"}),
    ));
    let base = json!({"deployment_id": "d1", "instance_id": "i1"});
    for path in [
        "",
        "/",
        "../../escape",
        "api/../x",
        "api/./x",
        "api/%2e%2e/x",
        "//evil.com/x",
        "https://evil.com/x",
        "api//free",
        "api/free?x=1",
        "api/free#x",
        "api\\free",
        "api/free\r\nX: y",
        "api/ free",
        "api/😀",
        "api/a\0b",
        &["a"; 17].join("/"),
        &"a/".repeat(513),
    ] {
        let mut arguments = base.clone();
        arguments["comfy_backend_path"] = json!(path);
        cases.push((arguments, "comfy_backend_path"));
    }
    cases.push((json!({"deployment_id": "d1", "instance_id": "i1", "comfy_backend_path": "api/free", "request_body": [1]}), "request_body"));
    cases.push((json!({"deployment_id": "d1", "instance_id": "i1", "comfy_backend_path": "api/free", "body": {}}), "body"));
    check("call_instance_proxy", &cases).await;
}

#[tokio::test]
async fn a_misspelt_argument_is_told_the_right_one() {
    let session = connect(MockRunComfyApi::new()).await;
    let data =
        session.fault("update_deployment", json!({"deployment_id": "d1", "max_instance": 9})).await;
    assert_eq!(
        data["invalid_arguments"][0],
        json!({"argument": "max_instance", "rule": "is not known; did you mean `max_instances`?"})
    );
}

#[tokio::test]
async fn a_wrong_value_of_three_megabytes_is_not_sent_back() {
    let session = connect(MockRunComfyApi::new()).await;
    let data = session
        .fault(
            "submit_request",
            json!({"deployment_id": "d1", "timeout_seconds": "x".repeat(3 << 20)}),
        )
        .await;
    assert!(data.to_string().len() < 1000);
}

#[tokio::test]
async fn routes_that_install_code_are_refused_unless_allowed() {
    let session = connect(MockRunComfyApi::new()).await;
    for path in ["customnode/install/git_url", "api/Manager/reboot", "v2/manager/queue/start"] {
        let arguments =
            json!({"deployment_id": "d1", "instance_id": "i1", "comfy_backend_path": path});
        let data = session.fault("call_instance_proxy", arguments).await;
        assert_eq!(data["kind"], "policy_denied", "{path}");
        assert_eq!(data["outcome"], "not_sent", "{path}");
    }
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error_that_lists_those_there_are() {
    let session = connect(MockRunComfyApi::new()).await;
    let request = rmcp::model::CallToolRequestParams::new("make_picture");
    match session.client().call_tool(request).await.unwrap_err() {
        rmcp::ServiceError::McpError(error) => {
            assert_eq!(error.code, rmcp::model::ErrorCode::INVALID_PARAMS);
            assert_eq!(error.data.unwrap().as_array().unwrap().len(), 10);
        }
        other => panic!("{other}"),
    }
}
