//! Tests of the emulator with recorded ComfyUI servers, over HTTP.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::{Map, Value, json};

use crate::{
    comfyui::{
        Times,
        tests::{
            recording::Recording,
            replay::{Changes, Replay},
        },
    },
    emulator::{Emulator, EmulatorBuilder},
    fake::FakeBuilder,
    fake::FakeRunComfy,
    outgoing,
};

mod again;
mod behind;
mod failed;
mod kept;
mod killed;
mod lost;
mod made;
mod money;
mod older;
mod proxy;
mod queue;
mod reported;
mod stopped;

/// Longer than any test needs.
const PATIENCE: Duration = Duration::from_secs(30);

const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";
/// A deployment with at most one instance; the other may have two.
const NARROW: &str = "a1b2c3d4-0000-4000-8000-000000000002";

/// Short timeouts, because local servers answer at once.
fn impatient() -> Times {
    Times {
        poll: Duration::from_millis(20),
        interrupt: Duration::from_millis(50),
        gone: Duration::from_millis(300),
        ..Times::default()
    }
}

/// An emulator with this template and these servers.
fn behind(account: FakeBuilder, servers: &[&Replay]) -> EmulatorBuilder {
    let mut builder = Emulator::builder().account(account);
    builder.comfyui_times = impatient();
    servers.iter().fold(builder, |builder, server| builder.comfyui(server.url()))
}

async fn emulator(servers: &[&Replay]) -> Emulator {
    behind(FakeRunComfy::builder(), servers).start().await.unwrap()
}

