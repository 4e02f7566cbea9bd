//! The emulator's HTTP, byte for byte as documented.

use std::time::Duration;

use runcomfy_core::{Error, ErrorKind, Operation, ProxyReply};
use runcomfy_testkit::{Emulator, FakeRunComfy};
use serde_json::{Value, json};

use crate::http::{Reply, call, call_as, raw};

const TEXT_TO_IMAGE: &str = "a1b2c3d4-0000-4000-8000-000000000001";
const PAUSED: &str = "a1b2c3d4-0000-4000-8000-000000000011";
const BROKEN: &str = "a1b2c3d4-0000-4000-8000-000000000010";

/// Runs that are over at once.
fn quick() -> FakeRunComfy {
    FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::ZERO).build()
}

/// Runs that never start.
fn stuck() -> FakeRunComfy {
    FakeRunComfy::builder().cold_start(Duration::from_secs(86_400)).build()
}

/// Runs that start at once and never end.
fn endless() -> FakeRunComfy {
    FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::from_secs(86_400)).build()
}

async fn serve(fake: FakeRunComfy) -> Emulator {
    Emulator::start(fake).await.unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Submits a run and gives its id.
async fn submit(emulator: &Emulator, deployment: &str, body: Value) -> String {
    let path = format!("POST /prod/v1/deployments/{deployment}/inference");
    let reply = call(emulator, &path, Some(body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["request_id"].as_str().unwrap().to_owned()
}

async fn ask(emulator: &Emulator, deployment: &str, request: &str, action: &str) -> Reply {
    let method = if action == "cancel" { "POST" } else { "GET" };
    let path = format!("{method} /prod/v1/deployments/{deployment}/requests/{request}/{action}");
    call(emulator, &path, None).await
}

/// Gets what an answer named an address of. Without a token: such addresses are open.
async fn fetch(emulator: &Emulator, url: &Value) -> Reply {
    let origin = emulator.url().as_str().trim_end_matches('/');
    let path = url.as_str().unwrap().strip_prefix(origin).unwrap();
    call_as(emulator, None, &format!("GET {path}"), None).await
}

/// What of an answer makes it a refusal of the service.
fn refusal(reply: &Reply) -> (u16, i64) {
    let body = reply.json();
    assert!(body["error_message"].is_string(), "{body}");
    (reply.status, body["error_code"].as_i64().unwrap())
}

#[tokio::test]
async fn a_list_is_a_bare_array_of_deployments_with_thirteen_fields() {
    let emulator = serve(quick()).await;
    let reply = call(&emulator, "GET /prod/v2/deployments", None).await;
    assert_eq!(reply.status, 200);
    let list = reply.json();
    assert_eq!(list.as_array().unwrap().len(), 11);
    assert_eq!(
        list[0],
        json!({
            "id": TEXT_TO_IMAGE, "name": "text-to-image",
            "workflow_id": "5eed0000-0000-4000-8000-000000000001", "workflow_version": "v1",
            "hardware": ["AMPERE_48"], "min_instances": 0, "max_instances": 2, "queue_size": 1,
            "keep_warm_duration_in_seconds": 60, "status": "standby", "is_enabled": true,
            "created_at": "2026-04-16T03:40:52.093000+00:00",
            "updated_at": "2026-04-16T03:40:52.093000+00:00",
        })
    );
}

#[tokio::test]
async fn ids_and_includes_are_repeated_keys() {
    let emulator = serve(quick()).await;
    let path = format!(
        "GET /prod/v2/deployments?includes=payload&includes=readme&ids={PAUSED}&ids={TEXT_TO_IMAGE}&ids=unknown"
    );
    let list = call(&emulator, &path, None).await.json();
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [TEXT_TO_IMAGE, PAUSED]);
    assert!(list[0]["readme"].as_str().unwrap().starts_with("# text-to-image"));
    assert_eq!(keys(&list[0]["payload"]), ["workflow_api_json", "overrides", "object_info_url"]);
    assert_eq!(list[0]["payload"]["workflow_api_json"]["3"]["class_type"], "KSampler");

    let described = fetch(&emulator, &list[0]["payload"]["object_info_url"]).await.json();
    assert!(described["KSampler"]["input"]["required"].is_object());

    let unknown = call(&emulator, "GET /prod/v2/deployments?includes=everything", None).await;
    assert_eq!(refusal(&unknown), (422, 422_001));
}

#[tokio::test]
async fn a_deployment_is_created_changed_and_deleted() {
    let emulator = serve(quick()).await;
    let wanted = json!({
        "name": "n", "workflow_id": "w", "workflow_version": "v1", "hardware": ["AMPERE_48"],
        "min_instances": 0, "max_instances": 1, "queue_size": 1, "keep_warm_duration_in_seconds": 60,
    });
    let created = call(&emulator, "POST /prod/v2/deployments", Some(wanted.clone())).await;
    assert_eq!(created.status, 200);
    let created = created.json();
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(created[key], *value, "{key}");
    }
    let path = format!("/prod/v2/deployments/{}", created["id"].as_str().unwrap());

    let change = json!({"name": "n", "is_enabled": false, "hardware": ["HOPPER_141"]});
    let changed = call(&emulator, &format!("PATCH {path}"), Some(change)).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json()["is_enabled"], false);
    let got = call(&emulator, &format!("GET {path}"), None).await.json();
    assert_eq!(got, changed.json());

    let deleted = call(&emulator, &format!("DELETE {path}"), None).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    for method in ["GET", "DELETE"] {
        let reply = call(&emulator, &format!("{method} {path}"), None).await;
        assert_eq!(refusal(&reply), (404, 404_001), "{method}");
    }
    let submit = format!("POST {path}/inference").replace("v2", "v1");
    assert_eq!(refusal(&call(&emulator, &submit, Some(json!({}))).await), (200, 10_003));
}

