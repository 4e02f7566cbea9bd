//! Tests of real runs over HTTP: the outcome and the files are those of the server.

use super::*;
use crate::comfyui::tests::recorded::{ENDS, End};

#[tokio::test]
async fn every_recorded_run_ends_for_a_caller_as_it_did_on_the_server() {
    for (name, end) in ENDS {
        let server = Replay::of(name);
        let emulator = emulator(&[&server]).await;
        let request = Caller::of(&emulator).submit(name).await;
        let result = request.result().await;
        assert_eq!(taken(&server), [request.mark.as_str()], "{name}");
        match end {
            End::Success => same(name, &request.caller, &result).await,
            End::Interrupt => assert_eq!(result["status"], "cancelled", "{name}: {result}"),
            End::Failure(kind, node_id, node_type) => {
                assert_eq!(result["status"], "failed", "{name}: {result}");
                let error = &result["error"];
                let got = (&error["type"], &error["node_id"], &error["node_type"]);
                assert_eq!(got, (&json!(kind), &json!(node_id), &json!(node_type)), "{name}");
            }
        }
    }
}

/// Compares the outputs and the files with the recording.
async fn same(name: &str, caller: &Caller, result: &Value) {
    assert_eq!(result["status"], "succeeded", "{name}: {result}");
    let recorded = Recording::load(name);
    let mut outputs = result["outputs"].clone();
    let mut addresses = Vec::new();
    let channels = outputs.as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut);
    let items = channels.flat_map(Map::values_mut).filter_map(Value::as_array_mut).flatten();
    for item in items.filter_map(Value::as_object_mut) {
        let url = item.shift_remove("url");
        assert_eq!(url.is_some(), item.contains_key("filename"), "{name}: {item:?}");
        addresses.extend(url.map(|url| (Value::Object(item.clone()), url)));
    }
    // Compared as text, because the order matters.
    assert_eq!(outputs.to_string(), recorded.entry.unwrap()["outputs"].to_string(), "{name}");
    assert_eq!(addresses.len(), recorded.views.len(), "{name}");
    for (view, (item, url)) in recorded.views.iter().zip(addresses) {
        assert_eq!(view.item, item, "{name}");
        // Another client, so that no token is sent.
        let file = caller.http.get(url.as_str().unwrap()).send().await.unwrap();
        assert_eq!(file.status(), 200, "{name}: {url}");
        assert_eq!(file.content_length(), Some(view.bytes.len() as u64), "{name}: {url}");
        let content_type = file.headers()["content-type"].to_str().unwrap().split(';').next();
        assert_eq!(content_type, Some(view.content_type.as_str()), "{name}: {url}");
        assert_eq!(file.bytes().await.unwrap(), view.bytes, "{name}: {url}");
    }
}

/// It must not run scripts in the origin of the emulator's page.
#[tokio::test]
async fn a_file_with_an_unusual_name_is_at_the_address_that_the_result_has() {
    for (subfolder, filename) in
        [("", "back\\slash_00001_.png"), ("a b", "line\nbreak %20_00001_.png")]
    {
        let mut recording = Recording::load("invert");
        let item = json!({"filename": filename, "subfolder": subfolder, "type": "output"});
        recording.views[0].item = item.clone();
        let outputs = Some(json!({"3": {"images": [item]}}));
        let bytes = recording.views[0].bytes.clone();
        let server = Replay::changed(recording, Changes { outputs, ..Changes::default() });
        let emulator = emulator(&[&server]).await;
        let request = Caller::of(&emulator).submit("invert").await;
        let result = request.succeeds().await;
        let item = &result["outputs"]["3"]["images"][0];
        assert_eq!(item["filename"], filename);
        let file =
            request.caller.call(&format!("GET {}", item["url"].as_str().unwrap()), None).await;
        assert_eq!((file.status, file.bytes), (200, bytes), "{item}");
    }
}

#[tokio::test]
async fn a_file_that_is_a_page_may_do_nothing_in_a_browser() {
    let outputs = json!({"3": {"images": [
        {"filename": "invert_00001_.png", "subfolder": "", "type": "output"},
    ]}});
    let changes = Changes { outputs: Some(outputs), ..Changes::default() };
    let server = Replay::changed(Recording::load("invert"), changes);
    let emulator = emulator(&[&server]).await;
    let request = Caller::of(&emulator).submit("invert").await;
    let result = request.succeeds().await;
    let url = result["outputs"]["3"]["images"][0]["url"].as_str().unwrap();
    let file = request.caller.http.get(url).send().await.unwrap();
    assert_eq!(file.headers()["x-content-type-options"], "nosniff");
    assert_eq!(file.headers()["content-security-policy"], "sandbox");
}

#[tokio::test]
async fn a_request_is_queued_then_on_an_instance_then_completed() {
    let server = held("slow", "executed");
    server.add("invert");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let running = caller.submit("slow").await;
    let waiting = caller.submit("invert").await;
    let status = running.is("in_progress").await;
    let instance = status["instance_id"].as_str().unwrap().to_owned();
    let status = waiting.status().await;
    assert_eq!((&status["status"], &status["queue_position"]), (&json!("in_queue"), &json!(0)));
    assert_eq!(status.get("instance_id"), None, "{status}");
    server.release();
    let status = waiting.is("completed").await;
    assert_eq!(status["instance_id"], instance, "the same server is the same instance");
    let result = running.succeeds().await;
    assert_eq!(result["instance_id"], instance);
    assert!(result["finished_at"].as_str() >= result["created_at"].as_str(), "{result}");
}

#[tokio::test]
async fn overrides_and_extra_data_reach_the_server() {
    let server = Replay::of("invert");
    let emulator = emulator(&[&server]).await;
    let mut body = recorded("invert");
    body["overrides"] = json!({"1": {"inputs": {"width": 321}}});
    body["extra_data"] = json!({"preview_method": "none"});
    Caller::of(&emulator).submit_to(DEPLOYMENT, body).await.succeeds().await;
    let sent = &server.graphs()[0];
    assert_eq!(sent["prompt"]["1"]["inputs"]["width"], 321);
    assert_eq!(sent["extra_data"]["preview_method"], "none");
}

#[tokio::test]
async fn the_node_classes_are_the_servers_own() {
    let mut server = Replay::of("invert");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let path = format!("GET prod/v2/deployments/{DEPLOYMENT}?includes=payload");
    let url = caller.call(&path, None).await.json()["payload"]["object_info_url"].take();
    let url = format!("GET {}", url.as_str().unwrap());
    let reply = caller.call(&url, None).await;
    let recorded = crate::comfyui::tests::recording::sample("http/object_info_small.json");
    assert_eq!((reply.status, reply.json()), (200, recorded));
    server.kill();
    assert_eq!(caller.call(&url, None).await.status, 502);
}
