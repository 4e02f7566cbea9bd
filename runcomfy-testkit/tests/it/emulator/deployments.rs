//! Tests of deployments over HTTP.

use serde_json::json;

use super::{PAUSED, TEXT_TO_IMAGE, fetch, keys, quick, refusal, serve};
use crate::http::call;

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
