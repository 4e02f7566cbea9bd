//! Tests of jobs that are resumed by another process.

use super::{replay::Changes, *};
use crate::comfyui::{AcceptedJob, identity::Identity};

/// Submits a job and drops it, as a killed process does.
async fn hand_over(replay: &Replay) -> AcceptedJob {
    let running = Running::start(replay, impatient(), replay.job());
    replay.called("GET /queue", 1).await;
    running.task.abort();
    let id = replay.graphs()[0]["prompt_id"].as_str().unwrap_or(ID).to_owned();
    AcceptedJob { prompt_id: id, number: None, node_errors: serde_json::Map::new() }
}

/// The identity of the job.
fn identity() -> Identity {
    let (prompt_id, client_id) = (ID.to_owned(), format!("runcomfy-emulator-{ID}"));
    Identity { prompt_id, client_id, number: None }
}

async fn resume(
    replay: &Replay,
    accepted: Option<AcceptedJob>,
) -> Option<(Outcome, Vec<Progress>, usize)> {
    let server = Server::new(replay.url(), impatient()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (id, mut told) = (RequestId::new("req_1").unwrap(), Vec::new());
    let (known, cancelled) = ((ID, accepted), CancellationToken::new());
    let resumed =
        server.resume(&id, known, folder.path(), cancelled, |progress| told.push(progress));
    let outcome = tokio::time::timeout(PATIENCE, resumed).await.unwrap()?;
    let files = match &outcome {
        Outcome::Succeeded { files, .. } | Outcome::Failed { files, .. } => {
            contents(files, folder.path()).len()
        }
        Outcome::Cancelled => 0,
    };
    Some((outcome, told, files))
}

fn held(kind: &str, own_id: Option<&str>) -> Replay {
    let recording = Recording::load("blend");
    let hold = Some(recording.index(kind));
    Replay::changed(
        recording,
        Changes { hold, own_id: own_id.map(str::to_owned), ..Changes::default() },
    )
}

#[tokio::test]
async fn one_that_runs_is_watched_on() {
    let replay = held("executed", None);
    let accepted = hand_over(&replay).await;
    let resumed = resume(&replay, Some(accepted));
    let release = async {
        replay.called("(connected)", 2).await;
        replay.called("GET /queue", 3).await;
        replay.release();
    };
    let (resumed, ()) = tokio::join!(resumed, release);
    let (outcome, told, files) = resumed.unwrap();
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert_eq!(files, 6);
    // The same client id, so that its messages arrive here.
    assert!(told.contains(&Progress::Node("13".into())), "{told:?}");
    assert_eq!(replay.graphs().len(), 1);
}

#[tokio::test]
async fn one_that_is_over_is_fetched() {
    let replay = held("executed", None);
    hand_over(&replay).await;
    replay.release();
    let ended = async {
        let server = Server::new(replay.url(), impatient()).unwrap();
        while server.api.history(&identity()).await.unwrap().is_none() {}
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    let (outcome, _, files) = resume(&replay, None).await.unwrap();
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert_eq!(files, 6);
}

#[tokio::test]
async fn one_whose_id_was_the_servers_choice_is_found_by_its_client() {
    let replay = held("executed", Some("7"));
    hand_over(&replay).await;
    let release = async {
        replay.called("(connected)", 2).await;
        replay.release();
    };
    let (resumed, ()) = tokio::join!(resume(&replay, None), release);
    let (outcome, told, _) = resumed.unwrap();
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert!(
        matches!(&told[0], Progress::Accepted(accepted) if accepted.prompt_id == "7"),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_did_not_validate_is_not_forgotten() {
    let replay = held("executed", None);
    let mut accepted = hand_over(&replay).await;
    accepted.node_errors.insert("9".into(), json!({"errors": [], "class_type": "SaveImage"}));
    let kept = serde_json::to_string(&accepted).unwrap();
    replay.release();
    let (outcome, _, files) = resume(&replay, serde_json::from_str(&kept).unwrap()).await.unwrap();
    assert_eq!(failure(&outcome)["node_id"], "9");
    assert_eq!(files, 6);
}

#[tokio::test]
async fn a_job_that_the_server_does_not_know_is_not_resumed() {
    assert_eq!(resume(&Replay::of("invert"), None).await, None);
    let node_errors = serde_json::Map::new();
    let accepted = AcceptedJob { prompt_id: "7".into(), number: None, node_errors };
    assert_eq!(resume(&Replay::of("invert"), Some(accepted)).await, None);
}

/// Another client's job with the same prompt id.
async fn run_of_somebody_else(replay: &Replay) {
    let server = Server::new(replay.url(), impatient()).unwrap();
    let body = json!({"prompt": replay.job().graph, "prompt_id": ID, "client_id": "somebody else"});
    assert_eq!(server.api.post(&["prompt"], &body).await.unwrap().status, 200);
    let ended =
        async { while server.api.get(&["history", ID]).await.unwrap().get(ID).is_none() {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn one_of_somebody_else_under_the_same_id_is_not_taken_for_it() {
    let replay = Replay::of("invert");
    run_of_somebody_else(&replay).await;
    assert_eq!(resume(&replay, None).await, None);
    let node_errors = serde_json::Map::new();
    let accepted = AcceptedJob { prompt_id: ID.into(), number: Some(0.0), node_errors };
    assert_eq!(resume(&replay, Some(accepted)).await, None);
}

#[tokio::test]
async fn the_end_of_an_earlier_run_under_the_same_id_is_not_its_end() {
    let replay = Replay::of("invert");
    replay.add("blend");
    let (outcome, ..) = run(&replay).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    // The same client id as well; only the job counter differs.
    replay.hold(Recording::load("blend").index("execution_start"));
    let running = Running::start(&replay, impatient(), replay.job());
    let looks = replay.calls().iter().filter(|call| call.starts_with("GET /queue")).count();
    replay.called("GET /queue", looks + 1).await;
    replay.release();
    let (outcome, ..) = running.end().await;
    let Outcome::Succeeded { outputs, .. } = outcome else { panic!("{outcome:?}") };
    assert!(outputs.contains_key("13"), "{outputs:?}");
}

#[tokio::test]
async fn one_on_a_server_that_is_not_there_is_lost() {
    let mut replay = Replay::of("invert");
    replay.kill();
    let (outcome, ..) = resume(&replay, None).await.unwrap();
    assert_eq!(failure(&outcome)["type"], "comfyui_lost");
}
