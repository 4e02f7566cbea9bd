//! The published interface: names, schemas, hints, size.

use runcomfy_mcp::RunComfyMcp;
use serde_json::{Value, json};

/// What the ten tools may cost a model that reads all of them. The official server spends 9,794 bytes and
/// describes no parameter; the rest is for what clients do not pass on otherwise: defaults and ranges, which
/// some cut from schemas, order and money, where instructions are withheld, and words to be found by.
const MOST_BYTES: usize = 10_500;

#[test]
fn schemas_are_what_we_published() {
    for tool in RunComfyMcp::tools() {
        insta::assert_json_snapshot!(tool.name.to_string(), tool);
    }
}

#[test]
fn there_are_the_ten_tools_of_the_contract_in_order() {
    let names: Vec<_> = RunComfyMcp::tools().iter().map(|tool| tool.name.to_string()).collect();
    let contract = [
        "call_instance_proxy",
        "cancel_request",
        "create_deployment",
        "delete_deployment",
        "get_deployment",
        "get_request_result",
        "get_request_status",
        "list_deployments",
        "submit_request",
        "update_deployment",
    ];
    assert_eq!(names, contract);
}

/// Asserted beside the snapshot: a snapshot can be accepted without reading.
#[test]
fn every_tool_says_all_four_hints_on_purpose() {
    let reads = (true, false, true, false);
    for tool in RunComfyMcp::tools() {
        let expected = match &*tool.name {
            "get_deployment" | "get_request_result" | "get_request_status" | "list_deployments" => {
                reads
            }
            "create_deployment" | "update_deployment" => (false, true, false, false),
            "call_instance_proxy" | "submit_request" => (false, true, false, true),
            "delete_deployment" => (false, true, true, false),
            "cancel_request" => (false, true, true, true),
            other => panic!("no hints are agreed for {other}"),
        };
        let hints = tool.annotations.unwrap();
        let said = (
            hints.read_only_hint,
            hints.destructive_hint,
            hints.idempotent_hint,
            hints.open_world_hint,
        );
        let (read_only, destructive, idempotent, open_world) = expected;
        assert_eq!(
            said,
            (Some(read_only), Some(destructive), Some(idempotent), Some(open_world)),
            "{}",
            tool.name
        );
        assert!(tool.title.is_some_and(|title| !title.is_empty()), "{}", tool.name);
    }
}

#[test]
fn the_list_costs_a_model_no_more_than_it_is_worth() {
    let bytes: usize = RunComfyMcp::tools()
        .into_iter()
        .map(|mut tool| {
            tool.output_schema = None;
            serde_json::to_string(&tool).unwrap().len()
        })
        .sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

#[test]
fn what_nothing_can_be_made_without_is_offered_at_once_and_the_rest_is_found() {
    for tool in RunComfyMcp::tools() {
        let meta = tool.meta.unwrap();
        match &*tool.name {
            "get_deployment" | "get_request_result" | "list_deployments" | "submit_request" => {
                assert_eq!(meta["anthropic/alwaysLoad"], true, "{}", tool.name);
            }
            _ => assert!(meta["anthropic/searchHint"].is_string(), "{}", tool.name),
        }
    }
}

#[test]
fn the_first_steps_are_found_by_what_people_want_made() {
    for tool in ["list_deployments", "submit_request"] {
        let tool = RunComfyMcp::tools().into_iter().find(|one| one.name == tool).unwrap();
        let description = tool.description.unwrap();
        for word in ["image", "picture", "video", "audio"] {
            assert!(description.contains(word), "{}: {word}", tool.name);
        }
    }
}

/// Codex takes ranges and defaults out of the schemas that its model reads.
#[test]
fn each_default_of_a_parameter_is_in_its_description() {
    for tool in RunComfyMcp::tools() {
        for (name, property) in tool.input_schema["properties"].as_object().unwrap() {
            let Some(default) = property.get("default") else { continue };
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let description = property["description"].as_str().unwrap();
            assert!(description.contains(&default), "{} {name}: {description}", tool.name);
        }
    }
}

#[test]
fn every_schema_is_plain_enough_for_every_client() {
    for tool in RunComfyMcp::tools() {
        let input = Value::Object((*tool.input_schema).clone());
        let output = Value::Object((*tool.output_schema.unwrap()).clone());
        for schema in [&input, &output] {
            assert_eq!(schema["type"], "object", "{}", tool.name);
            assert!(jsonschema::meta::is_valid(schema), "{}", tool.name);
            let text = schema.to_string();
            for clumsy in ["$ref", "$defs", "\"format\"", "[\"string\",\"null\"]", "oneOf", "anyOf"]
            {
                assert!(!text.contains(clumsy), "{} has {clumsy}", tool.name);
            }
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property.is_object(), "{} {name}", tool.name);
                let described =
                    property["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described, "{} {name} has no description", tool.name);
            }
        }
        // Two clients refuse unknown arguments by themselves where it says false, without their names.
        assert_eq!(input.get("additionalProperties"), None, "{}", tool.name);
        assert_eq!(output["required"], json!(["ok"]), "{}", tool.name);
    }
}

