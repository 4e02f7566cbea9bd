//! A webhook receiver with scripted responses.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use url::Url;

/// The response to a call.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// 200 with an endless body.
    Endless,
    Never,
    Redirect(&'static str),
    /// 200 with a body that never comes.
    Stalled,
    Status(u16),
    /// 200 after [`Receiver::release`].
    WhenReleased,
}

/// A received call.
pub(super) struct Call {
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

pub(super) struct Receiver {
    base: Url,
    calls: mpsc::UnboundedReceiver<Call>,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    calls: mpsc::UnboundedSender<Call>,
    now: AtomicUsize,
    most: AtomicUsize,
    sent: AtomicUsize,
    released: CancellationToken,
}

impl Receiver {
    /// Starts a receiver that sends these responses and then 200.
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::over(TcpListener::bind("127.0.0.1:0").await.unwrap(), answers)
    }

    pub(super) fn over(listener: TcpListener, answers: impl IntoIterator<Item = Answer>) -> Self {
        let base = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, calls) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            calls: sender,
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            released: CancellationToken::new(),
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, calls, shared, _server: AbortOnDropHandle::new(server) }
    }

    pub(super) fn url(&self, target: &str) -> Url {
        self.base.join(target).unwrap()
    }

    /// The next call.
    pub(super) async fn called(&mut self) -> Call {
        soon(self.calls.recv()).await.unwrap()
    }

    /// How many bytes of endless responses were sent.
    pub(super) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Answers the waiting calls.
    pub(super) fn release(&self) {
        self.shared.released.cancel();
    }

    /// The most concurrent calls.
    pub(super) fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }
}

/// Waits for an event, or fails.
pub(super) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), event).await.unwrap()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let _under_way = UnderWay::new(&shared);
    shared.calls.send(Call { target: uri.to_string(), headers, body }).ok();
    let answer = shared.answers.lock().unwrap().pop_front();
    match answer.unwrap_or(Answer::Status(200)) {
        Answer::Endless => {
            const CHUNK: usize = 64 << 10;
            let shared = shared.clone();
            let body = futures_util::stream::repeat_with(move || {
                shared.sent.fetch_add(CHUNK, Ordering::SeqCst);
                Ok::<_, Infallible>(vec![b'x'; CHUNK])
            });
            Body::from_stream(body).into_response()
        }
        Answer::Never => std::future::pending().await,
        Answer::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
        Answer::Stalled => {
            let body = futures_util::stream::pending::<Result<Vec<u8>, Infallible>>();
            Body::from_stream(body).into_response()
        }
        Answer::Status(status) => {
            (StatusCode::from_u16(status).unwrap(), "an answer").into_response()
        }
        Answer::WhenReleased => {
            shared.released.cancelled().await;
            StatusCode::OK.into_response()
        }
    }
}

/// Counts a call until it is dropped.
struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Shared) -> Self {
        let now = shared.now.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}