#[tokio::test]
async fn a_create_needs_all_eight_fields_and_hardware_in_a_list_of_one() {
    let emulator = serve(quick()).await;
    let reply =
        call(&emulator, "POST /prod/v2/deployments", Some(json!({"hardware": "AMPERE_48"}))).await;
    assert_eq!(refusal(&reply), (422, 422_001));
    let detail = reply.json()["detail"].clone();
    let wrong: Vec<_> = detail
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["loc"][1].as_str().unwrap(), fault["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        wrong,
        [
            ("name", "missing"),
            ("workflow_id", "missing"),
            ("workflow_version", "missing"),
            ("hardware", "list_type"),
            ("min_instances", "missing"),
            ("max_instances", "missing"),
            ("queue_size", "missing"),
            ("keep_warm_duration_in_seconds", "missing"),
        ]
    );
}

#[tokio::test]
async fn a_change_without_a_name_is_refused() {
    let emulator = serve(quick()).await;
    let path = format!("PATCH /prod/v2/deployments/{TEXT_TO_IMAGE}");
    let reply = call(&emulator, &path, Some(json!({"is_enabled": false}))).await;
    assert_eq!(
        (reply.status, reply.json()),
        (422, json!({"error_code": 422_001, "error_message": "Deployment name is required"}))
    );
}

#[tokio::test]
async fn the_queue_is_under_both_versions_and_names_addresses_under_the_one_asked() {
    let emulator = serve(stuck()).await;
    for version in ["v1", "v2"] {
        let base = format!("/prod/{version}/deployments/{TEXT_TO_IMAGE}");
        let reply = call(&emulator, &format!("POST {base}/inference"), Some(json!({}))).await;
        assert_eq!(reply.status, 200);
        let submitted = reply.json();
        let request = submitted["request_id"].as_str().unwrap();
        let url =
            |action: &str| format!("{}{}/requests/{request}/{action}", emulator.url(), &base[1..]);
        assert_eq!(
            submitted,
            json!({
                "request_id": request, "status_url": url("status"),
                "result_url": url("result"), "cancel_url": url("cancel"),
            })
        );
        let status = call(&emulator, &format!("GET {base}/requests/{request}/status"), None).await;
        assert_eq!(
            status.json(),
            json!({
                "request_id": request, "status": "in_queue",
                "queue_position": if version == "v1" { 0 } else { 1 },
                "status_url": url("status"), "result_url": url("result"),
            })
        );
    }
    let wrong = format!("GET /prod/v1/deployments/{TEXT_TO_IMAGE}");
    assert_eq!(call(&emulator, &wrong, None).await.status, 404);
}

