//! Replays every recorded run: the outcome, the outputs and the files must be the same.

use super::{recording::names, *};

/// The outcome of every recorded run.
pub(crate) const ENDS: [(&str, End); 26] = [
    ("audio", End::Success),
    ("blend", End::Success),
    ("cached_after_free", End::Success),
    ("cached_first", End::Success),
    ("cached_partly", End::Success),
    ("cached_second", End::Success),
    ("cached_ws_image", End::Success),
    ("feature_flags", End::Success),
    ("interrupt_global", End::Interrupt),
    ("invert", End::Success),
    ("jobs_cancel_running", End::Interrupt),
    ("latent", End::Success),
    ("load_image", End::Success),
    ("mask_preview", End::Success),
    ("queue_delete_and_interrupt_id", End::Interrupt),
    ("runtime_error", End::Failure("OSError", "3", "LoadImage")),
    ("slow", End::Success),
    ("slow_progress", End::Success),
    ("t2i_interrupted_mid_sampling", End::Interrupt),
    ("t2i_preview_flags", End::Success),
    ("t2i_preview_latent2rgb", End::Success),
    ("t2i_tiny", End::Success),
    ("text", End::Success),
    ("validation_error", End::Failure("prompt_outputs_failed_validation", "1", "EmptyImage")),
    ("video", End::Success),
    ("ws_image", End::Success),
];

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The type, and the node with its class.
    Failure(&'static str, &'static str, &'static str),
    Interrupt,
    Success,
}

#[tokio::test]
async fn each_workflow_ends_as_it_was_recorded() {
    let mut left = names("runs");
    for workflow in names("workflows") {
        let graph = recording::sample(&format!("workflows/{workflow}"));
        let runs =
            ENDS.iter().filter(|(run, _)| classes(&Recording::load(run).graph) == classes(&graph));
        let runs: Vec<_> = runs.collect();
        assert!(!runs.is_empty(), "{workflow} was never recorded");
        for (run, end) in runs {
            check(run, *end).await;
            left.retain(|name| name != run);
        }
    }
    assert!(left.is_empty(), "runs of no workflow: {left:?}");
}

async fn check(name: &str, end: End) {
    let recorded = Recording::load(name);
    let replay = Replay::of(name);
    let (outcome, told, folder) = run(&replay).await;

    let sent = &replay.graphs()[0];
    assert_eq!(sent["prompt"], recorded.graph, "{name}");
    assert_eq!(sent["prompt_id"], ID, "{name}");
    assert_eq!(sent["extra_data"].as_object(), recorded.extra_data.as_ref(), "{name}");
    let accepted =
        matches!(told.first(), Some(Progress::Accepted(accepted)) if accepted.prompt_id == ID);
    assert_eq!(accepted, recorded.status == 200, "{name}: {told:?}");

    let (outputs, files) = match (end, &outcome) {
        (End::Interrupt, outcome) => return assert_eq!(*outcome, Outcome::Cancelled, "{name}"),
        (End::Success, Outcome::Succeeded { outputs, files }) => (outputs, files),
        (End::Failure(kind, node_id, node_type), Outcome::Failed { error, outputs, files }) => {
            let got = (&error["type"], &error["node_id"], &error["node_type"]);
            assert_eq!(got, (&json!(kind), &json!(node_id), &json!(node_type)), "{name}");
            (outputs, files)
        }
        (_, other) => panic!("{name}: {other:?}"),
    };
    let entry = recorded.entry.unwrap_or_else(|| json!({"outputs": {}}));
    // Compared as text, because the order matters.
    assert_eq!(Value::Object(outputs.clone()).to_string(), entry["outputs"].to_string(), "{name}");
    let expected = recorded.views.into_iter().map(|view| {
        let text = |key: &str| view.item[key].as_str().unwrap().to_owned();
        (format!("{}:{}:{}", text("type"), text("subfolder"), text("filename")), view.bytes)
    });
    let expected: Vec<_> = expected.collect();
    assert_eq!(contents(files, folder.path()), expected, "{name}");
}

#[tokio::test]
async fn a_failed_node_is_told_with_its_cause() {
    let (outcome, ..) = run(&Replay::of("runtime_error")).await;
    let expected = json!({
        "type": "OSError",
        "message": "Truncated File Read",
        "node_id": "3",
        "node_type": "LoadImage",
        "exception_type": "OSError",
        "exception_message": "Truncated File Read",
    });
    assert_eq!(failure(&outcome), &expected);
}

#[tokio::test]
async fn progress_is_told_node_by_node_and_step_by_step() {
    let changes = replay::Changes { hold: Some(0), ..Default::default() };
    let replay = Replay::changed(Recording::load("t2i_tiny"), changes);
    let running = Running::start(&replay, impatient(), replay.job());
    // After the first poll, so that it does not find the run finished.
    replay.called("GET /queue", 1).await;
    replay.release();
    let (_, told, _folder) = running.end().await;
    assert!(matches!(told[1], Progress::Started { .. }), "{told:?}");
    let nodes = told.iter().filter_map(|progress| match progress {
        Progress::Node(node) => Some(node.as_str()),
        _ => None,
    });
    let nodes: Vec<_> = nodes.collect();
    let steps = told.iter().filter_map(|progress| match progress {
        Progress::Step { node, value, max } => Some((node.as_str(), *value, *max)),
        _ => None,
    });
    let steps: Vec<_> = steps.collect();
    assert_eq!(nodes.first(), Some(&"4"));
    assert_eq!(nodes.last(), Some(&"9"));
    assert_eq!(steps.last(), Some(&("3", 6.0, 6.0)));
}

/// The second run names the files of the first, but has its own copies.
#[tokio::test]
async fn a_run_from_the_cache_has_files_of_its_own() {
    let recordings = vec![Recording::load("cached_first"), Recording::load("cached_second")];
    let replay = Replay::several(recordings, replay::Changes::default());
    let (first, _, first_folder) = run(&replay).await;
    let (second, _, second_folder) = run(&replay).await;
    let files = |outcome: &Outcome| match outcome {
        Outcome::Succeeded { files, .. } => files.clone(),
        other => panic!("{other:?}"),
    };
    let (first, second) = (files(&first), files(&second));
    let before = contents(&first, first_folder.path());
    assert_eq!(before.len(), 6);
    first_folder.close().unwrap();
    assert_eq!(contents(&second, second_folder.path()), before);
}
