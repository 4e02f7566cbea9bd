//! Tests of inputs that are URLs and data URIs.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::IntoResponse as _,
};
use tokio::sync::watch;

use super::{replay::Changes, *};

const PIXELS: &[u8] = b"\x89PNG\r\n\x1a\nnot much of a picture";

/// A file server that counts its calls.
struct Files {
    address: SocketAddr,
    calls: watch::Receiver<usize>,
}

async fn files() -> Files {
    async fn file(State(calls): State<watch::Sender<usize>>, uri: Uri) -> axum::response::Response {
        calls.send_modify(|calls| *calls += 1);
        match uri.path() {
            "/cat.png" => ([(header::CONTENT_TYPE, "image/png")], PIXELS).into_response(),
            "/large.png" => vec![0; 1 << 20].into_response(),
            "/moved.png" => (StatusCode::FOUND, [(header::LOCATION, "/cat.png")]).into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, calls) = watch::channel(0);
    tokio::spawn(async move {
        axum::serve(listener, Router::new().fallback(file).with_state(sender)).await
    });
    Files { address, calls }
}

/// The graph of `load_image` with another image.
fn load_image(image: &str) -> Value {
    let mut graph = Recording::load("load_image").graph;
    graph["1"]["inputs"]["image"] = json!(image);
    graph
}

fn options(allow: &str) -> ComfyOptions {
    let mut options = impatient();
    options.allow.push(allow.to_owned());
    options.limits.input = 1000;
    options
}

async fn staged(replay: &Replay, options: ComfyOptions, graph: Value) -> Outcome {
    Running::start(replay, options, job(graph)).end().await.0
}

#[tokio::test]
async fn a_data_uri_is_uploaded_and_named() {
    let replay = Replay::of("load_image");
    let mut graph = load_image("data:image/png;base64,iVBORw0KGgo=");
    // Only file inputs are uploaded, not other text that looks like a URI.
    graph["4"]["inputs"]["filename_prefix"] = json!("data:,x");
    let outcome = staged(&replay, impatient(), graph.clone()).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    let place = format!("req-{ID}/1-input.png");
    assert_eq!(replay.uploads(), [(place.clone(), b"\x89PNG\r\n\x1a\n".to_vec())]);
    graph["1"]["inputs"]["image"] = json!(place);
    assert_eq!(replay.graphs()[0]["prompt"], graph);
}

#[tokio::test]
async fn a_url_at_an_allowed_host_is_fetched() {
    let files = files().await;
    for allow in [files.address.to_string(), "127.0.0.1".into()] {
        let replay = Replay::of("load_image");
        let url = format!("HTTP://{}/cat.png?token=secret", files.address);
        let outcome = staged(&replay, options(&allow), load_image(&url)).await;
        assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
        assert_eq!(replay.uploads(), [(format!("req-{ID}/1-cat.png"), PIXELS.to_vec())]);
    }
}

#[tokio::test]
async fn the_emulators_own_network_is_out_of_reach() {
    let files = files().await;
    let port = files.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "[::1]",
        "169.254.169.254",
    ] {
        let replay = Replay::of("load_image");
        let url = format!("http://{host}:{port}/cat.png");
        let outcome =
            staged(&replay, options(&format!("127.0.0.1:{}", port ^ 1)), load_image(&url)).await;
        assert_eq!(failure(&outcome)["type"], "input_file_error", "{host}");
        assert!(
            failure(&outcome)["message"].as_str().unwrap().contains("not public"),
            "{host}: {outcome:?}"
        );
        assert_eq!(replay.graphs().len(), 0, "{host}");
    }
    assert_eq!(*files.calls.borrow(), 0);
}

#[tokio::test]
async fn an_input_that_can_not_be_had_names_its_node_and_keeps_its_secrets() {
    let files = files().await;
    let at = |path: &str| format!("http://{}/{path}?token=SECRET", files.address);
    for input in [
        at("gone.png"),
        at("moved.png"),
        at("large.png"),
        "https://".to_owned(),
        "http://[SECRET/x.png".to_owned(),
        "data:image/png;base64,SECRET!".to_owned(),
        format!("data:image/png,{}", "SECRET".repeat(1000)),
    ] {
        let replay = Replay::of("load_image");
        let outcome = staged(&replay, options("127.0.0.1"), load_image(&input)).await;
        let failure = failure(&outcome);
        assert_eq!(failure["type"], "input_file_error", "{input}");
        assert_eq!(
            (&failure["node_id"], &failure["node_type"]),
            (&json!("1"), &json!("LoadImage"))
        );
        assert_eq!(failure["input_name"], "image");
        assert!(!failure.to_string().contains("SECRET"), "{failure}");
        assert_eq!(replay.graphs().len(), 0, "{input}");
    }
    // The redirect was not followed.
    assert_eq!(*files.calls.borrow(), 3);
}

#[tokio::test]
async fn without_object_info_the_usual_loaders_have_file_inputs() {
    let changes = Changes { no_object_info: true, ..Changes::default() };
    let replay = Replay::changed(Recording::load("load_image"), changes);
    let graph = load_image("data:image/webp;base64,AAAA");
    let outcome = staged(&replay, impatient(), graph).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert_eq!(replay.uploads()[0].0, format!("req-{ID}/1-input.webp"));
}

#[tokio::test]
async fn the_same_file_is_uploaded_once_and_too_many_are_not() {
    let graph = |images: &[&str]| -> Value {
        let mut graph = Recording::load("load_image").graph;
        for (number, image) in images.iter().enumerate() {
            graph[format!("9{number}")] =
                json!({"class_type": "LoadImage", "inputs": {"image": image}});
        }
        graph
    };
    let mut options = impatient();
    options.limits.inputs = 1;
    let replay = Replay::of("load_image");
    let outcome = staged(&replay, options.clone(), graph(&["data:,a", "data:,a"])).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    assert_eq!(replay.uploads().len(), 1);
    let sent = &replay.graphs()[0]["prompt"];
    assert_eq!(sent["90"], sent["91"]);

    let outcome = staged(&Replay::of("load_image"), options, graph(&["data:,a", "data:,b"])).await;
    assert_eq!(failure(&outcome)["node_id"], "91");
}

#[tokio::test]
async fn an_input_for_a_server_that_is_not_there_is_no_fault_of_the_input() {
    let mut replay = Replay::of("load_image");
    replay.kill();
    let outcome = staged(&replay, impatient(), load_image("data:,x")).await;
    assert_eq!(failure(&outcome)["type"], "comfyui_unreachable");
}
