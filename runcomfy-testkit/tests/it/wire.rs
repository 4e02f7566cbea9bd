//! Every endpoint under every prefix and in every state: the status, the fields, and the kinds of values.

mod refusals;
mod shape;

use std::{collections::HashMap, time::Duration};

use runcomfy_testkit::{Emulator, FakeRunComfy, Script};
use serde_json::{Value, json};

use crate::http::{Reply, call};
use shape::shape;

const TEXT_TO_IMAGE: &str = "a1b2c3d4-0000-4000-8000-000000000001";
const PROMPT_BUILDER: &str = "a1b2c3d4-0000-4000-8000-000000000006";
const BROKEN: &str = "a1b2c3d4-0000-4000-8000-000000000010";
const PAUSED: &str = "a1b2c3d4-0000-4000-8000-000000000011";
const TO_DELETE: &str = "a1b2c3d4-0000-4000-8000-000000000002";
const DAY: Duration = Duration::from_secs(86_400);

/// Every endpoint. `{queue}` is either prefix of the queue.
const ENDPOINTS: [&str; 13] = [
    "GET /prod/v2/balance",
    "GET /prod/v2/deployments",
    "GET /prod/v2/deployments?includes=payload&includes=readme&ids={deployment}",
    "POST /prod/v2/deployments",
    "GET /prod/v2/deployments/{deployment}",
    "GET /prod/v2/deployments/{deployment}?includes=payload&includes=readme",
    "PATCH /prod/v2/deployments/{deployment}",
    "POST {queue}/deployments/{deployment}/inference",
    "GET {queue}/{finished}/status",
    "GET {queue}/{finished}/result",
    "POST {queue}/{queued}/cancel",
    "POST /prod/v2/deployments/{deployment}/instances/{instance}/proxy/free",
    "DELETE /prod/v2/deployments/{to_delete}",
];

const QUEUES: [&str; 2] = ["/prod/v1", "/prod/v2"];

/// Each endpoint with each prefix.
fn under_every_prefix(endpoint: &str) -> Vec<String> {
    if !endpoint.contains("{queue}") {
        return vec![endpoint.to_owned()];
    }
    QUEUES.iter().map(|queue| endpoint.replace("{queue}", queue)).collect()
}

/// An account with a request in every state, and the path parameters.
struct World {
    emulator: Emulator,
    fake: FakeRunComfy,
    names: HashMap<&'static str, String>,
}

impl World {
    async fn new() -> Self {
        let fake = FakeRunComfy::builder()
            .cold_start(Duration::ZERO)
            .run_time(Duration::ZERO)
            .cancel_latency(DAY)
            .build();
        let emulator = Emulator::start(fake.clone()).await.unwrap();
        let names = [
            ("deployment", TEXT_TO_IMAGE),
            ("paused", PAUSED),
            ("to_delete", TO_DELETE),
            ("unknown", "00000000-0000-4000-8000-000000000000"),
        ];
        let names = names.map(|(name, id)| (name, id.to_owned())).into();
        let mut world = Self { emulator, fake, names };
        world.submit("finished", TEXT_TO_IMAGE, None).await;
        world.submit("finished_with_text", PROMPT_BUILDER, None).await;
        world.submit("failed", BROKEN, None).await;
        let array = json!([{"errorCode": 1, "error": "e", "debugInfo": "d"}]);
        for (name, error) in [("failed_with_array", array), ("failed_with_text", json!("e"))] {
            world.submit(name, TEXT_TO_IMAGE, Some(Script::default().fails(error))).await;
        }
        let partial = Script::default().fails(json!("e")).with_partial_outputs();
        world.submit("partly_failed", TEXT_TO_IMAGE, Some(partial)).await;
        let empty = Script::default().completes_without_outputs();
        world.submit("cached", TEXT_TO_IMAGE, Some(empty)).await;
        let canceled = Script::default().cancelled().spelled_canceled();
        world.submit("canceled", TEXT_TO_IMAGE, Some(canceled)).await;
        // These use all instances; later requests wait.
        for name in ["running", "also_running"] {
            world.submit(name, TEXT_TO_IMAGE, Some(Script::default().running(DAY))).await;
        }
        for name in ["queued", "cancelled"] {
            world.submit(name, TEXT_TO_IMAGE, None).await;
        }
        world.get("POST /prod/v2/{cancelled}/cancel").await;
        let running = world.get("GET /prod/v2/{running}/status").await.json();
        let instance = running["instance_id"].as_str().unwrap().to_owned();
        world.names.insert("instance", instance);
        world
    }

