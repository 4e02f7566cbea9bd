//! Tests of lost connections and servers.

use super::{replay::Changes, *};

fn held(name: &str, kind: &str) -> (Recording, Changes) {
    let recording = Recording::load(name);
    let hold = Some(recording.index(kind));
    (recording, Changes { hold, ..Changes::default() })
}

fn succeeded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Succeeded { .. })
}

#[tokio::test]
async fn a_socket_that_is_cut_is_connected_again() {
    let (recording, changes) = held("slow", "executing");
    let middle = changes.hold.unwrap() + 10;
    let changes = Changes { hold: Some(middle), cut: Some(middle), ..changes };
    let replay = Replay::changed(recording, changes);
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(connected)", 2).await;
    replay.release();
    let (outcome, told, _folder) = running.end().await;
    assert!(succeeded(&outcome), "{outcome:?}");
    // Received after the reconnect.
    assert_eq!(told.last(), Some(&Progress::Node("33".into())));
}

#[tokio::test]
async fn without_a_socket_a_run_is_asked_after() {
    let changes = Changes { no_socket: true, ..Changes::default() };
    let (outcome, told, _folder) = run(&Replay::changed(Recording::load("blend"), changes)).await;
    assert!(succeeded(&outcome), "{outcome:?}");
    // Accepted and started only.
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test]
async fn a_message_beyond_the_limit_costs_the_socket_and_not_the_run() {
    let changes = Changes { giant: Some(1 << 20), hold: Some(0), ..Changes::default() };
    let replay = Replay::changed(Recording::load("blend"), changes);
    let mut options = impatient();
    options.limits.message = 64 * 1024;
    let running = Running::start(&replay, options, replay.job());
    replay.called("(connected)", 2).await;
    replay.release();
    let (outcome, ..) = running.end().await;
    assert!(succeeded(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_dies_fails_the_run_by_name() {
    let (recording, changes) = held("slow", "executed");
    let mut replay = Replay::changed(recording, changes);
    let name = replay.url().to_string();
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    replay.kill();
    let (outcome, ..) = running.end().await;
    let failure = failure(&outcome);
    assert_eq!(failure["type"], "comfyui_lost");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains(name.trim_end_matches('/')) && message.contains("req_1"), "{message}");
}

#[tokio::test]
async fn a_server_that_was_restarted_has_lost_the_run_and_takes_the_next() {
    let (recording, changes) = held("slow", "executed");
    let mut replay = Replay::changed(recording, changes);
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    replay.restart().await;
    let (outcome, ..) = running.end().await;
    assert_eq!(failure(&outcome)["type"], "comfyui_lost");

    replay.release();
    replay.add("invert");
    let (outcome, ..) = run(&replay).await;
    assert!(succeeded(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_runs_nothing() {
    let mut replay = Replay::of("invert");
    let job = replay.job();
    replay.kill();
    let (outcome, told, _folder) = Running::start(&replay, impatient(), job).end().await;
    assert_eq!(failure(&outcome)["type"], "comfyui_unreachable");
    assert_eq!(told, []);
}

#[tokio::test]
async fn a_graph_that_did_not_arrive_is_handed_over_again() {
    let changes = Changes { dropped_posts: 1, ..Changes::default() };
    let replay = Replay::changed(Recording::load("invert"), changes);
    let (outcome, ..) = run(&replay).await;
    assert!(succeeded(&outcome), "{outcome:?}");
    assert_eq!(replay.graphs().len(), 1);
}

#[tokio::test]
async fn a_graph_that_may_have_arrived_is_asked_after_and_not_run_twice() {
    let changes = Changes { lost_answer: true, ..Changes::default() };
    let replay = Replay::changed(Recording::load("invert"), changes);
    let (outcome, ..) = run(&replay).await;
    assert!(succeeded(&outcome), "{outcome:?}");
    assert_eq!(replay.calls().iter().filter(|call| call.starts_with("POST /prompt")).count(), 1);
}

#[tokio::test]
async fn a_server_may_choose_the_id() {
    let changes = Changes { own_id: Some("7".into()), ..Changes::default() };
    let replay = Replay::changed(Recording::load("invert"), changes);
    let (outcome, told, _folder) = run(&replay).await;
    assert!(succeeded(&outcome), "{outcome:?}");
    assert!(
        matches!(&told[0], Progress::Accepted(accepted) if accepted.prompt_id == "7"),
        "{told:?}"
    );
}
