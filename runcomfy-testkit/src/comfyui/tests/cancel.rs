//! Tests of cancelled runs.

use super::{replay::Changes, *};

fn count(replay: &Replay, start: &str) -> usize {
    replay.calls().iter().filter(|call| call.starts_with(start)).count()
}

fn held(name: &str, kind: &str, interrupts: usize) -> Replay {
    let recording = Recording::load(name);
    let hold = Some(recording.index(kind));
    Replay::changed(recording, Changes { hold, interrupts: Some(interrupts), ..Changes::default() })
}

#[tokio::test]
async fn one_that_did_not_begin_is_never_handed_over() {
    let replay = Replay::of("invert");
    let running = Running::start(&replay, impatient(), replay.job());
    // The run has not been polled yet, because the test has one thread.
    running.cancel.cancel();
    let (outcome, ..) = running.end().await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(count(&replay, "POST"), 0);
}

#[tokio::test]
async fn one_in_the_queue_is_taken_out_of_it() {
    let replay = held("slow", "execution_start", 1);
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    running.cancel.cancel();
    let (outcome, ..) = running.end().await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(count(&replay, &format!("POST /queue {{\"delete\":[\"{ID}\"]}}")), 1);
    assert_eq!(count(&replay, "POST /interrupt"), 0);
}

/// An interrupt that arrives while a run starts is lost, so it is repeated.
#[tokio::test]
async fn one_that_runs_is_interrupted_until_it_stops() {
    let replay = held("queue_delete_and_interrupt_id", "execution_interrupted", 3);
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    running.cancel.cancel();
    let (outcome, ..) = running.end().await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert!(count(&replay, &format!("POST /interrupt {{\"prompt_id\":\"{ID}\"}}")) >= 3);
    // No interrupt without a prompt id, which would stop any job.
    assert_eq!(count(&replay, "POST /interrupt"), count(&replay, "POST /interrupt {\"prompt_id\""));
}

#[tokio::test]
async fn one_that_ends_well_all_the_same_is_a_success() {
    let replay = held("invert", "execution_success", 1);
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    running.cancel.cancel();
    let (outcome, _, folder) = running.end().await;
    let Outcome::Succeeded { files, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(contents(&files, folder.path()).len(), 1);
}

#[tokio::test]
async fn one_that_another_took_out_of_the_queue_is_cancelled() {
    let replay = held("slow", "execution_start", 1);
    let mut options = impatient();
    options.times.recheck = options.times.poll;
    let running = Running::start(&replay, options, replay.job());
    // The job was seen in the queue.
    replay.called("GET /queue", 1).await;
    let other = Server::new(replay.url(), impatient()).unwrap();
    other.api.delete(ID).await.unwrap();
    assert_eq!(running.end().await.0, Outcome::Cancelled);
}

#[tokio::test]
async fn one_that_runs_for_too_long_is_stopped_and_fails() {
    let replay = held("queue_delete_and_interrupt_id", "execution_interrupted", 1);
    let mut options = impatient();
    options.times.longest_run = Duration::from_millis(500);
    let (outcome, ..) = Running::start(&replay, options, replay.job()).end().await;
    assert_eq!(failure(&outcome)["type"], "run_too_long");
    assert!(count(&replay, "POST /interrupt {\"prompt_id\"") >= 1);
}

#[tokio::test]
async fn one_on_a_server_that_died_is_cancelled() {
    let mut replay = held("slow", "executed", 1000);
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    running.cancel.cancel();
    replay.called("POST /interrupt", 1).await;
    replay.kill();
    assert_eq!(running.end().await.0, Outcome::Cancelled);
}

#[tokio::test]
async fn one_on_a_server_that_was_restarted_is_cancelled() {
    let mut replay = held("slow", "executed", 1000);
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    running.cancel.cancel();
    replay.called("POST /interrupt", 1).await;
    replay.restart().await;
    assert_eq!(running.end().await.0, Outcome::Cancelled);
}

#[tokio::test]
async fn one_that_does_not_stop_is_asked_at_intervals_also_when_it_is_overdue() {
    let replay = held("slow", "executed", 1000);
    let mut options = impatient();
    options.times.longest_run = Duration::from_millis(100);
    let begin = tokio::time::Instant::now();
    let running = Running::start(&replay, options, replay.job());
    replay.called("(held)", 1).await;
    running.cancel.cancel();
    replay.called("POST /interrupt", 8).await;
    assert!(begin.elapsed() >= Duration::from_millis(7 * 50), "{:?}", begin.elapsed());
    running.task.abort();
}