/// The contract's parameters with their defaults: more is welcome, less is not.
#[test]
fn the_contract_keeps_its_parameters_and_defaults() {
    let check = |tool: &str, required: &[&str], optional: &[(&str, Value)]| {
        let tool = RunComfyMcp::tools().into_iter().find(|one| one.name == tool).unwrap();
        let input = Value::Object((*tool.input_schema).clone());
        let listed = input.get("required").cloned().unwrap_or_else(|| json!([]));
        assert_eq!(listed, json!(required), "{}", tool.name);
        for (name, default) in optional {
            let property = &input["properties"][name];
            assert!(property.is_object(), "{} lacks {name}", tool.name);
            assert_eq!(&property["default"], default, "{} {name}", tool.name);
        }
    };
    let (no, null) = (json!(false), Value::Null);
    check(
        "list_deployments",
        &[],
        &[("ids", null.clone()), ("include_payload", no.clone()), ("include_readme", no.clone())],
    );
    check(
        "get_deployment",
        &["deployment_id"],
        &[("include_payload", no.clone()), ("include_readme", no.clone())],
    );
    check(
        "create_deployment",
        &["name", "workflow_id", "workflow_version"],
        &[
            ("hardware", json!("AMPERE_48")),
            ("min_instances", json!(0)),
            ("max_instances", json!(1)),
            ("queue_size", json!(1)),
            ("keep_warm_duration_in_seconds", json!(60)),
        ],
    );
    let changes =
        ["name", "workflow_version", "hardware", "min_instances", "max_instances", "queue_size"];
    let changes = changes.iter().chain(&["keep_warm_duration_in_seconds", "is_enabled"]);
    check(
        "update_deployment",
        &["deployment_id"],
        &changes.map(|name| (*name, Value::Null)).collect::<Vec<_>>(),
    );
    check("delete_deployment", &["deployment_id"], &[]);
    check(
        "submit_request",
        &["deployment_id"],
        &[
            ("overrides", null.clone()),
            ("workflow_api_json", null.clone()),
            ("extra_data", null.clone()),
            ("webhook_url", null.clone()),
            ("webhook_intermediate_status", null.clone()),
            ("wait_for_completion", no),
            ("timeout_seconds", json!(300)),
        ],
    );
    for tool in ["get_request_status", "get_request_result", "cancel_request"] {
        check(tool, &["deployment_id", "request_id"], &[]);
    }
    check(
        "call_instance_proxy",
        &["deployment_id", "instance_id", "comfy_backend_path"],
        &[("request_body", null)],
    );
}

#[test]
fn nothing_a_model_reads_is_longer_than_clients_show() {
    const SHOWN_BYTES: usize = 2048;
    for tool in RunComfyMcp::tools() {
        assert!(tool.description.unwrap().len() <= SHOWN_BYTES, "{}", tool.name);
    }
    let server = RunComfyMcp::new(
        runcomfy_mcp::AuthMode::One(std::sync::Arc::new(runcomfy_core::MockRunComfyApi::new())),
        runcomfy_mcp::Settings::default(),
    );
    let info = rmcp::ServerHandler::get_info(&server);
    assert!(info.instructions.unwrap().len() <= SHOWN_BYTES);
}
