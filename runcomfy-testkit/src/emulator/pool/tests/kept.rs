//! Tests of runs that outlive the emulator with a state file.

use std::sync::Arc;

use super::*;
use crate::emulator::pool::Pool;

/// A state file in a temporary folder.
fn state() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    (folder, state)
}

/// The same request at another emulator.
fn again(request: &Asked, emulator: &Emulator) -> Asked {
    Asked { caller: Caller::with_token(emulator, request.caller.token), ..request.clone() }
}

/// A file of a result from the current emulator.
async fn file(result: &Value, caller: &Caller, pointer: &str) -> Vec<u8> {
    let url = result.pointer(pointer).unwrap().as_str().unwrap();
    let reply = caller.call(&format!("GET {url}"), None).await;
    assert_eq!(reply.status, 200, "{result}");
    reply.bytes
}

const PICTURE: &str = "/outputs/3/images/0/url";

#[tokio::test]
async fn what_runs_and_what_waits_is_taken_up_by_the_next_emulator() {
    let (_folder, state) = state();
    let server = held("invert", "executed");
    server.add("invert");
    let first = emulator_on(&state, &[&server]).await;
    let caller = Caller::of(&first);
    let running = caller.submit("invert").await;
    let waiting = caller.submit("invert").await;
    server.called("(held)", 1).await;
    first.shutdown().await;
    assert_eq!(count(&server, "POST /interrupt"), 0);

    let second = emulator_on(&state, &[&server]).await;
    let (running, waiting) = (again(&running, &second), again(&waiting, &second));
    running.is("in_progress").await;
    assert_eq!(waiting.status().await["status"], "in_queue");
    server.called("(connected)", 2).await;
    server.release();
    let picture = &Recording::load("invert").views[0].bytes;
    for request in [&running, &waiting] {
        let result = request.succeeds().await;
        assert_eq!(file(&result, &request.caller, PICTURE).await, *picture);
    }
    assert_eq!(taken(&server), [running.mark.as_str(), &waiting.mark], "none is run twice");
}

/// Dropped, not shut down, so that nothing is waited for.
#[tokio::test]
async fn a_run_that_ended_meanwhile_is_fetched() {
    let (_folder, state) = state();
    let server = held("invert", "executed");
    let first = emulator_on(&state, &[&server]).await;
    let request = Caller::of(&first).submit("invert").await;
    server.called("(held)", 1).await;
    drop(first);
    server.release();
    let second = emulator_on(&state, &[&server]).await;
    let request = again(&request, &second);
    let result = request.succeeds().await;
    let picture = file(&result, &request.caller, PICTURE).await;
    assert_eq!(picture, Recording::load("invert").views[0].bytes);
}

#[tokio::test]
async fn a_run_that_its_server_forgot_fails_and_is_not_run_again() {
    let (_folder, state) = state();
    let mut server = held("invert", "executed");
    let first = emulator_on(&state, &[&server]).await;
    let request = Caller::of(&first).submit("invert").await;
    server.called("(held)", 1).await;
    first.shutdown().await;
    server.restart().await;
    server.release();
    server.add("invert");

    let second = emulator_on(&state, &[&server]).await;
    let request = again(&request, &second);
    let result = request.result().await;
    assert_eq!(kind(&result), ("failed", "interrupted"));
    assert_eq!(taken(&server), [""; 0]);
    // The server is free.
    request.caller.submit("invert").await.succeeds().await;
}

/// The server may not exist any more, so the run has failed and the next one runs elsewhere.
#[tokio::test]
async fn a_run_on_a_server_that_is_not_used_any_more_is_over() {
    let (_folder, state) = state();
    let old = held("invert", "executed");
    let first = emulator_on(&state, &[&old]).await;
    let request = Caller::of(&first).submit("invert").await;
    old.called("(held)", 1).await;
    first.shutdown().await;
    let new = Replay::of("invert");
    let second = emulator_on(&state, &[&new]).await;
    let request = again(&request, &second);
    assert_eq!(kind(&request.result().await), ("failed", "interrupted"));
    request.caller.submit("invert").await.succeeds().await;
}