#[tokio::test]
async fn a_run_in_progress_names_its_instance_and_has_no_position() {
    let emulator = serve(endless()).await;
    let request = submit(&emulator, TEXT_TO_IMAGE, json!({})).await;
    let status = ask(&emulator, TEXT_TO_IMAGE, &request, "status").await.json();
    assert_eq!(
        keys(&status),
        ["request_id", "status", "queue_position", "status_url", "result_url", "instance_id"]
    );
    assert_eq!(
        (&status["status"], &status["queue_position"]),
        (&json!("in_progress"), &Value::Null)
    );
    let result = ask(&emulator, TEXT_TO_IMAGE, &request, "result").await.json();
    assert_eq!(keys(&result), ["request_id", "status", "created_at", "instance_id"]);
}

#[tokio::test]
async fn a_run_that_succeeded_has_a_file_for_each_output() {
    let emulator = serve(quick()).await;
    let request = submit(&emulator, TEXT_TO_IMAGE, json!({})).await;
    let status = ask(&emulator, TEXT_TO_IMAGE, &request, "status").await.json();
    assert_eq!(status["status"], "completed");
    let result = ask(&emulator, TEXT_TO_IMAGE, &request, "result").await;
    assert_eq!(result.status, 200);
    let result = result.json();
    let url = format!("{}deployment_requests/{request}/output/ComfyUI_00001_.png", emulator.url());
    assert_eq!(
        keys(&result),
        ["request_id", "status", "outputs", "created_at", "finished_at", "instance_id"]
    );
    assert_eq!(result["status"], "succeeded");
    assert_eq!(
        result["outputs"],
        json!({"9": {"images": [
            {"url": url, "filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"},
        ]}})
    );
}

#[tokio::test]
async fn a_run_that_failed_is_completed_and_says_why() {
    let emulator = serve(quick()).await;
    let request = submit(&emulator, BROKEN, json!({})).await;
    let status = ask(&emulator, BROKEN, &request, "status").await.json();
    assert_eq!(status["status"], "completed");
    let result = ask(&emulator, BROKEN, &request, "result").await.json();
    assert_eq!(result["status"], "failed");
    assert_eq!(result["error"]["node_id"], "3");
    assert_eq!(result.get("outputs"), None);
}

#[tokio::test]
async fn a_cancellation_is_accepted_with_202_and_too_late_once_the_run_is_over() {
    let emulator = serve(stuck()).await;
    let request = submit(&emulator, TEXT_TO_IMAGE, json!({})).await;
    for outcome in ["cancelled", "not_cancellable"] {
        let reply = ask(&emulator, TEXT_TO_IMAGE, &request, "cancel").await;
        assert_eq!(reply.status, 202);
        let expected = json!({"request_id": request, "status": "completed", "outcome": outcome});
        assert_eq!(reply.json(), expected);
    }
    let result = ask(&emulator, TEXT_TO_IMAGE, &request, "result").await.json();
    assert_eq!(keys(&result), ["request_id", "status", "created_at", "finished_at"]);
    assert_eq!(result["status"], "cancelled");
}

#[tokio::test]
async fn what_is_wrong_with_a_submit_is_told_by_number() {
    let emulator = serve(quick()).await;
    let inference = |id: &str| format!("POST /prod/v1/deployments/{id}/inference");
    for body in [
        json!({"overrides": {"99": {"inputs": {"text": "x"}}}}),
        json!({"overrides": {"6": {"inputs": {"prompt": "x"}}}}),
        json!({"overrides": []}),
        json!({"workflow_api_json": {"nodes": [], "links": []}}),
        json!({"workflow_api_json": {"1": {"class_type": "SaveImage"}}}),
        json!({"extra_data": "x"}),
        json!([]),
    ] {
        let reply = call(&emulator, &inference(TEXT_TO_IMAGE), Some(body.clone())).await;
        assert_eq!(refusal(&reply), (422, 422_001), "{body}");
        assert!(reply.json()["detail"][0]["loc"].is_array(), "{body}");
    }
    for body in ["", "{", "\u{feff}{}"] {
        let reply = raw(&emulator, Some("Bearer t"), &inference(TEXT_TO_IMAGE), body).await;
        assert_eq!(refusal(&reply), (422, 422_001), "{body:?}");
    }
    let hook = format!("{}?webhook=not%20a%20url", inference(TEXT_TO_IMAGE));
    assert_eq!(refusal(&call(&emulator, &hook, Some(json!({}))).await), (422, 422_001));
    let paused = call(&emulator, &inference(PAUSED), Some(json!({}))).await;
    assert_eq!(refusal(&paused), (200, 10_002));
    let unknown = call(&emulator, &inference("unknown"), Some(json!({}))).await;
    assert_eq!(refusal(&unknown), (404, 404_001));
    let request = ask(&emulator, TEXT_TO_IMAGE, "unknown", "status").await;
    assert_eq!(refusal(&request), (404, 404_001));
}

