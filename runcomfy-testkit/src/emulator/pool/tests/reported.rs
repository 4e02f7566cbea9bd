//! Tests of the reports about servers to the emulator's operator.

use std::sync::{Arc, Mutex};

use axum::Router;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until there are this many.
    async fn are(&self, count: usize) -> Vec<String> {
        until(|| self.all().len() >= count).await;
        self.all()
    }
}

async fn reporting(url: url::Url) -> (Emulator, Lines) {
    let lines = Lines::default();
    let to = lines.clone();
    let mut builder = Emulator::builder().comfyui(url);
    builder.comfyui_times = impatient();
    let builder = builder.report(move |line| to.0.lock().unwrap().push(line.to_owned()));
    (builder.start().await.unwrap(), lines)
}

#[tokio::test]
async fn a_server_that_is_found_lost_and_found_again_is_a_line_each() {
    let mut server = Replay::of("invert");
    let name = server.url().as_str().trim_end_matches('/').to_owned();
    let (emulator, lines) = reporting(server.url()).await;
    lines.are(1).await;
    server.kill();
    lines.are(2).await;
    // It is polled meanwhile.
    Caller::of(&emulator).servers(&["unreachable"]).await;
    server.restart().await;
    server.called("GET /system_stats", 2).await;
    let lines = lines.are(3).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.contains(&name) && line.lines().count() == 1),
        "{lines:?}"
    );
    assert!(lines[0].contains("0.33.0"), "{lines:?}");
}

#[tokio::test]
async fn something_else_at_the_address_is_told_from_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let nothing = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(axum::http::StatusCode::NOT_FOUND)
    });
    tokio::spawn(async move { axum::serve(listener, nothing).await });
    let (emulator, lines) = reporting(url.parse().unwrap()).await;
    Caller::of(&emulator).servers(&["not_comfyui"]).await;
    until(|| calls.load(Ordering::Relaxed) > 5).await;
    assert_eq!(lines.all().len(), 1, "{:?}", lines.all());
}