#[tokio::test]
async fn a_cancellation_after_the_restart_stops_the_run() {
    let (_folder, state) = state();
    let recording = Recording::load("queue_delete_and_interrupt_id");
    let hold = Some(recording.index("execution_interrupted"));
    let changes = Changes { hold, interrupts: Some(1), ..Changes::default() };
    let mut server = Replay::changed(recording, changes);
    let first = emulator_on(&state, &[&server]).await;
    let request = Caller::of(&first).submit("queue_delete_and_interrupt_id").await;
    server.called("(held)", 1).await;
    first.shutdown().await;

    // On one thread, so that the cancellation comes before the server is asked for the run.
    let builder = behind(FakeRunComfy::builder(), &[&server]).state(&state);
    let second = builder.start().await.unwrap();
    let request = again(&request, &second);
    assert_eq!(request.cancel().await["outcome"], "cancelled");
    assert_eq!(request.result().await["status"], "cancelled");
    assert!(count(&server, "POST /interrupt") > 0);
    server.kill();
}

/// A server that no longer knows the run has stopped it.
#[tokio::test]
async fn a_run_that_was_cancelled_and_forgotten_is_cancelled() {
    let (_folder, state) = state();
    let mut server = held("invert", "executed");
    let first = emulator_on(&state, &[&server]).await;
    let request = Caller::of(&first).submit("invert").await;
    server.called("(held)", 1).await;
    // The server does not get the cancellation.
    server.kill();
    request.cancel().await;
    first.shutdown().await;
    server.restart().await;
    let second = emulator_on(&state, &[&server]).await;
    assert_eq!(again(&request, &second).result().await["status"], "cancelled");
}

#[tokio::test]
async fn without_its_servers_an_emulator_ends_what_was_begun_and_keeps_what_was_made() {
    let (_folder, state) = state();
    let server = held("invert", "executed");
    let first = emulator_on(&state, &[&server]).await;
    let caller = Caller::of(&first);
    let running = caller.submit("invert").await;
    server.called("(held)", 1).await;
    first.shutdown().await;
    let second = emulator_on(&state, &[]).await;
    let result = again(&running, &second).result().await;
    assert_eq!(kind(&result), ("failed", "interrupted"));
    let message = result["error"]["message"].as_str().unwrap();
    assert!(message.contains("ComfyUI"), "{message}");
    second.shutdown().await;

    let other = Replay::of("invert");
    let third = emulator_on(&state, &[&other]).await;
    let done = Caller::of(&third).submit("invert").await;
    done.succeeds().await;
    third.shutdown().await;
    let fourth = emulator_on(&state, &[]).await;
    let done = again(&done, &fourth);
    let result = done.succeeds().await;
    let picture = file(&result, &done.caller, PICTURE).await;
    assert_eq!(picture, Recording::load("invert").views[0].bytes);
    assert_eq!(kind(&again(&running, &fourth).result().await), ("failed", "interrupted"));
}

/// Independent of the order of accounts.
#[tokio::test]
async fn first_come_is_first_served_after_a_restart_as_well() {
    let (_folder, state) = state();
    let mut server = Replay::of("invert");
    server.kill();
    let first = emulator_on(&state, &[&server]).await;
    let callers = ["c", "a", "d", "b"].map(|token| Caller::with_token(&first, token));
    let mut order = Vec::new();
    for caller in callers.iter().chain(&callers) {
        order.push(caller.submit("invert").await);
        // Reads the time between the two submits.
        caller.overview().await;
    }
    first.shutdown().await;
    server.restart().await;
    (0..order.len()).for_each(|_| server.add("invert"));
    let second = emulator_on(&state, &[&server]).await;
    for request in &order {
        again(request, &second).succeeds().await;
    }
    let order: Vec<_> = order.iter().map(|request| request.mark.clone()).collect();
    assert_eq!(taken(&server), order);
}

/// Before the server was asked for the run.
#[tokio::test]
async fn what_was_begun_can_be_stopped_as_soon_as_it_is_taken_over() {
    use runcomfy_core::{DeploymentId, InferenceRequest, RunComfyApi as _};
    let server = Replay::of("invert");
    let pool =
        || Pool::new(vec![server.url()], Vec::new(), impatient(), None, None).unwrap().into();
    let (first, second): (Arc<Pool>, Arc<Pool>) = (pool(), pool());
    let mut builder = FakeRunComfy::builder();
    builder.drive(first.driver());
    let fake = builder.build();
    let request = InferenceRequest::new(DeploymentId::new(DEPLOYMENT).unwrap());
    let [begun, waiting] = [(); 2].map(|()| fake.submit_request(&request));
    let (begun, waiting) = (begun.await.unwrap().request_id, waiting.await.unwrap().request_id);
    fake.hand_over(&begun, first.servers[0].number, "id").await.unwrap().unwrap();
    second.resume_open_runs([&fake]);
    assert!(second.stop(&begun));
    assert!(!second.stop(&waiting), "it does not run, so there is nothing to stop");
}