    /// Submits a run and stores its path under a name.
    async fn submit(&mut self, name: &'static str, deployment: &str, script: Option<Script>) {
        script.into_iter().for_each(|script| self.fake.next_request(script));
        let what = format!("POST /prod/v1/deployments/{deployment}/inference");
        let reply = call(&self.emulator, &what, Some(json!({}))).await.json();
        let request = reply["request_id"].as_str().unwrap();
        self.names.insert(name, format!("deployments/{deployment}/requests/{request}"));
    }

    /// Replaces the placeholders.
    fn fill(&self, what: &str) -> String {
        let filled = self.names.iter().fold(what.to_owned(), |what, (name, stands_for)| {
            what.replace(&format!("{{{name}}}"), stands_for)
        });
        assert!(!filled.contains('{'), "{filled}");
        filled
    }

    async fn get(&self, what: &str) -> Reply {
        call(&self.emulator, &self.fill(what), None).await
    }

    /// Calls and compares.
    async fn check(&self, what: &str, body: Option<Value>, status: u16, wanted: &Value) {
        let reply = call(&self.emulator, &self.fill(what), body).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        if wanted.is_null() {
            assert_eq!(reply.text(), "", "{what}");
        } else {
            assert_eq!(shape(&reply.json()), *wanted, "{what}");
        }
    }
}

fn deployment() -> Value {
    json!({
        "id": "uuid", "name": "text", "workflow_id": "uuid", "workflow_version": "text",
        "hardware": ["text"], "min_instances": "integer", "max_instances": "integer",
        "queue_size": "integer", "keep_warm_duration_in_seconds": "integer", "status": "text",
        "is_enabled": "boolean", "created_at": "time", "updated_at": "time",
    })
}

fn deployment_in_full() -> Value {
    let node = json!({"inputs": "object", "class_type": "text", "_meta": {"title": "text"}});
    let mut full = deployment();
    full["payload"] = json!({
        "workflow_api_json": {"<node>": node}, "overrides": "null", "object_info_url": "url",
    });
    full["readme"] = json!("text");
    full
}

#[tokio::test]
async fn deployments_are_as_documented() {
    let world = World::new().await;
    let balance = json!({
        "balance_usd": "number", "balance_microdollars": "integer", "currency": "text",
    });
    world.check("GET /prod/v2/balance", None, 200, &balance).await;
    let create = json!({
        "name": "n", "workflow_id": "5eed0000-0000-4000-8000-000000000001",
        "workflow_version": "v1", "hardware": ["AMPERE_48"], "min_instances": 0,
        "max_instances": 1, "queue_size": 1, "keep_warm_duration_in_seconds": 60,
    });
    let change = json!({"name": "n", "is_enabled": false});
    let full = "includes=payload&includes=readme";
    let one = "/prod/v2/deployments/{deployment}";
    for (what, body, status, wanted) in [
        ("GET /prod/v2/deployments".to_owned(), None, 200, json!([deployment()])),
        (
            format!("GET /prod/v2/deployments?{full}&ids={{deployment}}&ids={{paused}}"),
            None,
            200,
            json!([deployment_in_full()]),
        ),
        ("GET /prod/v2/deployments?ids={unknown}".to_owned(), None, 200, json!([])),
        ("POST /prod/v2/deployments".to_owned(), Some(create), 200, deployment()),
        (format!("GET {one}"), None, 200, deployment()),
        (format!("GET {one}?{full}"), None, 200, deployment_in_full()),
        (format!("PATCH {one}"), Some(change), 200, deployment()),
        ("DELETE /prod/v2/deployments/{to_delete}".to_owned(), None, 204, Value::Null),
    ] {
        world.check(&what, body, status, &wanted).await;
    }
}

