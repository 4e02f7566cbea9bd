//! Messages as lines: each is read within bounds, checked, and answered even where it is none.

use std::{
    borrow::Cow,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rmcp::{
    RoleServer,
    model::{
        ClientNotification, ErrorCode, ErrorData, GetExtensions as _, JsonRpcMessage, RequestId,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    open::OpenRequests,
    opening::{self, Early},
    output::{self, Output},
};
use crate::{
    protocol::{handshake, message},
    result::splices::{Splice, cut},
    transport::brief::shorten_error,
};

/// An id is ours to keep, and to send back.
const LONGEST_ID: usize = 256;

const BUFFER: usize = 64 * 1024;

/// MCP over a pair of pipes.
pub(super) struct Lines<R, W> {
    reader: BufReader<R>,
    output: Arc<Output<W>>,
    open: Arc<OpenRequests>,
    bounds: LineBounds,
    /// What others want to know of it.
    state: Arc<LineState>,
    /// What has come of the line under way.
    line: Vec<u8>,
    /// That line is too long: the rest of it is thrown away.
    too_long: bool,
    /// Client and server have agreed on a revision.
    agreed: bool,
    /// An answer of this file's own on its way out. It survives being interrupted.
    answering: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Fires at the end of input.
    ended: CancellationToken,
    /// Fires when the client has gone, whoever holds its end of the pipe.
    gone: CancellationToken,
    /// From the end of input on: until when answers are waited for.
    patience: Option<Instant>,
}

/// How much, and how long.
pub(super) struct LineBounds {
    /// The longest line, in bytes.
    pub(super) line: usize,
    /// How long calls may take from the end of input on.
    pub(super) drain: Duration,
}

/// What is known of a session besides its messages.
pub(super) struct LineState {
    output: Arc<output::OutputState>,
    open: Arc<OpenRequests>,
    heard: AtomicBool,
}

impl LineState {
    /// Whether the client has said anything.
    pub(super) fn heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Why the client takes no more, where that is so.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.output.failure()
    }

    /// Waits until all that was asked is answered, and out.
    pub(super) async fn all_answered(&self) {
        tokio::select! {
            () = self.open.all_answered() => {}
            () = self.output.closed() => {}
        }
    }
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    /// `ended` fires at the end of input, or when nobody takes output any more; `gone` when the client is known
    /// to have gone.
    pub(super) fn new(
        reader: R,
        writer: W,
        bounds: LineBounds,
        ended: CancellationToken,
        gone: CancellationToken,
    ) -> Self {
        let (output, open) = (Output::new(writer), Arc::<OpenRequests>::default());
        let state = LineState {
            output: Arc::clone(output.state()),
            open: Arc::clone(&open),
            heard: AtomicBool::new(false),
        };
        Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            output: Arc::new(output),
            open,
            bounds,
            state: Arc::new(state),
            line: Vec::new(),
            too_long: false,
            agreed: false,
            answering: None,
            ended,
            gone,
            patience: None,
        }
    }

    pub(super) fn state(&self) -> &Arc<LineState> {
        &self.state
    }

    /// The next whole line, `None` at the end. What was read is kept when this is interrupted.
    async fn next_line(&mut self) -> Option<Line> {
        loop {
            let bytes = match self.reader.fill_buf().await {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!(%error, "the input can't be read: taken for its end");
                    return None;
                }
            };
            if bytes.is_empty() {
                return None; // half a line is none
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.too_long || self.line.len() + part.len() > self.bounds.line {
                self.too_long = true;
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(bytes.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                if std::mem::take(&mut self.too_long) {
                    return Some(Line::TooLong);
                }
                return Some(Line::Whole(std::mem::take(&mut self.line)));
            }
        }
    }

    /// What a line says, or how to answer where it says nothing; neither, where it needs no answer.
    fn read(&mut self, line: &[u8]) -> Option<Result<RxJsonRpcMessage<RoleServer>, LineRefusal>> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return None;
        }
        self.state.heard.store(true, Ordering::Relaxed);
        if let Err(unfit) = message::check(line) {
            return Some(Err(LineRefusal::new(unfit.code(), unfit.message())));
        }
        let invalid = |message| Some(Err(LineRefusal::new(ErrorCode::INVALID_REQUEST.0, message)));
        let Ok(mut message) = serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line) else {
            let Ok(head) = serde_json::from_slice::<MessageHead>(line) else {
                return invalid("the id is a text or a whole number");
            };
            return match head {
                // Whatever it tells, no answer is wanted.
                MessageHead { id: None, method: Some(_), .. } => None,
                MessageHead { id: Some(id), method: Some(method), params } if is_short(&id) => {
                    let named = (method == handshake::METHOD)
                        .then(|| handshake::complete(params, &handshake::UNSAID).err());
                    let error = named.flatten().unwrap_or_else(|| {
                        ErrorData::invalid_request("the message is no JSON-RPC request", None)
                    });
                    Some(Err(LineRefusal::of(id, error)))
                }
                _ => invalid("the message is no JSON-RPC request or notification"),
            };
        };
        if let JsonRpcMessage::Request(request) = &message
            && !is_short(&request.id)
        {
            return invalid("an id has at most 256 bytes");
        }
        if !self.agreed {
            match (opening::judge(&mut message), &message) {
                (Early::Agrees, _) => self.agreed = true,
                (Early::Passes, _) => {}
                (Early::Refused(error), JsonRpcMessage::Request(request)) => {
                    return Some(Err(LineRefusal::of(request.id.clone(), error)));
                }
                _ => {
                    tracing::debug!("dropped a message that came before the handshake");
                    return None;
                }
            }
        }
        if let JsonRpcMessage::Request(request) = &mut message {
            let Some((insertions, receipt)) = self.open.begin(&request.id) else {
                // Not under that id: it would be taken for the other's answer.
                return invalid("a request of this id is under way: each needs an id of its own");
            };
            let extensions = request.request.extensions_mut();
            extensions.insert(insertions);
            extensions.insert(receipt);
        }
        Some(Ok(message))
    }

    /// The next message, `None` at the end. Nothing is lost when this is interrupted.
    async fn next_message(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(answering) = &mut self.answering {
                answering.await;
                self.answering = None;
            }
            self.open.room().await;
            let read = match self.next_line().await? {
                Line::Whole(line) => self.read(&line),
                Line::TooLong => Some(Err(LineRefusal::new(
                    ErrorCode::INVALID_REQUEST.0,
                    "the message is larger than this server takes",
                ))),
            };
            match read {
                Some(Ok(message)) => {
                    // A call that is cancelled is never answered: its id is free again.
                    if let JsonRpcMessage::Notification(told) = &message
                        && let ClientNotification::CancelledNotification(cancelled) =
                            &told.notification
                    {
                        cancelled.params.request_id.iter().for_each(|id| self.open.cancel(id));
                    }
                    return Some(message);
                }
                Some(Err(refusal)) => self.refuse(refusal),
                None => {}
            }
        }
    }

    fn refuse(&mut self, refusal: LineRefusal) {
        let LineRefusal { id, error } = refusal;
        tracing::warn!(code = error.code.0, "refused a line: {}", error.message);
        let output = Arc::clone(&self.output);
        let answer = TxJsonRpcMessage::<RoleServer>::error(error, id);
        let Ok(line) = line(&answer, Vec::new()) else { return };
        self.answering = Some(Box::pin(async move {
            // Whether anybody takes it shows at the next line.
            let _ = output.write(&line).await;
        }));
    }
}

