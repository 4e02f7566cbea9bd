use rmcp::model::JsonObject;
use runcomfy_core::{
    Error, ErrorKind, RequestId,
    error::{CallKind, Operation, Outcome},
    request::RequestResult,
};

use super::*;

fn texts(result: &CallToolResult) -> Vec<&str> {
    result
        .content
        .iter()
        .filter_map(|block| block.as_text().map(|text| text.text.as_str()))
        .collect()
}

fn structured(result: &CallToolResult) -> &JsonObject {
    result.structured_content.as_ref().unwrap().as_object().unwrap()
}

fn format(limit: usize, links: bool, puts_in: bool) -> Format {
    Format { limit, links, puts_in, whole_workflows: true }
}

#[test]
fn text_and_structure_carry_the_same_data() {
    let result = ToolResult::new("Request r1: in_queue.")
        .with("status", json!({"request_id": "r1"}))
        .render(format(1024, true, false))
        .result;
    let texts = texts(&result);
    assert_eq!(texts[0], "Request r1: in_queue.");
    assert_eq!(
        serde_json::from_str::<Value>(texts[1]).unwrap(),
        Value::Object(structured(&result).clone())
    );
    assert_eq!(result.is_error, Some(false));
}

#[test]
fn both_copies_of_a_long_answer_are_short_and_the_same() {
    let texts_made: Vec<_> = (0..50).map(|n| format!("{n} {}", "t".repeat(3000))).collect();
    let reply = ToolResult::new("Result.")
        .with("state", "succeeded")
        .all_at("runcomfy://deployments/d/requests/r".to_owned())
        .with("result", json!({"outputs": {"9": {"text": texts_made}}}));
    let result = reply.render(format(10 * 1024, true, true)).result;
    let data = structured(&result);
    let text = texts(&result)[1];
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), Value::Object(data.clone()));
    assert!(text.len() <= 10 * 1024, "{} bytes", text.len());
    assert_eq!((&data["state"], &data["truncated"]), (&json!("succeeded"), &json!(true)));
    assert!(data["note"].as_str().unwrap().contains("runcomfy://deployments/d/requests/r"));
}

/// A deployment with a graph of so many bytes.
fn with_graph(bytes: usize) -> ToolResult {
    let mut reply = ToolResult::new("Loaded.");
    let graph = RawJson::new(&json!({"6": {"inputs": {"text": "x".repeat(bytes), "cfg": 8.0}}}));
    let payload = reply.defer(graph.unwrap(), "runcomfy://deployments/d/workflow".to_owned());
    reply
        .with("deployment", json!({"id": "d", "payload": payload}))
        .with("payload_summary", json!({"workflow_node_summary": [{"node_id": "6"}]}))
}

#[test]
fn a_long_graph_is_in_the_structured_content_only_and_last() {
    let result = with_graph(50_000).render(format(10 * 1024, true, false)).result;
    let data = structured(&result);
    assert_eq!(
        data["deployment"]["payload"]["6"]["inputs"]["text"].as_str().unwrap().len(),
        50_000
    );
    assert_eq!(data.keys().next_back().map(String::as_str), Some("deployment"));
    let text: Value = serde_json::from_str(texts(&result)[1]).unwrap();
    assert_eq!(text["payload_summary"], data["payload_summary"]);
    let instead = text["deployment"]["payload"].as_str().unwrap();
    assert!(instead.contains("runcomfy://deployments/d/workflow"), "{instead}");
}

#[test]
fn for_an_assistant_that_cuts_long_data_a_long_graph_is_in_neither_copy() {
    let format = Format { whole_workflows: false, ..format(10 * 1024, true, true) };
    let shaped = with_graph(50_000).render(format);
    assert!(shaped.left_out.is_empty(), "nothing is put in on the way");
    let text: Value = serde_json::from_str(texts(&shaped.result)[1]).unwrap();
    assert_eq!(text, Value::Object(structured(&shaped.result).clone()));
    assert!(texts(&shaped.result)[1].len() < 1024);
}

#[test]
fn a_short_graph_is_in_both_copies() {
    let result = with_graph(50).render(format(10 * 1024, true, false)).result;
    let text: Value = serde_json::from_str(texts(&result)[1]).unwrap();
    assert_eq!(text["deployment"]["payload"]["6"]["inputs"]["text"].as_str().unwrap().len(), 50);
}