#[tokio::test]
async fn the_queue_is_as_documented_under_both_prefixes() {
    let world = World::new().await;
    let submission = json!({
        "request_id": "uuid", "status_url": "url", "result_url": "url", "cancel_url": "url",
    });
    let status = |word: &str, position: &str| {
        json!({
            "request_id": "uuid", "status": word, "queue_position": position, "status_url": "url",
            "result_url": "url",
        })
    };
    let on_instance = |mut status: Value| {
        status["instance_id"] = json!("uuid");
        status
    };
    let result = |word: &str, more: Value| {
        let mut result = json!({"request_id": "uuid", "status": word, "created_at": "time"});
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        result
    };
    // The fields of a run that ended on an instance.
    let ended = |word: &str, more: Value| {
        on_instance(result(word, {
            let mut more = more;
            more["finished_at"] = json!("time");
            more
        }))
    };
    let file = json!({"url": "url", "filename": "text", "subfolder": "text", "type": "text"});
    let texts = json!([{"text": ["text"]}, {"text": ["text"], "files": [file]}]);
    let pictures = json!({"<node>": {"images": [file]}});
    let failure = json!({
        "type": "text", "message": "text", "node_id": "text", "node_type": "text",
    });
    let failures = json!([{"errorCode": "integer", "error": "text", "debugInfo": "text"}]);
    let cancellation =
        |outcome: &str| json!({"request_id": "uuid", "status": "completed", "outcome": outcome});
    for queue in QUEUES {
        let get = |request: &str, what: &str| format!("GET {queue}/{{{request}}}/{what}");
        for (request, wanted) in [
            ("queued", status("in_queue", "integer")),
            ("running", on_instance(status("in_progress", "null"))),
            ("finished", on_instance(status("completed", "null"))),
            ("failed", on_instance(status("completed", "null"))),
            ("cancelled", status("cancelled", "null")),
            ("canceled", on_instance(status("canceled", "null"))),
        ] {
            world.check(&get(request, "status"), None, 200, &wanted).await;
        }
        for (request, wanted) in [
            ("queued", result("in_queue", json!({}))),
            ("running", on_instance(result("in_progress", json!({})))),
            ("finished", ended("succeeded", json!({"outputs": pictures}))),
            ("finished_with_text", ended("succeeded", json!({"outputs": {"<node>": texts}}))),
            ("cached", ended("succeeded", json!({"outputs": {}}))),
            ("failed", ended("failed", json!({"error": failure}))),
            ("failed_with_array", ended("failed", json!({"error": failures}))),
            ("failed_with_text", ended("failed", json!({"error": "text"}))),
            ("partly_failed", ended("failed", json!({"outputs": pictures, "error": "text"}))),
            ("cancelled", result("cancelled", json!({"finished_at": "time"}))),
            ("canceled", ended("canceled", json!({}))),
        ] {
            world.check(&get(request, "result"), None, 200, &wanted).await;
        }
        let inference = format!("POST {queue}/deployments/{{deployment}}/inference");
        world.check(&inference, Some(json!({})), 200, &submission).await;
        let cancel = |request: &str| format!("POST {queue}/{{{request}}}/cancel");
        for (request, outcome) in [("running", "cancelled"), ("finished", "not_cancellable")] {
            world.check(&cancel(request), None, 202, &cancellation(outcome)).await;
        }
    }
}

#[tokio::test]
async fn the_instance_proxy_answers_as_comfyui_does() {
    let world = World::new().await;
    let proxy = |path: &str| {
        format!("POST /prod/v2/deployments/{{deployment}}/instances/{{instance}}/proxy/{path}")
    };
    let prompt = json!({"prompt_id": "uuid", "number": "integer", "node_errors": {}});
    let refused = json!({
        "error": {"type": "text", "message": "text", "details": "text", "extra_info": {}},
        "node_errors": {},
    });
    for (path, body, status, wanted) in [
        ("free", json!({"unload_models": true}), 200, Value::Null),
        ("interrupt", json!({}), 200, Value::Null),
        ("prompt", json!({"prompt": {}}), 200, prompt),
        ("prompt", json!({}), 400, refused),
        ("no/such/route", json!({}), 404, Value::Null),
    ] {
        world.check(&proxy(path), Some(body), status, &wanted).await;
    }
}
