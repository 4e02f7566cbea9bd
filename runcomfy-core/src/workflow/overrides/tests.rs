use proptest::prelude::*;
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
fn an_override_replaces_one_input_and_leaves_the_rest() {
    let merged = graph()
        .with_overrides(&Overrides::new().set("38:42", "text", "a dog").set("3", "cfg", 4.5))
        .unwrap();
    assert_eq!(merged.node("38:42").unwrap().inputs()["text"], "a dog");
    assert_eq!(merged.node("38:42").unwrap().title(), Some("Prompt"));
    assert_eq!(merged.node("3").unwrap().inputs()["seed"], u64::MAX);
    assert_eq!(merged.node("3").unwrap().inputs()["cfg"], 4.5);
}

#[test]
fn an_override_of_a_node_that_is_not_there_is_refused() {
    let error = graph().with_overrides(&Overrides::new().set("99", "text", "x")).unwrap_err();
    assert_eq!(error, WorkflowError::UnknownNode { node_id: "99".into() });
}

#[test]
fn an_override_that_would_break_a_node_is_refused() {
    let overrides = Overrides::from_value(json!({"3": {"class_type": 5}})).unwrap();
    let error = graph().with_overrides(&overrides).unwrap_err();
    assert_eq!(error, WorkflowError::BadNode { node_id: "3".into() });
}

#[test]
fn overrides_are_objects_of_objects() {
    let check = |value, node_id: Option<&str>| {
        let expected = WorkflowError::BadOverrides { node_id: node_id.map(str::to_owned) };
        assert_eq!(Overrides::from_value(value).unwrap_err(), expected);
    };
    check(json!("text"), None);
    check(json!({"6": "a cat"}), Some("6"));
    check(json!({"6": {"inputs": "a cat"}}), Some("6"));
    let stray = Overrides::from_value(json!({"6": {"text": "a cat"}})).unwrap_err();
    assert_eq!(stray, WorkflowError::StrayKey { node_id: "6".into(), key: "text".into() });
}

#[test]
fn debug_shows_no_values() {
    let secret = Overrides::new().set("6", "image", "data:image/png;base64,SECRET");
    assert_eq!(format!("{secret:?}"), r#"Overrides(["6"])"#);
    let graph = graph().with_overrides(&secret.clone()).unwrap_err();
    assert_eq!(graph, WorkflowError::UnknownNode { node_id: "6".into() });
}

proptest! {
    #[test]
    fn an_override_sets_what_it_names_and_nothing_else(name in "[a-z]{1,8}", value in any::<i64>()) {
        let overrides = Overrides::new().set("3", name.clone(), value);
        let merged = graph().with_overrides(&overrides).unwrap();
        let before = graph();
        for (input, old) in before.node("3").unwrap().inputs() {
            if *input != name {
                prop_assert_eq!(&merged.node("3").unwrap().inputs()[input], old);
            }
        }
        prop_assert_eq!(&merged.node("3").unwrap().inputs()[&name], &Value::from(value));
        prop_assert_eq!(merged.node("38:42").unwrap().inputs(), before.node("38:42").unwrap().inputs());
    }
}