/// A message as a line, in pieces, with what was left out of it.
fn line(message: &TxJsonRpcMessage<RoleServer>, left_out: Vec<Splice>) -> io::Result<Vec<Bytes>> {
    let mut json = serde_json::to_vec(message)?;
    json.push(b'\n');
    if left_out.is_empty() {
        return Ok(vec![json.into()]);
    }
    if let Some(pieces) = cut(json.into(), left_out) {
        return Ok(pieces);
    }
    let id = match message {
        JsonRpcMessage::Response(response) => Some(response.id.clone()),
        _ => None,
    };
    let error = ErrorData::internal_error("internal error", None);
    line(&TxJsonRpcMessage::<RoleServer>::error(error, id), Vec::new())
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Why a line was not taken.
struct LineRefusal {
    id: Option<RequestId>,
    error: ErrorData,
}

impl LineRefusal {
    /// Of a line whose id is not known, or not to be trusted.
    fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { id: None, error: ErrorData::new(ErrorCode(code), message, None) }
    }

    fn of(id: RequestId, error: ErrorData) -> Self {
        Self { id: Some(id), error }
    }
}

/// As much of a message as tells how to answer it.
#[derive(Deserialize)]
struct MessageHead {
    #[serde(default, deserialize_with = "present")]
    id: Option<RequestId>,
    method: Option<Value>,
    params: Option<Value>,
}

/// An id that is there must be one: null is none.
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RequestId>, D::Error> {
    RequestId::deserialize(deserializer).map(Some)
}

fn is_short(id: &RequestId) -> bool {
    match id {
        RequestId::Number(_) => true,
        RequestId::String(text) => text.len() <= LONGEST_ID,
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        mut message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (output, leaving) = (Arc::clone(&self.output), self.open.leaving());
        // Before it is out: whoever has the answer may use its id again at once.
        let pending = match &mut message {
            JsonRpcMessage::Response(response) => self.open.end(&response.id),
            JsonRpcMessage::Error(error) => {
                shorten_error(&mut error.error);
                error.id.as_ref().and_then(|id| self.open.end(id))
            }
            _ => None,
        };
        async move {
            let (mut left_out, delivery) = pending.unwrap_or_default().split();
            if matches!(message, JsonRpcMessage::Error(_)) {
                left_out.clear(); // an error has no place for it
            }
            let written = match line(&message, left_out) {
                Ok(line) => output.write(&line).await,
                Err(error) => Err(error),
            };
            if written.is_ok() {
                delivery.done();
            }
            drop(leaving);
            written
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        if self.patience.is_none() {
            let (output, gone) = (Arc::clone(&self.state.output), self.gone.clone());
            let message = tokio::select! {
                message = self.next_message() => message,
                () = output.closed() => None,
                () = gone.cancelled() => None,
            };
            if message.is_some() {
                return message;
            }
            self.ended.cancel();
        }
        // From the moment on at which this returns, the library gives answers five seconds.
        let by = *self.patience.get_or_insert_with(|| Instant::now() + self.bounds.drain);
        let _ = timeout_at(by, self.state.all_answered()).await;
        None
    }

    async fn close(&mut self) -> io::Result<()> {
        self.output.close().await
    }
}
