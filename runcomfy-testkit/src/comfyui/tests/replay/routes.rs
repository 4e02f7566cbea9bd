//! The routes of the replaying server.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::Response,
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{Playing, Shared};
use crate::comfyui::tests::{
    ID, classes,
    recording::{Recording, Told, sample},
};

pub(super) async fn answer(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let path = path.strip_prefix("/api").unwrap_or(&path).trim_start_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    if segments == ["ws"] && !shared.changes.no_socket {
        shared.note("GET /ws".into());
        return connect(shared, &mut request, query["clientId"].clone());
    }
    let method = request.method().as_str().to_owned();
    let boundary = request.headers().get(header::CONTENT_TYPE).and_then(|value| {
        value.to_str().ok()?.split_once("boundary=").map(|(_, name)| name.to_owned())
    });
    let bytes = to_bytes(request.into_body(), 1 << 30).await.unwrap();
    let shown = if boundary.is_some() { "(form)".into() } else { String::from_utf8_lossy(&bytes) };
    shared.note(format!("{method} /{path} {shown}").trim_end().to_owned());
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut played = shared.lock();
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["system_stats"]) => json_of(&sample("http/system_stats.json")),
        ("GET", ["object_info"]) if !shared.changes.no_object_info => {
            json_of(&sample("http/object_info_small.json"))
        }
        ("GET", ["object_info", class]) if !shared.changes.no_object_info => {
            let all = sample("http/object_info_small.json");
            json_of(&all.get(class).map_or(json!({}), |info| json!({*class: info})))
        }
        ("GET", ["queue"]) => {
            let item =
                |job: &Playing| json!([job.number, job.id, {}, {"client_id": job.client}, []]);
            let jobs = |running| {
                let those = played.jobs.iter().filter(|job| job.running == running);
                those.map(item).collect::<Vec<_>>()
            };
            json_of(&json!({"queue_running": jobs(true), "queue_pending": jobs(false)}))
        }
        ("GET", ["history"]) => json_of(&Value::Object(played.history.clone())),
        ("GET", ["history", id]) => {
            json_of(&played.history.get(*id).map_or(json!({}), |entry| json!({*id: entry})))
        }
        ("GET", ["view"]) => {
            let views = played.begun.iter().flat_map(|recording| &recording.views);
            let is_it = |item: &Value| {
                ["filename", "subfolder", "type"].iter().all(|key| item[key] == query[*key])
            };
            match views.into_iter().find(|view| is_it(&view.item)) {
                Some(view) => Response::new(Body::from(view.bytes.clone())),
                None => status(StatusCode::NOT_FOUND),
            }
        }
        ("POST", ["upload", "image"]) => {
            let form = form(&bytes, &boundary.unwrap());
            let text = |key| String::from_utf8(form[key].1.clone()).unwrap();
            let (name, subfolder) = (form["image"].0.clone().unwrap(), text("subfolder"));
            assert_eq!((text("type").as_str(), text("overwrite").as_str()), ("input", "true"));
            played.uploads.push((format!("{subfolder}/{name}"), form["image"].1.clone()));
            json_of(&json!({"name": name, "subfolder": subfolder, "type": "input"}))
        }
        ("POST", ["prompt"]) if played.dropped < shared.changes.dropped_posts => {
            played.dropped += 1;
            broken()
        }
        ("POST", ["prompt"]) => {
            // Selects the recording of this workflow.
            let sent = classes(&body["prompt"]);
            let alike = |recording: &Arc<Recording>| classes(&recording.graph) == sent;
            let place = played.recordings.iter().position(alike).unwrap_or_default();
            let recording = played.recordings.remove(place).unwrap();
            played.begun.push_front(recording.clone());
            played.graphs.push(body.clone());
            let mut answer = recording.answer.clone();
            let number = played.posted;
            played.posted += 1;
            if recording.status == 200 {
                let id = shared
                    .changes
                    .own_id
                    .as_deref()
                    .or(body["prompt_id"].as_str())
                    .unwrap_or(ID)
                    .to_owned();
                let client = body["client_id"].as_str().unwrap().to_owned();
                answer["prompt_id"] = json!(id);
                answer["number"] = json!(number);
                if let Some(node_errors) = &shared.changes.node_errors {
                    answer["node_errors"] = node_errors.clone();
                }
                let job = Playing { number, id, client, running: false };
                shared.begin(&mut played, &recording, job);
            }
            if shared.changes.lost_answer {
                return broken();
            }
            let mut response = json_of(&answer);
            *response.status_mut() = StatusCode::from_u16(recording.status).unwrap();
            response
        }
        ("POST", ["queue"]) => {
            let deletes =
                |id: &str| body["delete"].as_array().is_some_and(|ids| ids.contains(&json!(id)));
            played.jobs.retain(|job| job.running || !deletes(&job.id));
            shared.moved.send_replace(());
            status(StatusCode::OK)
        }
        ("POST", ["interrupt"]) => {
            if played
                .jobs
                .front()
                .is_some_and(|job| job.running && body["prompt_id"] == job.id.as_str())
            {
                played.interrupts += 1;
            }
            if shared.changes.interrupts.is_some_and(|needed| played.interrupts >= needed) {
                shared.released.send_replace(usize::MAX);
            }
            status(StatusCode::OK)
        }
        ("POST", ["history" | "free"]) => status(StatusCode::OK),
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn connect(shared: Arc<Shared>, request: &mut Request, client: String) -> Response {
    let key = request.headers()[header::SEC_WEBSOCKET_KEY].clone();
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let stream = reqwest::Upgraded::from(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let (sender, mut told) = mpsc::unbounded_channel();
        {
            let mut played = shared.lock();
            let greeting = played.recordings.front().or(played.begun.front());
            for told in greeting.into_iter().flat_map(|recording| recording.greetings.clone()) {
                let _ = sender.send(told);
            }
            played.sockets.insert(client, sender);
        }
        shared.note("(connected)".into());
        loop {
            let message = tokio::select! {
                told = told.recv() => match told {
                    Some(Told::Text(text)) => Message::text(text),
                    Some(Told::Binary(bytes)) => Message::binary(bytes),
                    None => return,
                },
                said = socket.next() => match said {
                    Some(Ok(_)) => continue,
                    _ => return,
                },
            };
            if socket.send(message).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .body(Body::empty())
        .unwrap()
}

fn json_of(value: &Value) -> Response {
    let body = Body::from(value.to_string());
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(body)
        .unwrap()
}

fn status(status: StatusCode) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// A response that is cut off.
fn broken() -> Response {
    Response::new(Body::from_stream(futures_util::stream::once(async {
        Err::<Vec<u8>, _>("gone")
    })))
}

/// The parts of a form: file name and bytes by field name.
fn form(bytes: &[u8], boundary: &str) -> HashMap<String, (Option<String>, Vec<u8>)> {
    let find =
        |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let mark = format!("--{boundary}");
    let mut parts = HashMap::new();
    let mut rest = &bytes[find(bytes, mark.as_bytes()).unwrap() + mark.len()..];
    while let Some(end) = find(rest, mark.as_bytes()) {
        let (part, after) = rest.split_at(end);
        let head_end = find(part, b"\r\n\r\n").unwrap();
        let head = String::from_utf8(part[..head_end].to_vec()).unwrap();
        let field = |name: &str| {
            let (_, value) = head.split_once(&format!("{name}=\""))?;
            Some(value.split('"').next().unwrap().to_owned())
        };
        let content = part[head_end + 4..part.len() - 2].to_vec();
        parts.insert(field(" name").unwrap(), (field("filename"), content));
        rest = &after[mark.len()..];
    }
    parts
}