#[tokio::test]
async fn a_webhook_and_the_body_reach_the_fake() {
    let fake = quick();
    let emulator = serve(fake.clone()).await;
    let path = format!(
        "POST /prod/v2/deployments/{TEXT_TO_IMAGE}/inference\
         ?webhook=https%3A%2F%2Fexample.com%2Fhook%3Fa%3D1&webhook_intermediate_status=true"
    );
    let body = json!({
        "overrides": {"3": {"inputs": {"seed": u64::MAX}}},
        "extra_data": {"api_key_comfy_org": "comfyui-x"},
    });
    assert_eq!(call(&emulator, &path, Some(body.clone())).await.status, 200);
    let seen = fake.submits_seen().remove(0);
    let webhook = seen.webhook.unwrap();
    assert_eq!(webhook.url.as_str(), "https://example.com/hook?a=1");
    assert_eq!(webhook.intermediate_status, Some(true));
    assert_eq!(seen.overrides.unwrap().into_value(), body["overrides"]);
    assert_eq!(Value::Object(seen.extra_data.unwrap().0), body["extra_data"]);
}

#[tokio::test]
async fn a_call_without_a_good_token_is_answered_with_401_in_plain_text() {
    let accounts = Emulator::builder()
        .accounts(|token, builder| (token == "good").then(|| builder.build()))
        .start();
    let emulator = accounts.await.unwrap();
    let path = "GET /prod/v2/deployments";
    for authorization in [None, Some("Bearer "), Some("Basic Z29vZA=="), Some("Bearer bad")] {
        let reply = call_as(&emulator, authorization, path, None).await;
        assert_eq!((reply.status, reply.text()), (401, "Unauthorized"), "{authorization:?}");
        assert!(reply.header("content-type").unwrap().starts_with("text/plain"));
    }
    assert_eq!(call_as(&emulator, Some("Bearer good"), path, None).await.status, 200);
}

#[tokio::test]
async fn each_token_is_an_account_of_its_own() {
    let emulator = Emulator::builder().start().await.unwrap();
    let (ann, bob) = (Some("Bearer ann"), Some("Bearer bob"));
    let inference = format!("POST /prod/v1/deployments/{TEXT_TO_IMAGE}/inference");
    let mut requests = Vec::new();
    for token in [ann, bob] {
        let submitted = call_as(&emulator, token, &inference, Some(json!({}))).await.json();
        requests.push(submitted["request_id"].as_str().unwrap().to_owned());
    }
    assert_ne!(requests[0], requests[1]);
    for (token, request, status) in [(ann, 0, 200), (ann, 1, 404), (bob, 0, 404), (bob, 1, 200)] {
        let path = format!(
            "GET /prod/v1/deployments/{TEXT_TO_IMAGE}/requests/{}/status",
            requests[request]
        );
        assert_eq!(call_as(&emulator, token, &path, None).await.status, status);
    }
    let delete = format!("DELETE /prod/v2/deployments/{TEXT_TO_IMAGE}");
    assert_eq!(call_as(&emulator, ann, &delete, None).await.status, 204);
    let get = format!("GET /prod/v2/deployments/{TEXT_TO_IMAGE}");
    assert_eq!(call_as(&emulator, bob, &get, None).await.status, 200);
}

