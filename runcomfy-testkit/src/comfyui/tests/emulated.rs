//! Tests of the emulator with a recorded server behind it.

use super::{replay::Changes, *};
use crate::{
    emulator::{Emulator, EmulatorBuilder},
    fake::FakeRunComfy,
    outgoing,
};

const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

/// A client of one emulator.
pub(super) struct Caller {
    pub(super) emulator: Emulator,
    http: reqwest::Client,
}

impl Caller {
    async fn of(replay: &Replay) -> Self {
        let fake = FakeRunComfy::builder().cold_start(Duration::ZERO);
        Self::start(Emulator::builder().account(fake).comfyui(replay.url())).await
    }

    pub(super) async fn start(builder: EmulatorBuilder) -> Self {
        let emulator = builder.start().await.unwrap();
        Self { emulator, http: outgoing::direct_client(PATIENCE).unwrap() }
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let path = format!("prod/v1/deployments/{DEPLOYMENT}/{path}");
        let url = self.emulator.url().join(&path).unwrap();
        let request = self.http.request(method.parse().unwrap(), url).bearer_auth("token");
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let bytes = request.send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Submits a graph. Returns the path of the request.
    pub(super) async fn submit(&self, graph: Value) -> String {
        let reply = self.call("POST", "inference", Some(json!({"workflow_api_json": graph}))).await;
        format!("requests/{}", reply["request_id"].as_str().unwrap())
    }

    /// Downloads a file from its URL in a result.
    pub(super) async fn file(&self, url: &str) -> Vec<u8> {
        self.http.get(url).send().await.unwrap().bytes().await.unwrap().to_vec()
    }

    /// Polls until the result is final.
    pub(super) async fn result(&self, request: &str) -> Value {
        self.result_unlike(request, &["in_queue", "in_progress"]).await
    }

    /// Polls until the status is none of these.
    pub(super) async fn result_unlike(&self, request: &str, words: &[&str]) -> Value {
        let ended = async {
            loop {
                let result = self.call("GET", &format!("{request}/result"), None).await;
                if result["status"].as_str().is_none_or(|word| !words.contains(&word)) {
                    return result;
                }
            }
        };
        // A real server may be running other jobs first.
        tokio::time::timeout(4 * PATIENCE, ended).await.unwrap()
    }
}

#[tokio::test]
async fn a_run_gives_what_the_server_made() {
    let recording = Recording::load("blend");
    let replay = Replay::of("blend");
    let caller = Caller::of(&replay).await;
    let request = caller.submit(recording.graph.clone()).await;
    let result = caller.result(&request).await;
    assert_eq!(result["status"], "succeeded", "{result}");
    let images = result["outputs"]["13"]["images"].as_array().unwrap();
    assert_eq!(images.len(), 3);
    for image in images {
        let file = caller.http.get(image["url"].as_str().unwrap()).send().await.unwrap();
        let view = recording.views.iter().find(|view| view.item["filename"] == image["filename"]);
        assert_eq!(file.bytes().await.unwrap(), view.unwrap().bytes, "{image}");
    }
}

#[tokio::test]
async fn a_server_that_is_lost_fails_its_run_and_the_next_goes_on() {
    let recording = Recording::load("slow");
    let changes = Changes { hold: Some(recording.index("executed")), ..Changes::default() };
    let mut replay = Replay::changed(recording, changes);
    let caller = Caller::of(&replay).await;
    let lost = caller.submit(Recording::load("slow").graph).await;
    let next = caller.submit(Recording::load("invert").graph).await;
    replay.called("(held)", 1).await;
    replay.restart().await;
    replay.release();
    replay.add("invert");
    let result = caller.result(&lost).await;
    assert_eq!(
        (&result["status"], &result["error"]["type"]),
        (&json!("failed"), &json!("comfyui_lost"))
    );
    let result = caller.result(&next).await;
    assert_eq!(result["status"], "succeeded", "{result}");
}

#[tokio::test]
async fn a_run_that_is_cancelled_is_interrupted() {
    let recording = Recording::load("queue_delete_and_interrupt_id");
    let hold = Some(recording.index("execution_interrupted"));
    let changes = Changes { hold, interrupts: Some(1), ..Changes::default() };
    let graph = recording.graph.clone();
    let replay = Replay::changed(recording, changes);
    let caller = Caller::of(&replay).await;
    let request = caller.submit(graph).await;
    replay.called("(held)", 1).await;
    caller.call("POST", &format!("{request}/cancel"), None).await;
    let result = caller.result(&request).await;
    assert_eq!(result["status"], "cancelled", "{result}");
    assert!(replay.calls().iter().any(|call| call.starts_with("POST /interrupt {\"prompt_id\"")));
}

#[cfg(feature = "state")]
#[tokio::test]
async fn what_was_made_before_a_restart_is_at_the_address_of_the_new_emulator() {
    let replay = Replay::of("blend");
    let folder = tempfile::tempdir().unwrap();
    let builder = || {
        let builder = Emulator::builder().state(folder.path().join("state"));
        builder.comfyui(replay.url())
    };
    let caller = Caller::start(builder()).await;
    let request = caller.submit(Recording::load("blend").graph).await;
    assert_eq!(caller.result(&request).await["status"], "succeeded");
    caller.emulator.shutdown().await;

    let caller = Caller::start(builder()).await;
    let result = caller.result(&request).await;
    let url = result["outputs"]["13"]["images"][0]["url"].as_str().unwrap();
    assert!(url.starts_with(caller.emulator.url().as_str()), "{url}");
    let file = caller.http.get(url).send().await.unwrap();
    assert_eq!(file.status(), 200);
}
