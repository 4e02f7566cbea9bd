//! Tests of graphs that a server refuses or accepts only in part.

use super::{
    recording::{names, sample},
    replay::Changes,
    *,
};
use crate::comfyui::{
    api::Reply,
    failure,
    submit::{self, SubmitError},
};

/// The type of the failure and its node. `None` if the graph was accepted.
type Expected = Option<(&'static str, Option<&'static str>)>;

/// The failure for each recorded response.
const ANSWERS: [(&str, Expected); 51] = {
    const ERROR: Expected = Some(("comfyui_error", None));
    const fn of(node: &'static str) -> Expected {
        Some(("prompt_outputs_failed_validation", Some(node)))
    }
    const NO_CLASS: Expected = Some(("missing_node_type", Some("1")));
    const NO_OUTPUTS: Expected = Some(("prompt_no_outputs", None));
    const NO_PROMPT: Expected = Some(("no_prompt", None));
    const BAD_ID: Expected = Some(("invalid_prompt_id", None));
    [
        ("p01_not_json", ERROR),
        ("p02_empty_body", ERROR),
        ("p03_json_array", NO_PROMPT),
        ("p04_no_prompt_key", NO_PROMPT),
        ("p05_prompt_empty_object", NO_OUTPUTS),
        ("p06_prompt_null", ERROR),
        ("p07_prompt_string", ERROR),
        ("p08_prompt_list", ERROR),
        ("p09_node_not_object", ERROR),
        ("p10_node_without_class_type", NO_CLASS),
        ("p11_unknown_class", NO_CLASS),
        ("p12_unknown_class_with_title", NO_CLASS),
        ("p13_no_outputs", NO_OUTPUTS),
        ("p14_node_without_inputs", of("1")),
        ("p15_output_node_without_inputs", of("2")),
        ("p16_required_missing", of("2")),
        ("p17_link_to_missing_node", of("2")),
        ("p18_link_slot_out_of_range", of("2")),
        ("p19_bad_link_length", of("2")),
        ("p20_type_mismatch", of("2")),
        ("p21_int_not_a_number", of("1")),
        ("p22_int_null", of("1")),
        ("p23_int_as_numeric_string_ok", None),
        ("p24_int_as_float_ok", None),
        ("p25_too_small", of("1")),
        ("p26_too_big", of("1")),
        ("p27_not_in_list", of("3")),
        ("p28_load_image_missing_file", of("1")),
        ("p29_checkpoint_missing", of("1")),
        ("p30_cycle", of("1")),
        // Accepted in part, so the failure comes with the end of the run.
        ("p31_one_good_one_bad_output", None),
        ("p32_prompt_id_not_uuid", BAD_ID),
        ("p33_prompt_id_upper_uuid", BAD_ID),
        ("p34_prompt_id_uuid_ok", None),
        ("p35_prompt_id_number", BAD_ID),
        ("p36_wrong_content_type_ok", None),
        ("p37_no_content_type_ok", None),
        ("p38_extra_unknown_input_ok", None),
        ("p39_partial_targets", None),
        ("p40_partial_targets_unknown", NO_OUTPUTS),
        ("p41_number_and_front", None),
        ("p42_front_true", None),
        ("p43_number_not_numeric", ERROR),
        ("p44_extra_data_not_object", ERROR),
        ("p45_lone_surrogate", None),
        ("p46_nan", of("1")),
        ("p47_bom", ERROR),
        ("p48_dup_keys", None),
        ("p49_api_prefix_ok", None),
        ("p50_ui_format_workflow", ERROR),
        ("p51_path_traversal_prefix", None),
    ]
};

