//! Tests of submits, statuses, results and cancellations over HTTP.

use serde_json::{Value, json};

use super::{
    BROKEN, PAUSED, TEXT_TO_IMAGE, ask, endless, keys, quick, refusal, serve, stuck, submit,
};
use crate::http::{call, raw};

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
    for body in ["", "{", "\u{feff}", "\u{feff}\u{feff}{}"] {
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

/// Some editors write a byte order mark into a file that is then sent.
#[tokio::test]
async fn a_byte_order_mark_before_the_body_is_nothing() {
    let emulator = serve(quick()).await;
    let path = format!("POST /prod/v1/deployments/{TEXT_TO_IMAGE}/inference");
    let reply = raw(&emulator, Some("Bearer t"), &path, "\u{feff}{}").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
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
