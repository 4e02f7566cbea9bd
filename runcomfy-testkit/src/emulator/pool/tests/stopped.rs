//! Tests of requests that are cancelled or deleted with their deployment.

use super::*;

/// A server that waits during a run until it is interrupted.
fn stoppable() -> Replay {
    let recording = Recording::load("queue_delete_and_interrupt_id");
    let hold = Some(recording.index("execution_interrupted"));
    Replay::changed(recording, Changes { hold, interrupts: Some(1), ..Changes::default() })
}

const STOPPABLE: &str = "queue_delete_and_interrupt_id";

#[tokio::test]
async fn one_that_waits_is_never_handed_over() {
    let server = held("invert", "executing");
    server.add("invert");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let requests = [
        caller.submit("invert").await,
        caller.submit("invert").await,
        caller.submit("invert").await,
    ];
    requests[0].is("in_progress").await;
    assert_eq!(requests[1].cancel().await["outcome"], "cancelled");
    let result = requests[1].result().await;
    assert_eq!(result["status"], "cancelled", "{result}");
    server.release();
    requests[2].succeeds().await;
    assert_eq!(taken(&server), [requests[0].mark.as_str(), &requests[2].mark]);
}

#[tokio::test]
async fn one_that_runs_is_interrupted_and_the_next_runs() {
    let server = stoppable();
    server.add("invert");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let running = caller.submit(STOPPABLE).await;
    let next = caller.submit("invert").await;
    server.called("(held)", 1).await;
    assert_eq!(running.cancel().await["outcome"], "cancelled");
    let result = running.result().await;
    assert_eq!(result["status"], "cancelled", "{result}");
    assert!(result["instance_id"].is_string(), "{result}");
    next.succeeds().await;
    let own = format!("POST /interrupt {{\"prompt_id\":\"{}\"}}", prompt_ids(&server)[0]);
    assert!(count(&server, &own) > 0);
    assert_eq!(count(&server, "POST /interrupt"), count(&server, &own));
}

#[tokio::test]
async fn one_that_is_over_can_not_be_cancelled() {
    let server = Replay::of("invert");
    let emulator = emulator(&[&server]).await;
    let request = Caller::of(&emulator).submit("invert").await;
    request.succeeds().await;
    assert_eq!(request.cancel().await["outcome"], "not_cancellable");
    request.succeeds().await;
}

/// The deployment is deleted at once; its run is stopped and leaves no files.
#[tokio::test]
async fn a_deletion_stops_what_runs_and_frees_the_server() {
    let server = stoppable();
    server.add("invert");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let running = caller.submit(STOPPABLE).await;
    let waiting = caller.submit("invert").await;
    let other = caller.submit_to(NARROW, recorded("invert")).await;
    server.called("(held)", 1).await;
    delete(&caller, DEPLOYMENT).await;
    assert_eq!(running.ask("GET", "status").await.service_error(), (404, Some(404_001)));
    other.succeeds().await;
    assert!(count(&server, "POST /interrupt") > 0);
    assert_eq!(taken(&server), [running.mark.as_str(), &other.mark]);
    assert!(!taken(&server).contains(&waiting.mark));
    caller.servers(&["idle"]).await;
}

/// Whether a request has files beside the state file.
fn files(state: &Path, request: &Asked) -> bool {
    state.with_extension("outputs").join(&request.id).exists()
}

#[tokio::test]
async fn files_go_with_the_deployment() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Replay::of("invert");
    server.add("invert");
    let emulator = emulator_on(&state, &[&server]).await;
    let caller = Caller::of(&emulator);
    let kept = caller.submit_to(NARROW, recorded("invert")).await;
    kept.succeeds().await;
    let gone = caller.submit("invert").await;
    gone.succeeds().await;
    assert!(files(&state, &gone) && files(&state, &kept));
    delete(&caller, DEPLOYMENT).await;
    until(|| !files(&state, &gone)).await;
    assert!(files(&state, &kept));
}

/// The deletion comes when the run has just ended and its files are being copied.
#[tokio::test]
async fn files_of_a_run_that_ends_after_its_deployment_go_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    // The run ends normally, because the interrupt comes too late.
    let server = held("invert", "execution_success");
    let emulator = emulator_on(&state, &[&server]).await;
    let caller = Caller::of(&emulator);
    let request = caller.submit("invert").await;
    server.called("(held)", 1).await;
    delete(&caller, DEPLOYMENT).await;
    server.called("POST /interrupt", 1).await;
    server.release();
    server.called("GET /view", 1).await;
    caller.servers(&["idle"]).await;
    until(|| !files(&state, &request)).await;
}

/// The next emulator removes what a killed one could not.
#[tokio::test]
async fn files_of_deleted_requests_are_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = Replay::of("invert");
    let emulator = emulator_on(&state, &[&server]).await;
    let kept = Caller::of(&emulator).submit("invert").await;
    kept.succeeds().await;
    emulator.shutdown().await;
    let nobodys = state.with_extension("outputs").join("0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d");
    std::fs::create_dir_all(nobodys.join("output")).unwrap();
    std::fs::write(state.with_extension("outputs").join("notes.txt"), "somebody's").unwrap();
    let _emulator = emulator_on(&state, &[&server]).await;
    until(|| !nobodys.exists()).await;
    assert!(files(&state, &kept));
    assert!(state.with_extension("outputs").join("notes.txt").exists());
}

#[tokio::test]
async fn a_run_that_no_emulator_will_resume_is_stopped_with_the_emulator() {
    let server = stoppable();
    let emulator = emulator(&[&server]).await;
    Caller::of(&emulator).submit(STOPPABLE).await;
    server.called("(held)", 1).await;
    tokio::time::timeout(PATIENCE, emulator.shutdown()).await.unwrap();
    assert!(count(&server, "POST /interrupt") > 0);
}
