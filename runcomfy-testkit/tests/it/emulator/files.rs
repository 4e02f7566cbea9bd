//! Tests of output files.

use runcomfy_testkit::Emulator;
use serde_json::{Value, json};

use super::{BROKEN, PAUSED, TEXT_TO_IMAGE, ask, endless, fetch, quick, serve, submit};
use crate::http::{call, call_as};

/// The bytes and the size of the image of a run with these overrides.
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
