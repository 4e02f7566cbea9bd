//! Tests with the real ComfyUI in `COMFYUI_URL`, of the recorded workflows that need no model.

use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::{recording::sample, *};

mod restarted;

/// The server. Without one, prints that the test is skipped.
async fn server(test: &str) -> Option<Server> {
    let Ok(url) = std::env::var("COMFYUI_URL") else {
        eprintln!("{test}: skipped, as COMFYUI_URL names no ComfyUI");
        return None;
    };
    let server = Server::new(url.parse().unwrap(), ComfyOptions::default()).unwrap();
    let about = server.check().await.unwrap();
    eprintln!("{test}: on ComfyUI {:?} at {}", about.version, server.name());
    Some(server)
}

fn workflow(name: &str) -> Value {
    sample(&format!("workflows/{name}.api.json"))
}

/// A job with a new prompt id.
fn fresh(graph: Value) -> Job {
    job_with_id(&Uuid::new_v4().to_string(), graph)
}

/// A random number that prevents a cached run.
fn chance() -> u32 {
    Uuid::new_v4().as_fields().0
}

async fn run(server: &Server, job: &Job) -> (Outcome, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let outcome = server.run(job, folder.path(), CancellationToken::new(), |_| ()).await;
    (outcome, folder)
}

/// The outputs by node, channel and count, without flags, which differ between versions.
fn shape(outputs: &serde_json::Map<String, Value>) -> Vec<(&str, &str, usize)> {
    let channels = outputs.iter().flat_map(|(node, channels)| {
        let channels = channels.as_object().unwrap().iter();
        channels.filter_map(move |(channel, items)| {
            let items = items.as_array().unwrap();
            let made = items.iter().any(|item| !item.is_boolean());
            made.then_some((node.as_str(), channel.as_str(), items.len()))
        })
    });
    let mut shape: Vec<_> = channels.collect();
    shape.sort_unstable();
    shape
}

#[tokio::test]
async fn workflows_without_models_make_what_was_recorded() {
    let Some(server) = server("workflows_without_models_make_what_was_recorded").await else {
        return;
    };
    for name in ["invert", "mask_preview", "blend", "text", "audio", "latent"] {
        let (outcome, folder) = run(&server, &fresh(workflow(name))).await;
        if let Outcome::Failed { error, .. } = &outcome
            && matches!(error["type"].as_str(), Some("missing_node_type" | "invalid_prompt"))
        {
            eprintln!("{name}: skipped, as this ComfyUI has not all of its nodes: {error}");
            continue;
        }
        let Outcome::Succeeded { outputs, files } = outcome else { panic!("{name}: {outcome:?}") };
        let recorded = Recording::load(name);
        let entry = recorded.entry.unwrap();
        assert_eq!(shape(&outputs), shape(entry["outputs"].as_object().unwrap()), "{name}");
        assert_eq!(files.len(), recorded.views.len(), "{name}");
        for (file, bytes) in contents(&files, folder.path()) {
            assert!(!bytes.is_empty(), "{name}: {file}");
        }
    }
}

#[tokio::test]
async fn an_input_that_is_a_data_uri_is_loaded() {
    let Some(server) = server("an_input_that_is_a_data_uri_is_loaded").await else { return };
    let mut graph = workflow("load_image");
    graph["1"]["inputs"]["image"] = json!(
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    );
    let (outcome, _folder) = run(&server, &fresh(graph)).await;
    let Outcome::Succeeded { files, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(files.len(), 1);
}

#[tokio::test]
async fn both_kinds_of_failure_name_their_node() {
    let Some(server) = server("both_kinds_of_failure_name_their_node").await else { return };
    let mut graph = workflow("runtime_error");
    // A file with an image header and no data.
    graph["3"]["inputs"]["image"] =
        json!("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAYAAACqaXHe");
    let (outcome, _folder) = run(&server, &fresh(graph)).await;
    let Outcome::Failed { error, files, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((&error["node_id"], &error["node_type"]), (&json!("3"), &json!("LoadImage")));
    assert!(files.len() <= 1, "{files:?}");

    let (outcome, _folder) = run(&server, &fresh(workflow("validation_error"))).await;
    assert_eq!(failure(&outcome)["type"], "prompt_outputs_failed_validation");
    assert!(failure(&outcome)["node_errors"].is_object());
}

#[tokio::test]
async fn a_run_is_stopped_in_the_middle() {
    let Some(server) = server("a_run_is_stopped_in_the_middle").await else { return };
    let mut graph = workflow("slow");
    // Prevents a cached run.
    graph["2"]["inputs"]["seed"] = json!(chance());
    let cancelled = CancellationToken::new();
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(0));
    let (stop, count) = (cancelled.clone(), seen.clone());
    let progress = move |progress| {
        if let Progress::Node(_) = progress {
            let mut nodes = count.lock().unwrap();
            *nodes += 1;
            if *nodes == 3 {
                stop.cancel();
            }
        }
    };
    let outcome = server.run(&fresh(graph), folder.path(), cancelled, progress).await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert!(*seen.lock().unwrap() < 30);
}
