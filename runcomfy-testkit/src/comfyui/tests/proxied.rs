//! Tests of the proxy.

use runcomfy_core::instance::ProxyPath;

use super::{replay::Changes, *};
use crate::comfyui::{Method, ProxyAnswer, ProxyBody, ProxyError};

/// A server that runs the job with this prompt id.
async fn busy() -> (Replay, Running) {
    let recording = Recording::load("slow");
    let hold = Some(recording.index("executed"));
    let replay = Replay::changed(recording, Changes { hold, ..Changes::default() });
    let running = Running::start(&replay, impatient(), replay.job());
    replay.called("(held)", 1).await;
    (replay, running)
}

async fn call(
    replay: &Replay,
    method: Method,
    path: &str,
    body: Option<Value>,
    own: &str,
) -> Result<ProxyAnswer, ProxyError> {
    let server = Server::new(replay.url(), impatient()).unwrap();
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let path = ProxyPath::new(path).unwrap();
    server.proxy(method, &path, query, ProxyBody::Json(body.as_ref()), |id| id == own).await
}

/// The POST calls that reached the server.
fn posts(replay: &Replay) -> Vec<String> {
    replay
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("POST") && !call.starts_with("POST /prompt"))
        .collect()
}

#[tokio::test]
async fn what_would_hit_others_is_narrowed_to_ones_own() {
    const OTHER: &str = "ffffffff-0000-4000-8000-000000000000";
    let mine = format!("POST /interrupt {{\"prompt_id\":\"{ID}\"}}");
    let history = format!("POST /history {{\"delete\":[\"{ID}\"]}}");
    let cases: [(&str, Value, &str, Option<&str>); 14] = [
        ("interrupt", json!({}), ID, Some(&mine)),
        ("api/interrupt", json!({}), ID, Some(&mine)),
        ("interrupt", json!({"prompt_id": ID}), ID, Some(&mine)),
        ("interrupt", json!({"prompt_id": OTHER}), ID, None),
        ("interrupt", json!({}), OTHER, None),
        ("interrupt", json!({"prompt_id": ID}), OTHER, None),
        ("queue", json!({"clear": true}), OTHER, Some("POST /queue {\"delete\":[]}")),
        (
            "queue",
            json!({"clear": 1, "delete": [ID, OTHER]}),
            OTHER,
            Some(&format!("POST /queue {{\"delete\":[\"{OTHER}\"]}}")),
        ),
        ("queue", json!({"delete": 5}), ID, Some("POST /queue {\"delete\":5}")),
        ("history", json!({"delete": [ID, OTHER]}), ID, Some(&history)),
        ("api/history", json!({"clear": true}), OTHER, Some("POST /history {\"delete\":[]}")),
        (
            "free",
            json!({"unload_models": true}),
            OTHER,
            Some("POST /free {\"unload_models\":true}"),
        ),
        ("api/free", json!({}), OTHER, Some("POST /free {}")),
        (&format!("api/jobs/{ID}/cancel"), json!({}), OTHER, None),
    ];
    for (path, body, own, expected) in cases {
        let (replay, _running) = busy().await;
        let answer = call(&replay, Method::Post, path, Some(body.clone()), own).await.unwrap();
        assert_eq!(answer.status, 200, "{path} {body}");
        assert_eq!(posts(&replay), Vec::from_iter(expected), "{path} {body} {own}");
    }
}

#[tokio::test]
async fn a_history_is_cleared_of_ones_own() {
    let replay = Replay::of("invert");
    run(&replay).await;
    for (own, expected) in [(ID, json!([ID])), ("another", json!([]))] {
        let body = Some(json!({"clear": true}));
        call(&replay, Method::Post, "history", body, own).await.unwrap();
        let sent = posts(&replay).pop().unwrap();
        assert_eq!(sent, format!("POST /history {}", json!({"delete": expected})), "{own}");
    }
}

#[tokio::test]
async fn what_can_not_be_narrowed_is_refused() {
    let replay = Replay::of("invert");
    for (method, path) in [
        (Method::Post, "manager/reboot"),
        (Method::Get, "api/v2/manager/queue/install"),
        (Method::Post, "customnode/install"),
        (Method::Get, "ws"),
        (Method::Post, "api/jobs/cancel"),
    ] {
        let answer = call(&replay, method, path, Some(json!({})), ID).await;
        assert!(matches!(answer, Err(ProxyError::Refused(_))), "{path}: {answer:?}");
    }
    assert_eq!(replay.calls(), [""; 0]);
}

#[tokio::test]
async fn answers_come_as_they_are() {
    let replay = Replay::of("invert");
    run(&replay).await;
    let view = Recording::load("invert").views.remove(0);
    let query = "view?filename=invert_00001_.png&subfolder=&type=output";
    let picture = call(&replay, Method::Get, query, None, "").await.unwrap();
    assert_eq!((picture.status, picture.bytes), (200, view.bytes));
    let stats = call(&replay, Method::Get, "api/system_stats", None, "").await.unwrap();
    assert_eq!(stats.content_type.as_deref(), Some("application/json; charset=utf-8"));
    let missing = call(&replay, Method::Get, "nope", None, "").await.unwrap();
    assert_eq!((missing.status, missing.bytes.len()), (404, 0));
    let empty = call(&replay, Method::Post, "free", Some(json!({})), "").await.unwrap();
    assert_eq!((empty.status, empty.content_type, empty.bytes.len()), (200, None, 0));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_name() {
    let mut replay = Replay::of("invert");
    replay.kill();
    let error = call(&replay, Method::Get, "queue", None, "").await.unwrap_err();
    let ProxyError::Server(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), crate::comfyui::ComfyErrorKind::Unreachable);
    assert!(error.to_string().contains(&replay.url().port().unwrap().to_string()), "{error}");
}