/// An emulator on this state file. Retries while the last one still holds the file.
async fn emulator_on(state: &Path, servers: &[&Replay]) -> Emulator {
    let started = async {
        loop {
            let builder = behind(FakeRunComfy::builder(), servers).state(state);
            match builder.start().await {
                Ok(emulator) => return emulator,
                Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, started).await.unwrap()
}

/// A server that waits before its first message of this type until it is released.
fn held(name: &str, kind: &str) -> Replay {
    let recording = Recording::load(name);
    let hold = Some(recording.index(kind));
    Replay::changed(recording, Changes { hold, ..Changes::default() })
}

/// A client of one account.
#[derive(Clone)]
struct Caller {
    origin: url::Url,
    token: &'static str,
    http: reqwest::Client,
}

/// A request and its caller.
#[derive(Clone)]
struct Asked {
    caller: Caller,
    deployment: &'static str,
    id: String,
    /// Identifies the request on the server.
    mark: String,
}

struct Reply {
    status: u16,
    content_type: Option<String>,
    bytes: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// The status and the error code.
    fn service_error(&self) -> (u16, Option<i64>) {
        (self.status, self.json()["error_code"].as_i64())
    }
}

impl Caller {
    fn of(emulator: &Emulator) -> Self {
        Self::with_token(emulator, "me")
    }

    fn with_token(emulator: &Emulator, token: &'static str) -> Self {
        let http = outgoing::direct_client(PATIENCE).unwrap();
        Self { origin: emulator.url().clone(), token, http }
    }

    /// Calls `what`, such as `GET healthz`.
    async fn call(&self, what: &str, body: Option<&Value>) -> Reply {
        let (method, path) = what.split_once(' ').unwrap();
        let url = self.origin.join(path).unwrap();
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let content_type = answer.headers().get("content-type");
        Reply {
            status: answer.status().as_u16(),
            content_type: content_type.map(|value| value.to_str().unwrap().to_owned()),
            bytes: answer.bytes().await.unwrap().to_vec(),
        }
    }

    async fn submit_to(&self, deployment: &'static str, mut body: Value) -> Asked {
        static SUBMITTED: AtomicUsize = AtomicUsize::new(0);
        let mark = SUBMITTED.fetch_add(1, Ordering::Relaxed).to_string();
        body["extra_data"]["mark"] = json!(mark);
        let path = format!("POST prod/v1/deployments/{deployment}/inference");
        let reply = self.call(&path, Some(&body)).await;
        assert_eq!(reply.status, 200, "{}", reply.json());
        let id = reply.json()["request_id"].as_str().unwrap().to_owned();
        Asked { caller: self.clone(), deployment, id, mark }
    }

    /// Submits the recorded graph with this name.
    async fn submit(&self, name: &str) -> Asked {
        self.submit_to(DEPLOYMENT, recorded(name)).await
    }

    async fn overview(&self) -> Value {
        self.call("GET _emulator/overview", None).await.json()
    }

    /// Waits until the servers have these states.
    async fn servers(&self, states: &[&str]) {
        let expected = json!(states);
        let there = async {
            loop {
                let servers = self.overview().await["comfyui"].take();
                let servers = servers.as_array().unwrap().iter();
                let now: Value = servers.map(|server| server["state"].clone()).collect();
                if now == expected {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, there).await.unwrap();
    }
}

/// The body that submits a recorded graph.
fn recorded(name: &str) -> Value {
    let recording = Recording::load(name);
    let mut body = Map::new();
    body.insert("workflow_api_json".to_owned(), recording.graph);
    if let Some(extra_data) = recording.extra_data {
        body.insert("extra_data".to_owned(), Value::Object(extra_data));
    }
    Value::Object(body)
}

impl Asked {
    async fn ask(&self, method: &str, action: &str) -> Reply {
        let Self { deployment, id, .. } = self;
        let path = format!("{method} prod/v1/deployments/{deployment}/requests/{id}/{action}");
        self.caller.call(&path, None).await
    }

    async fn status(&self) -> Value {
        self.ask("GET", "status").await.json()
    }

    async fn cancel(&self) -> Value {
        self.ask("POST", "cancel").await.json()
    }

    /// Waits for this status.
    async fn is(&self, word: &str) -> Value {
        let there = async {
            loop {
                let status = self.status().await;
                if status["status"] == word {
                    return status;
                }
            }
        };
        tokio::time::timeout(PATIENCE, there).await.unwrap()
    }

    /// Waits for the end and returns the result.
    async fn result(&self) -> Value {
        let over = async {
            loop {
                let result = self.ask("GET", "result").await.json();
                if !matches!(result["status"].as_str(), Some("in_queue" | "in_progress")) {
                    return result;
                }
            }
        };
        tokio::time::timeout(PATIENCE, over).await.unwrap()
    }

    async fn succeeds(&self) -> Value {
        let result = self.result().await;
        assert_eq!(result["status"], "succeeded", "{result}");
        result
    }
}

/// The status and the type of the error.
fn kind(result: &Value) -> (&str, &str) {
    (result["status"].as_str().unwrap(), result["error"]["type"].as_str().unwrap_or_default())
}

/// The marks of the requests that reached a server.
fn taken(server: &Replay) -> Vec<String> {
    let sent = server.graphs().into_iter();
    sent.map(|sent| sent["extra_data"]["mark"].as_str().unwrap().to_owned()).collect()
}

/// The prompt ids under which they were submitted.
fn prompt_ids(server: &Replay) -> Vec<String> {
    let sent = server.graphs().into_iter();
    sent.map(|sent| sent["prompt_id"].as_str().unwrap().to_owned()).collect()
}

fn count(server: &Replay, start: &str) -> usize {
    server.calls().iter().filter(|call| call.starts_with(start)).count()
}

/// Submits a recorded graph directly, as another client of the server.
async fn somebody_elses(server: &Replay, name: &str) {
    let body = json!({"prompt": Recording::load(name).graph, "client_id": "somebody else"});
    let http = outgoing::direct_client(PATIENCE).unwrap();
    let posted = http.post(server.url().join("prompt").unwrap()).body(body.to_string()).send();
    assert_eq!(posted.await.unwrap().status(), 200);
}

/// Deletes a deployment.
async fn delete(caller: &Caller, deployment: &str) {
    let reply = caller.call(&format!("DELETE prod/v2/deployments/{deployment}"), None).await;
    assert_eq!(reply.status, 204);
}

/// Waits until this is true.
async fn until(what: impl Fn() -> bool) {
    let so = async {
        while !what() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, so).await.unwrap();
}
