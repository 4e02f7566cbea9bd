//! Tests of servers: their description, and servers that are not ComfyUI.

use super::{replay::Changes, *};
use crate::comfyui::{About, ComfyErrorKind};

fn server(replay: &Replay, options: ComfyOptions) -> Server {
    Server::new(replay.url(), options).unwrap()
}

#[tokio::test]
async fn a_comfyui_tells_its_version_and_device() {
    let about = server(&Replay::of("invert"), impatient()).check().await.unwrap();
    assert_eq!(about, About { version: Some("0.33.0".into()), device: Some("cpu".into()) });
}

#[tokio::test]
async fn what_is_no_comfyui_is_not_taken_for_one() {
    let replay = Replay::of("invert");
    // Every route returns 404.
    let url = replay.url().join("/nothing/here/").unwrap();
    let error = Server::new(url, impatient()).unwrap().check().await.unwrap_err();
    assert_eq!(error.kind(), ComfyErrorKind::Status(404));
}

/// A server may be behind a path; the replaying server supports `/api`.
#[tokio::test]
async fn a_path_before_the_routes_is_kept() {
    let replay = Replay::of("invert");
    let url = replay.url().join("/api").unwrap();
    let server = Server::new(url, impatient()).unwrap();
    server.check().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outcome = server.run(&replay.job(), folder.path(), CancellationToken::new(), |_| ()).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert_eq!(replay.calls().iter().filter(|call| *call == "GET /ws").count(), 1);
}

#[tokio::test]
async fn object_info_comes_whole_or_not_at_all() {
    let replay = Replay::of("invert");
    let bytes = server(&replay, impatient()).object_info().await.unwrap();
    let info: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(info, recording::sample("http/object_info_small.json"));
    let mut options = impatient();
    options.limits.json = 1000;
    let error = server(&replay, options).object_info().await.unwrap_err();
    assert_eq!(error.kind(), ComfyErrorKind::TooLarge);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_forever() {
    // Accepts connections and never responds.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut options = impatient();
    options.times.call = Duration::from_millis(50);
    options.times.stalled = Duration::from_millis(200);
    let server = Server::new(url, options).unwrap();
    assert_eq!(server.check().await.unwrap_err().kind(), ComfyErrorKind::TimedOut);
    let folder = tempfile::tempdir().unwrap();
    let job = job(Recording::load("invert").graph);
    let run = server.run(&job, folder.path(), CancellationToken::new(), |_| ());
    let outcome = tokio::time::timeout(PATIENCE, run).await.unwrap();
    assert_eq!(failure(&outcome)["type"], "comfyui_error");
}

/// A history beyond the limit would be so at the next poll as well.
#[tokio::test]
async fn a_history_beyond_the_limit_fails_the_run() {
    let outputs = json!({"3": {"text": ["x".repeat(100_000)]}});
    let changes = Changes { outputs: Some(outputs), ..Changes::default() };
    let replay = Replay::changed(Recording::load("invert"), changes);
    let mut options = impatient();
    options.limits.json = 50_000;
    let (outcome, ..) = Running::start(&replay, options, replay.job()).end().await;
    assert_eq!(failure(&outcome)["type"], "comfyui_lost");
}

#[test]
fn only_an_origin_with_a_path_is_a_server() {
    for url in ["ftp://host/", "file:///x", "data:,x", "http://host/?x=1", "http://host/#x"] {
        let error = Server::new(url.parse().unwrap(), ComfyOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ComfyErrorKind::Unusable, "{url}");
    }
    let server =
        Server::new("https://me:secret@host:8443/comfy/".parse().unwrap(), ComfyOptions::default());
    assert_eq!(server.unwrap().name(), "https://host:8443/comfy");
}
