//! A peer that closes each connection after its answer, although it promised to keep it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures_util::future::join_all;
use runcomfy_core::{DeploymentId, HttpApi, InferenceRequest, RunComfyApi as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::canned::{TOKEN, builder};

const LANES: usize = 10;
const IN_A_LANE: usize = 300;

/// How often each deployment was submitted to.
type Seen = Arc<Mutex<HashMap<String, u32>>>;

// A submit over a kept connection would now and then meet its end, and nobody could say whether it
// arrived: with a pool, some of these 3,000 end so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_peer_that_closes_after_each_answer_leaves_no_submit_open_and_doubles_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = builder(&format!("http://{}", listener.local_addr().unwrap()));
    let mut timeouts = runcomfy_core::client::Timeouts::default();
    timeouts.connect = std::time::Duration::from_secs(20);
    let api = api.timeouts(timeouts).token(TOKEN.parse().unwrap()).build().unwrap();
    let seen = Seen::default();
    let counter = Arc::clone(&seen);
    let peer = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer_and_close(stream, Arc::clone(&counter)));
            while connections.try_join_next().is_some() {}
        }
    });
    join_all((0..LANES).map(|lane| submit_all(&api, lane))).await;
    peer.abort();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), LANES * IN_A_LANE);
    assert!(seen.values().all(|times| *times == 1));
}

async fn submit_all(api: &HttpApi, lane: usize) {
    for number in 0..IN_A_LANE {
        let id = DeploymentId::new(format!("d{lane}-{number}")).unwrap();
        let submitted = api.submit_request(&InferenceRequest::new(id.clone())).await;
        assert_eq!(submitted.unwrap().request_id.as_str(), id.as_str());
    }
}

async fn answer_and_close(mut stream: TcpStream, seen: Seen) {
    let mut request = Vec::new();
    // The body of such a submit is `{}`.
    while !request.ends_with(b"\r\n\r\n{}") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let target = String::from_utf8(request).unwrap();
    let deployment = target.split('/').nth(4).unwrap().to_owned();
    *seen.lock().unwrap().entry(deployment.clone()).or_default() += 1;
    let body = format!(r#"{{"request_id":"{deployment}"}}"#);
    let head = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/json";
    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
    // Sometimes the client begins its next call first, and sometimes the end is there before.
    for _ in 0..fastrand::u32(0..8) {
        tokio::task::yield_now().await;
    }
}