#[tokio::test]
async fn calls_reach_the_comfyui_of_a_live_instance_only() {
    let fake = endless();
    let emulator = serve(fake.clone()).await;
    let request = submit(&emulator, TEXT_TO_IMAGE, json!({})).await;
    let status = ask(&emulator, TEXT_TO_IMAGE, &request, "status").await.json();
    let instance = status["instance_id"].as_str().unwrap();
    let proxy = |instance: &str, path: &str| {
        format!("POST /prod/v2/deployments/{TEXT_TO_IMAGE}/instances/{instance}/proxy/{path}")
    };
    let body = json!({"unload_models": true, "free_memory": true});
    for path in ["free", "api/free", "interrupt", "queue", "api/history"] {
        let reply = call(&emulator, &proxy(instance, path), Some(body.clone())).await;
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{path}");
    }
    let prompt = call(&emulator, &proxy(instance, "prompt"), Some(json!({"prompt": {}}))).await;
    assert_eq!(keys(&prompt.json()), ["prompt_id", "number", "node_errors"]);
    let no_prompt = call(&emulator, &proxy(instance, "prompt"), Some(json!({}))).await;
    assert_eq!((no_prompt.status, &no_prompt.json()["error"]["type"]), (400, &json!("no_prompt")));
    assert_eq!(call(&emulator, &proxy(instance, "object_info"), None).await.status, 405);
    let missing = call(&emulator, &proxy(instance, "no/such"), None).await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    for dead in ["00000000-0000-4000-8000-000000000000", "a%2Fb"] {
        let reply = call(&emulator, &proxy(dead, "free"), None).await;
        assert_eq!(refusal(&reply), (404, 404_001), "{dead}");
    }

    for (reply, content_type, body) in [
        (ProxyReply::Text("hello".into()), "text/plain; charset=utf-8", "hello"),
        (ProxyReply::Json(json!(null)), "application/json", "null"),
        (
            ProxyReply::Binary { content_type: Some("image/x".into()), bytes: b"abc".to_vec() },
            "image/x",
            "abc",
        ),
    ] {
        fake.next_proxy_reply(reply);
        let reply = call(&emulator, &proxy(instance, "free"), None).await;
        assert_eq!(reply.header("content-type").as_deref(), Some(content_type));
        assert_eq!(reply.text(), body);
    }
}

#[tokio::test]
async fn a_failure_that_was_asked_for_leaves_as_the_service_would_say_it() {
    let fake = quick();
    let emulator = serve(fake.clone()).await;
    let of = |kind| Error::new(Operation::ListDeployments, kind);
    for (error, expected) in [
        (of(ErrorKind::InsufficientFunds), (200, 10_001)),
        (of(ErrorKind::RateLimited).with_retry_after(Duration::from_millis(1500)), (429, 429_001)),
        (of(ErrorKind::PermissionDenied), (403, 403_003)),
        (of(ErrorKind::UpstreamUnavailable).with_status_code(502), (502, 503_001)),
    ] {
        let wait = error.retry_after().map(|_| "2".to_owned());
        fake.next_call_fails(Operation::ListDeployments, error);
        let reply = call(&emulator, "GET /prod/v2/deployments", None).await;
        assert_eq!(refusal(&reply), expected);
        assert_eq!(reply.header("retry-after"), wait);
    }
    fake.next_call_fails(None, of(ErrorKind::Unauthenticated));
    let reply = call(&emulator, "GET /prod/v2/deployments", None).await;
    assert_eq!((reply.status, reply.text()), (401, "Unauthorized"));
    assert_eq!(call(&emulator, "GET /prod/v2/deployments", None).await.status, 200);
}

#[tokio::test]
async fn it_says_that_it_is_there_and_what_it_does_not_have() {
    let emulator = serve(quick()).await;
    let health = call_as(&emulator, None, "GET /healthz", None).await;
    assert_eq!((health.status, &health.json()["ok"]), (200, &json!(true)));
    assert_eq!(call(&emulator, "GET /nothing", None).await.status, 404);
    assert_eq!(call(&emulator, "PUT /prod/v2/deployments", None).await.status, 405);
}

