use rmcp::model::JsonObject;
use runcomfy_core::{CallKind, Error, ErrorKind, Operation, Outcome, RequestId, RequestResult};

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

#[test]
fn text_and_structure_carry_the_same_data() {
    let result = Reply::new("Request r1: in_queue.")
        .with("status", json!({"request_id": "r1"}))
        .shape(1024, true, false)
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
fn a_long_answer_is_whole_in_structure_and_short_in_text() {
    let nodes: Vec<_> = (0..500)
        .map(|n| json!({"node_id": n.to_string(), "class_type": "KSampler", "title": "T", "settable_inputs": {"seed": 5}}))
        .collect();
    let reply =
        Reply::new("Loaded.").with("payload_summary", json!({"workflow_node_summary": nodes}));
    let result = reply.shape(1024, true, false).result;
    let text = texts(&result)[1];
    assert!(text.contains("199 | KSampler | T | seed=5"), "{text}");
    assert!(!text.contains("200 | KSampler"), "{text}");
    assert!(text.contains("… and 300 more"), "{text}");
    assert_eq!(
        structured(&result)["payload_summary"]["workflow_node_summary"].as_array().unwrap().len(),
        500
    );
}

#[test]
fn files_become_links_that_a_client_can_open_and_nothing_else_does() {
    let mut made = RequestResult::new(RequestId::new("r1").unwrap(), "succeeded");
    made.outputs = Some(json!({"9": {"images": [
        {"url": "https://x/a.png", "filename": "a.png"},
        {"url": "javascript:alert(1)", "filename": "b.png"},
    ]}}));
    let result =
        Reply::new("Done.").with_files(made.output_files()).shape(1024, true, false).result;
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
    let old = Reply::new("Done.").with_files(made.output_files()).shape(1024, false, false).result;
    assert_eq!(old.content.len(), 2);
}

#[test]
fn an_error_says_what_is_known_and_what_to_do() {
    let error = Error::new(Operation::SubmitRequest, ErrorKind::TimedOut)
        .with_deployment_id("d1".try_into().unwrap())
        .with_attempts(1, std::time::Duration::from_secs(60));
    let result = Fault::from(error).shape().result;
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
    let result = Reply::new("a\u{202e}b\u{200b}c")
        .with("name", "x\u{e0041}y")
        .shape(1024, true, false)
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
