//! Tests of the program with ComfyUI servers that do not exist or are something else.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::{
    http::raw_at,
    program::{Running, refused},
};

/// An address without a listener.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn an_address_of_no_comfyui_is_one_line_that_names_it() {
    for address in ["localhost:8188", "ftp://host/", "http://host/?x=1"] {
        let ended = refused(&["--comfyui", address]);
        assert!(!ended.status.success(), "{address}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("ComfyUI at "), "{said}");
    }
}

#[test]
fn hosts_of_inputs_mean_nothing_without_a_comfyui() {
    let ended = refused(&["--inputs-from", "pictures.local"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("--comfyui"));
}

/// Reported once, after the line with the emulator's URL.
#[test]
fn one_that_is_not_there_is_told_of_at_the_start() {
    let address = nowhere();
    let mut running = Running::start(&["--comfyui", &address]);
    assert!(running.next_line().contains(&address));
}

#[tokio::test]
async fn node_classes_without_a_server_are_a_bad_gateway_with_the_reason() {
    let address = nowhere();
    let running = Running::start(&["--comfyui", &address]);
    let reply = raw_at(&running.url, None, "GET /object_info.json", "").await.unwrap();
    assert_eq!((reply.status, &reply.json()["error_code"]), (502, &json!(502_001)));
    assert!(reply.json()["error_message"].as_str().unwrap().contains(&address));
}

/// The server may be started later. Without TLS no certificates are needed; this program has none.
#[tokio::test]
async fn a_comfyui_that_is_not_there_yet_is_shown_and_waited_for() {
    let address = nowhere();
    let running = Running::start_without_certificates(&["--comfyui", &address]);
    let origin = &running.url;
    let servers = async {
        loop {
            let overview = raw_at(origin, None, "GET /_emulator/overview", "").await.unwrap();
            let servers = overview.json()["comfyui"].take();
            if servers[0]["state"] == "unreachable" {
                return servers;
            }
        }
    };
    let servers = tokio::time::timeout(std::time::Duration::from_secs(30), servers).await.unwrap();
    assert_eq!(servers, json!([{"url": address, "state": "unreachable"}]));

    let path = "/prod/v1/deployments/a1b2c3d4-0000-4000-8000-000000000001";
    let call = async |what: &str, action: &str| -> Value {
        let what = format!("{what} {path}/{action}");
        raw_at(origin, Some("Bearer me"), &what, "{}").await.unwrap().json()
    };
    let request = call("POST", "inference").await["request_id"].as_str().unwrap().to_owned();
    let status = call("GET", &format!("requests/{request}/status")).await;
    assert_eq!(status["status"], "in_queue");
    let cancelled = call("POST", &format!("requests/{request}/cancel")).await;
    assert_eq!(cancelled["outcome"], "cancelled");
}