#[tokio::test]
async fn after_a_shutdown_nobody_answers() {
    let emulator = serve(quick()).await;
    let address = emulator.url().socket_addrs(|| None).unwrap()[0];
    emulator.shutdown().await;
    let error = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// The bytes and the size of the picture that a run with these overrides makes.
async fn picture(emulator: &Emulator, overrides: Value) -> (Vec<u8>, (u32, u32)) {
    let mut overrides = overrides;
    overrides["5"] = json!({"inputs": {"width": 48, "height": 32}});
    let request = submit(emulator, TEXT_TO_IMAGE, json!({"overrides": overrides})).await;
    let result = ask(emulator, TEXT_TO_IMAGE, &request, "result").await.json();
    let file = fetch(emulator, &result["outputs"]["9"]["images"][0]["url"]).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.header("content-type").as_deref(), Some("image/png"));
    let decoder = png::Decoder::new(std::io::Cursor::new(&file.body));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let size = reader.next_frame(&mut pixels).map(|info| (info.width, info.height)).unwrap();
    (file.body, size)
}

#[tokio::test]
async fn a_picture_needs_no_token_and_follows_from_prompt_seed_and_size() {
    let emulator = serve(quick()).await;
    let seed = |seed: u64| json!({"3": {"inputs": {"seed": seed}}});
    let (first, size) = picture(&emulator, seed(u64::MAX)).await;
    assert_eq!(size, (48, 32));
    assert_eq!(picture(&emulator, seed(u64::MAX)).await.0, first);
    assert_ne!(picture(&emulator, seed(u64::MAX - 1)).await.0, first);
    let other_prompt =
        json!({"3": {"inputs": {"seed": u64::MAX}}, "6": {"inputs": {"text": "a snowy forest"}}});
    assert_ne!(picture(&emulator, other_prompt).await.0, first);
}

#[tokio::test]
async fn every_output_of_every_sample_is_served_with_its_type() {
    let emulator = serve(quick()).await;
    let list = call(&emulator, "GET /prod/v2/deployments", None).await.json();
    let mut types = Vec::new();
    for deployment in list.as_array().unwrap() {
        let id = deployment["id"].as_str().unwrap();
        if [PAUSED, BROKEN, TEXT_TO_IMAGE].contains(&id) || deployment["name"] == "image-to-image" {
            continue; // the first two make nothing, the others large pictures
        }
        let request = submit(&emulator, id, json!({})).await;
        let result = ask(&emulator, id, &request, "result").await.json();
        assert_eq!(result["status"], "succeeded", "{deployment}");
        let channels = result["outputs"].as_object().unwrap().values().flat_map(Value::as_object);
        for item in channels.flat_map(|node| node.values()).flat_map(Value::as_array).flatten() {
            if item.get("url").is_none() {
                continue; // text, or whether it is animated
            }
            let file = fetch(&emulator, &item["url"]).await;
            assert_eq!(file.status, 200, "{item}");
            assert!(file.body.len() > 20, "{item}");
            types.push(file.header("content-type").unwrap());
        }
    }
    types.sort_unstable();
    types.dedup();
    assert_eq!(
        types,
        [
            "audio/flac",
            "audio/mpeg",
            "image/png",
            "image/webp",
            "text/markdown; charset=utf-8",
            "video/mp4",
            "video/webm",
        ]
    );
}

#[tokio::test]
async fn a_file_is_there_only_once_its_run_has_succeeded() {
    let emulator = serve(endless()).await;
    let request = submit(&emulator, TEXT_TO_IMAGE, json!({})).await;
    for path in [
        format!("GET /deployment_requests/{request}/output/ComfyUI_00001_.png"),
        format!("GET /deployment_requests/{request}/output/../../healthz"),
        "GET /deployment_requests/unknown/output/ComfyUI_00001_.png".to_owned(),
    ] {
        assert_eq!(call_as(&emulator, None, &path, None).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_file_with_an_unusual_name_is_served_where_its_address_says() {
    let emulator = serve(quick()).await;
    let body = json!({"workflow_api_json": {
        "1": {"class_type": "SaveText", "inputs": {"text": "x", "filename_prefix": "a b/100% ü?#", "format": "txt"}},
    }});
    let request = submit(&emulator, TEXT_TO_IMAGE, body).await;
    let result = ask(&emulator, TEXT_TO_IMAGE, &request, "result").await.json();
    let item = &result["outputs"]["1"]["files"][0];
    assert_eq!(item["filename"], "100% ü?#_00001.txt");
    let file = fetch(&emulator, &item["url"]).await;
    assert_eq!((file.status, file.text()), (200, "x"), "{item}");
}
