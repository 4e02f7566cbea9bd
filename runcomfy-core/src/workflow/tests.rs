use serde_json::json;

use super::*;

fn graph() -> Workflow {
    Workflow::from_value(json!({
        "3": {"class_type": "KSampler", "inputs": {"seed": 18_446_744_073_709_551_615_u64, "model": ["4", 0]}},
        "38:42": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}, "_meta": {"title": "Prompt"}},
    }))
    .unwrap()
}

#[test]
fn a_graph_shows_its_nodes_links_and_values() {
    let graph = graph();
    let ids: Vec<_> = graph.nodes().map(|node| node.id()).collect();
    assert_eq!(ids, ["3", "38:42"]);
    let sampler = graph.node("3").unwrap();
    assert_eq!(sampler.input("model"), Some(NodeInput::Link { node_id: "4", slot: 0 }));
    assert_eq!(sampler.settable_inputs().collect::<Vec<_>>(), [("seed", &json!(u64::MAX))]);
    assert_eq!(graph.node("38:42").unwrap().title(), Some("Prompt"));
}

#[test]
fn the_largest_seed_keeps_every_digit() {
    let text = serde_json::to_string(&graph()).unwrap();
    assert!(text.contains("18446744073709551615"), "{text}");
    assert_eq!(serde_json::from_str::<Workflow>(&text).unwrap(), graph());
}

#[test]
fn what_is_no_graph_in_api_format_is_refused_by_name() {
    let check = |value, expected| assert_eq!(Workflow::from_value(value).unwrap_err(), expected);
    check(json!({"nodes": [], "links": [], "version": 0.4}), WorkflowError::UiFormat);
    check(json!([]), WorkflowError::NotAGraph);
    check(json!({}), WorkflowError::NotAGraph);
    check(json!({"1": {"inputs": {}}}), WorkflowError::BadNode { node_id: "1".into() });
    check(json!({"1": {"class_type": "A"}}), WorkflowError::BadNode { node_id: "1".into() });
    check(json!({"1": 5}), WorkflowError::BadNode { node_id: "1".into() });
}

#[test]
fn a_request_in_place_of_a_graph_is_told_where_the_graph_is() {
    let graph = json!({"9": {"class_type": "SaveImage", "inputs": {}}});
    for (request, at) in [
        (json!({"prompt": graph, "client_id": "c1"}), "prompt"),
        (json!({"input": {"workflow": graph, "images": []}}), "input.workflow"),
        (
            json!({"input": {"modifier": "RawWorkflow", "workflow_json": graph}}),
            "input.workflow_json",
        ),
        (
            json!({"file_type": "x", "workflows": [{"json": {"t": 1}, "workflowApiJSON": graph}]}),
            "workflows[0].workflowApiJSON",
        ),
        (json!([5, {"prompt": graph}]), "[1].prompt"),
    ] {
        let error = Workflow::from_value(request).unwrap_err();
        assert_eq!(error, WorkflowError::Wrapped { at: at.into() });
    }
}

#[test]
fn a_graph_with_a_broken_node_is_no_request_though_a_node_looks_like_one() {
    let broken = json!({"1": {"class_type": "A", "inputs": {}}, "2": {"inputs": {}}});
    let error = Workflow::from_value(broken).unwrap_err();
    assert_eq!(error, WorkflowError::BadNode { node_id: "2".into() });
}
