//! Tests of servers that become unreachable and come back.

use super::*;

#[tokio::test]
async fn a_death_fails_the_run_and_the_next_waits_until_the_server_is_back() {
    let mut server = held("slow", "executed");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let running = caller.submit("slow").await;
    let waiting = caller.submit("invert").await;
    server.called("(held)", 1).await;
    server.kill();
    let result = running.result().await;
    assert_eq!(kind(&result), ("failed", "comfyui_lost"));
    let message = result["error"]["message"].as_str().unwrap();
    assert!(message.contains(server.url().as_str().trim_end_matches('/')), "{message}");
    caller.servers(&["unreachable"]).await;
    let status = waiting.status().await;
    assert_eq!((&status["status"], &status["queue_position"]), (&json!("in_queue"), &json!(0)));

    server.restart().await;
    server.release();
    server.add("invert");
    waiting.succeeds().await;
    caller.servers(&["idle"]).await;
}

#[tokio::test]
async fn what_waits_goes_to_the_other_server() {
    let (mut dying, other) = (held("slow", "executed"), Replay::of("invert"));
    other.add("invert");
    let emulator = emulator(&[&dying, &other]).await;
    let caller = Caller::of(&emulator);
    dying.kill();
    caller.servers(&["unreachable", "idle"]).await;
    let requests = [caller.submit("invert").await, caller.submit("invert").await];
    for request in &requests {
        request.succeeds().await;
    }
    assert_eq!(taken(&other).len(), 2);
}

#[tokio::test]
async fn one_that_was_not_there_at_the_start_is_used_when_it_comes() {
    let mut server = Replay::of("invert");
    server.kill();
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    caller.servers(&["unreachable"]).await;
    let request = caller.submit("invert").await;
    assert_eq!(request.status().await["status"], "in_queue");
    server.restart().await;
    server.add("invert");
    request.succeeds().await;
}

/// A request that is cancelled or deleted while no server is available is never run.
#[tokio::test]
async fn what_is_cancelled_meanwhile_is_not_run() {
    let mut server = Replay::of("invert");
    server.kill();
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let cancelled = caller.submit("invert").await;
    caller.submit_to(NARROW, recorded("invert")).await;
    let wanted = caller.submit("invert").await;
    cancelled.cancel().await;
    delete(&caller, NARROW).await;
    server.restart().await;
    server.add("invert");
    wanted.succeeds().await;
    assert_eq!(taken(&server), [wanted.mark.as_str()]);
}

#[tokio::test]
async fn the_same_server_twice_is_refused_by_name() {
    let server = Replay::of("invert");
    let error = behind(FakeRunComfy::builder(), &[&server, &server]).start().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains(server.url().as_str().trim_end_matches('/')), "{error}");
}

#[tokio::test]
async fn the_same_server_under_two_names_is_refused_as_well() {
    let server = Replay::of("invert");
    let mut named = server.url();
    named.set_host(Some("localhost")).unwrap();
    let builder = behind(FakeRunComfy::builder(), &[&server]).comfyui(named.clone());
    let error = builder.start().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    for name in [server.url(), named] {
        assert!(error.to_string().contains(name.as_str()), "{error}");
    }
}