#[test]
fn numbers_without_a_fraction_are_integers_in_text_and_data() {
    let result = ToolResult::new("x")
        .with("settable", json!({"cfg": 8.0, "denoise": 0.5, "list": [1.0]}))
        .render(format(1024, true, false))
        .result;
    let shown = r#""settable":{"cfg":8,"denoise":0.5,"list":[1]}"#;
    assert!(texts(&result)[1].contains(shown), "{}", texts(&result)[1]);
    let data = serde_json::to_string(&result.structured_content).unwrap();
    assert!(data.contains(shown), "{data}");
    let graph = with_graph(5).render(format(10 * 1024, true, false)).result;
    assert!(texts(&graph)[1].contains(r#""cfg":8}"#), "{}", texts(&graph)[1]);
}

#[test]
fn rows_of_deployments_stay_whole_in_the_structured_content_and_are_lines_in_text() {
    let rows: Vec<_> = (0..200)
        .map(|n| json!({"id": format!("d{n}"), "name": "n".repeat(200), "status": "standby", "hardware": ["AMPERE_48"]}))
        .collect();
    let result = ToolResult::new("Found.")
        .with("deployments", rows.clone())
        .render(format(10 * 1024, true, false))
        .result;
    assert_eq!(structured(&result)["deployments"], json!(rows));
    let text = texts(&result)[1];
    assert!(text.len() <= 10 * 1024, "{} bytes", text.len());
    assert!(text.contains("- d0 ") && text.contains(" more"), "{text}");
}

#[test]
fn files_become_links_that_a_client_can_open_and_nothing_else_does() {
    let mut made = RequestResult::new(RequestId::new("r1").unwrap(), "succeeded");
    made.outputs = Some(json!({"9": {"images": [
        {"url": "https://x/a.png", "filename": "a.png"},
        {"url": "javascript:alert(1)", "filename": "b.png"},
    ]}}));
    let result = ToolResult::new("Done.")
        .with_files(made.output_files())
        .render(format(1024, true, false))
        .result;
    let links: Vec<_> = result
        .content
        .iter()
        .filter_map(
            |block| if let ContentBlock::ResourceLink(link) = block { Some(link) } else { None },
        )
        .map(|link| (link.uri.as_str(), link.mime_type.as_deref()))
        .collect();
    assert_eq!(links, [("https://x/a.png", Some("image/png"))]);
    assert_eq!(structured(&result)["output_urls"].as_array().unwrap().len(), 2);
    let old = ToolResult::new("Done.")
        .with_files(made.output_files())
        .render(format(1024, false, false))
        .result;
    assert_eq!(old.content.len(), 2);
}

#[test]
fn an_error_says_what_is_known_and_what_to_do() {
    let error = Error::new(Operation::SubmitRequest, ErrorKind::TimedOut)
        .with_deployment_id("d1".try_into().unwrap())
        .with_attempts(1, std::time::Duration::from_secs(60));
    let result = ToolError::from(error).render(format(1024, true, false)).result;
    assert_eq!(result.is_error, Some(true));
    let data = structured(&result);
    assert_eq!(data["ok"], false);
    assert_eq!(data["kind"], "timed_out");
    assert_eq!(data["outcome"], "unknown");
    assert_eq!(data["retryable"], false);
    assert_eq!(data["deployment_id"], "d1");
    assert!(texts(&result)[0].contains("\nhint: A run may have started"), "{:?}", texts(&result));
}

#[test]
fn what_hides_or_reorders_text_is_not_shown() {
    let result = ToolResult::new("a\u{202e}b\u{200b}c")
        .with("name", "x\u{e0041}y")
        .render(format(1024, true, false))
        .result;
    assert_eq!(texts(&result)[0], "abc");
    assert!(texts(&result)[1].contains("\"xy\""));
    assert_eq!(structured(&result)["name"], "xy");
    assert_eq!(structured(&result)["removed_characters"], 1);
}

#[test]
fn every_failure_has_a_hint_and_no_hint_advises_a_second_payment() {
    for kind in ErrorKind::ALL {
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                let error = Error::new(*operation, *kind).with_outcome(*outcome);
                let text = hint(*kind, *operation, *outcome, None);
                assert!(text.len() > 10 && text != "See `message`.", "{error}");
                if operation.call_kind() == CallKind::Paid && *outcome == Outcome::Unknown {
                    let careless = [
                        "epeat the call",
                        "ubmit again:",
                        "all again",
                        "othing was",
                        "nothing runs",
                    ];
                    let found = careless.iter().find(|advice| text.contains(**advice));
                    assert_eq!(found, None, "{error}: {text}");
                    assert!(text.contains("may have"), "{error}: {text}");
                }
            }
        }
    }
}
