//! Tests of runs that wait in a server's own queue behind another client's job.

use tempfile::TempDir;

use super::*;

/// A server that runs another client's job, and a `blend` after it.
async fn busy() -> Replay {
    let server = held("invert", "executed");
    server.add("blend");
    somebody_elses(&server, "invert").await;
    server.called("(held)", 1).await;
    server
}

/// A request that the server has accepted and that was found in its queue.
async fn handed_over(caller: &Caller, server: &Replay) -> Asked {
    let looks = count(server, "GET /queue");
    let request = caller.submit("blend").await;
    server.called("GET /queue", looks + 1).await;
    request
}

#[tokio::test]
async fn time_behind_somebody_elses_job_is_time_in_queue_and_costs_nothing() {
    let server = busy().await;
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let request = handed_over(&caller, &server).await;
    let next = caller.submit("blend").await;
    let status = request.status().await;
    let of = |status: &Value| (status["status"].clone(), status["queue_position"].clone());
    assert_eq!(of(&status), (json!("in_queue"), json!(0)));
    assert_eq!(status["instance_id"], Value::Null);
    assert_eq!(of(&next.status().await), (json!("in_queue"), json!(1)));
    let glance = caller.overview().await;
    let account = &glance["accounts"][0];
    assert_eq!((&account["usd_per_hour"], &account["spent_usd"]), (&json!(0.0), &json!(0.0)));
    server.add("blend");
    server.release();
    let result = request.succeeds().await;
    assert!(result["instance_id"].is_string(), "{result}");
    next.succeeds().await;
    assert_eq!(taken_by(&server, &[&request, &next]), 2);
}

/// How many of these requests the server got exactly once.
fn taken_by(server: &Replay, requests: &[&Asked]) -> usize {
    let sent = server.graphs();
    let of = |request: &&&Asked| {
        sent.iter().filter(|sent| sent["extra_data"]["mark"] == request.mark).count() == 1
    };
    requests.iter().filter(of).count()
}

#[tokio::test]
async fn one_that_is_cancelled_there_goes_alone() {
    let server = busy().await;
    let emulator = emulator(&[&server]).await;
    let request = handed_over(&Caller::of(&emulator), &server).await;
    assert_eq!(request.cancel().await["outcome"], "cancelled");
    let result = request.result().await;
    assert_eq!(result["status"], "cancelled", "{result}");
    let own = format!(
        "POST /queue {{\"delete\":[\"{}\"]}}",
        server.graphs()[1]["prompt_id"].as_str().unwrap()
    );
    assert!(count(&server, &own) > 0);
    assert_eq!(count(&server, "POST /interrupt"), 0);
}

/// Restarts an emulator with a state file on `servers` while a request waits on `busy`.
async fn restarted(busy: &Replay, servers: &[&Replay]) -> (TempDir, Emulator, Asked) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let first = emulator_on(&state, &[busy]).await;
    let request = handed_over(&Caller::of(&first), busy).await;
    first.shutdown().await;
    let second = emulator_on(&state, servers).await;
    let request = Asked { caller: Caller::of(&second), ..request };
    (folder, second, request)
}

#[tokio::test]
async fn one_that_waits_there_is_taken_up_by_the_next_emulator() {
    let server = busy().await;
    let (_folder, _emulator, request) = restarted(&server, &[&server]).await;
    assert_eq!(request.status().await["status"], "in_queue");
    server.called("(connected)", 2).await;
    server.release();
    request.succeeds().await;
    assert_eq!(taken_by(&server, &[&request]), 1);
}

/// The waiting run is not simulated instead.
#[tokio::test]
async fn one_that_waits_there_ends_where_the_next_emulator_has_no_server() {
    let server = busy().await;
    let (_folder, _emulator, request) = restarted(&server, &[]).await;
    assert_eq!(kind(&request.result().await), ("failed", "interrupted"));
}
