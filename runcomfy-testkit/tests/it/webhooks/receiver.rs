//! A webhook receiver for tests.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::task::AbortOnDropHandle;
use url::{Url, form_urlencoded};

/// A received call.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) target: String,
    pub(super) content_type: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) payload: Value,
}

pub(super) struct Receiver {
    base: Url,
    told: mpsc::UnboundedReceiver<Told>,
    _server: AbortOnDropHandle<()>,
}

type Answers = Mutex<dyn FnMut(&Value) -> u16 + Send>;

#[derive(Clone)]
struct Shared {
    told: mpsc::UnboundedSender<Told>,
    answers: Arc<Answers>,
}

impl Receiver {
    /// Starts a receiver whose status for each payload is given by `answers`.
    pub(super) async fn start(answers: impl FnMut(&Value) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, told) = mpsc::unbounded_channel();
        let shared = Shared { told: sender, answers: Arc::new(Mutex::new(answers)) };
        let router = Router::new().fallback(answer).with_state(shared);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, told, _server: AbortOnDropHandle::new(server) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.base.join(path).unwrap().into()
    }

    /// The query of a submit with this webhook.
    pub(super) fn query(&self, path: &str, more: &str) -> String {
        let url: String = form_urlencoded::byte_serialize(self.url(path).as_bytes()).collect();
        format!("webhook={url}{more}")
    }

    /// The next call.
    pub(super) async fn told(&mut self) -> Told {
        tokio::time::timeout(Duration::from_secs(20), self.told.recv()).await.unwrap().unwrap()
    }
}

async fn answer(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let payload: Value = serde_json::from_str(&body).unwrap();
    let status = (shared.answers.lock().unwrap())(&payload);
    let told = Told {
        target: uri.to_string(),
        content_type: header("content-type"),
        authorization: header("authorization"),
        payload,
    };
    // The test may be over.
    drop(shared.told.send(told));
    StatusCode::from_u16(status).unwrap()
}