#[test]
fn each_answer_to_a_graph_is_a_failure_or_an_id() {
    let listed: Vec<_> = ANSWERS.iter().map(|(name, _)| format!("{name}.json")).collect();
    assert_eq!(names("errors"), listed);
    let server = Server::new("http://127.0.0.1:9".parse().unwrap(), impatient()).unwrap();
    for (name, expected) in ANSWERS {
        let recorded = sample(&format!("errors/{name}.json"));
        let response = &recorded["response"];
        let bytes = match &response["body"] {
            Value::String(text) => text.clone().into_bytes(),
            // Not valid JSON, as Python writes it.
            body if name == "p46_nan" => body
                .to_string()
                .replace("\"received_value\":null", "\"received_value\":NaN")
                .into_bytes(),
            body => body.to_string().into_bytes(),
        };
        let status = response["status"].as_u64().unwrap() as u16;
        let failure = match submit::read(&server.api, &Reply { status, content_type: None, bytes })
        {
            Ok(accepted) => {
                assert_eq!(accepted.prompt_id, response["body"]["prompt_id"], "{name}");
                assert_eq!(
                    Value::Object(accepted.node_errors),
                    response["body"]["node_errors"],
                    "{name}"
                );
                None
            }
            Err(SubmitError::Graph(failure)) => Some(failure),
            Err(SubmitError::Comfy(error)) => Some(failure::of_submit(ID, &error)),
            Err(SubmitError::Unknown(error)) => panic!("{name}: {error}"),
        };
        let got = failure.as_ref().map(|failure| {
            assert!(failure["message"].is_string(), "{name}: {failure}");
            (failure["type"].as_str().unwrap(), failure["node_id"].as_str())
        });
        assert_eq!(got, expected, "{name}");
    }
}

#[tokio::test]
async fn a_bad_input_is_told_with_its_node_and_all_that_is_wrong() {
    let (outcome, ..) = run(&Replay::of("validation_error")).await;
    let failure = failure(&outcome);
    let recorded = Recording::load("validation_error").answer;
    assert_eq!(failure["node_errors"], recorded["node_errors"]);
    assert_eq!(failure["message"], recorded["error"]["message"]);
    assert_eq!(failure["node_id"], "1");
}

/// ComfyUI reports success.
#[tokio::test]
async fn a_graph_taken_in_part_fails_with_what_it_made() {
    let node_errors =
        sample("errors/p31_one_good_one_bad_output.json")["response"]["body"]["node_errors"]
            .clone();
    let changes = Changes { node_errors: Some(node_errors.clone()), ..Changes::default() };
    let (outcome, _, folder) = run(&Replay::changed(Recording::load("invert"), changes)).await;
    let Outcome::Failed { error, outputs, files } = outcome else { panic!("{outcome:?}") };
    assert_eq!((&error["node_id"], &error["node_type"]), (&json!("4"), &json!("PreviewImage")));
    assert_eq!(error["node_errors"], node_errors);
    assert_eq!(outputs.keys().collect::<Vec<_>>(), ["3"]);
    assert_eq!(contents(&files, folder.path()).len(), 1);
}

/// The node that failed is named, before those that were not run.
#[tokio::test]
async fn a_graph_taken_in_part_that_breaks_tells_both() {
    let node_errors =
        json!({"9": {"errors": [], "dependent_outputs": ["9"], "class_type": "SaveImage"}});
    let changes = Changes { node_errors: Some(node_errors.clone()), ..Changes::default() };
    let (outcome, ..) = run(&Replay::changed(Recording::load("runtime_error"), changes)).await;
    let failure = failure(&outcome);
    assert_eq!((&failure["type"], &failure["node_id"]), (&json!("OSError"), &json!("3")));
    assert_eq!(failure["node_errors"], node_errors);
}

#[test]
fn an_older_servers_words_for_a_missing_class_name_the_node_too() {
    let body = json!({
        "error": {
            "type": "invalid_prompt",
            "message": "Cannot execute because node X does not exist.",
            "details": "Node ID '#52:42'",
            "extra_info": {},
        },
        "node_errors": [],
    });
    let failure = failure::of_validation(&body);
    assert_eq!(
        (&failure["type"], &failure["node_id"]),
        (&json!("invalid_prompt"), &json!("52:42"))
    );
}

/// Servers before February 2026 do not name the node's class.
#[tokio::test]
async fn a_class_that_is_not_there_is_named_from_the_graph() {
    let mut recording = Recording::load("invert");
    recording.status = 400;
    recording.answer = json!({
        "error": {
            "type": "invalid_prompt",
            "message": "Cannot execute because node ImageInvert does not exist.",
            "details": "Node ID '#2'",
            "extra_info": {},
        },
        "node_errors": {},
    });
    let (outcome, ..) = run(&Replay::changed(recording, Default::default())).await;
    let failure = failure(&outcome);
    assert_eq!((&failure["node_id"], &failure["node_type"]), (&json!("2"), &json!("ImageInvert")));
}
