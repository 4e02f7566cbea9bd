//! Messages as lines: each is read within bounds, checked, and answered even where it is none.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use rmcp::{
    RoleServer,
    model::{ErrorCode, ErrorData, GetExtensions as _, JsonRpcMessage, RequestId},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{Mutex as AsyncMutex, Notify},
};
use tokio_util::sync::CancellationToken;

use super::opening::{self, Early};
use crate::{
    handshake, message,
    transport::{
        Insertions,
        brief::shorten_error,
        insertions::{Insertion, cut},
    },
};

/// Requests that may be under way; after that, no line is read until one is answered.
const MOST_IN_FLIGHT: usize = 1_200;
/// An id is ours to keep, and to send back.
const LONGEST_ID: usize = 256;

const BUFFER: usize = 64 * 1024;

/// MCP over a pair of pipes.
pub(super) struct Lines<R, W> {
    reader: BufReader<R>,
    writer: Arc<Writer<W>>,
    open: Arc<Open>,
    most: usize,
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
}

struct Writer<W> {
    pipe: AsyncMutex<W>,
    /// Fires when nobody reads any more.
    closed: CancellationToken,
}

/// The requests that are not answered yet.
#[derive(Default)]
struct Open {
    /// By their ids, each with what is left out of its answer.
    ids: Mutex<HashMap<RequestId, Insertions>>,
    /// Answers on their way out.
    leaving: AtomicUsize,
    answered: Notify,
}

impl Open {
    /// `None` where there is one of that id already.
    fn begin(&self, id: &RequestId) -> Option<Insertions> {
        match self.ids.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()) {
            hash_map::Entry::Occupied(_) => None,
            hash_map::Entry::Vacant(place) => Some(place.insert(Insertions::default()).clone()),
        }
    }

    /// What belongs into its answer.
    fn end(&self, id: &RequestId) -> Vec<Insertion> {
        let ended = self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.answered.notify_one();
        ended.map(|insertions| insertions.take()).unwrap_or_default()
    }

    /// From here on until it is dropped, an answer takes up the room of its request.
    fn leaving(self: &Arc<Self>) -> Leaving {
        self.leaving.fetch_add(1, Ordering::Relaxed);
        Leaving(Arc::clone(self))
    }

    fn is_full(&self) -> bool {
        let waiting = self.ids.lock().unwrap_or_else(PoisonError::into_inner).len();
        waiting + self.leaving.load(Ordering::Relaxed) >= MOST_IN_FLIGHT
    }
}

struct Leaving(Arc<Open>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leaving.fetch_sub(1, Ordering::Relaxed);
        self.0.answered.notify_one();
    }
}

impl<W: AsyncWrite + Unpin + Send> Writer<W> {
    /// Writes a line that came in pieces.
    async fn write(&self, pieces: &[Bytes]) -> io::Result<()> {
        let mut pipe = self.pipe.lock().await;
        let written = async {
            for piece in pieces {
                pipe.write_all(piece).await?;
            }
            pipe.flush().await
        };
        written.await.inspect_err(|_| self.closed.cancel())
    }
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    /// Reads lines of at most `most` bytes. `ended` fires at the end of input, or when nobody takes output
    /// any more.
    pub(super) fn new(reader: R, writer: W, most: usize, ended: CancellationToken) -> Self {
        let writer = Writer { pipe: AsyncMutex::new(writer), closed: CancellationToken::new() };
        Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            writer: Arc::new(writer),
            open: Arc::default(),
            most,
            line: Vec::new(),
            too_long: false,
            agreed: false,
            answering: None,
            ended,
        }
    }

    /// The next whole line, `None` at the end. What was read is kept when this is interrupted.
    async fn next_line(&mut self) -> Option<Line> {
        loop {
            let closed = self.writer.closed.clone();
            let bytes = tokio::select! {
                bytes = self.reader.fill_buf() => bytes.ok()?,
                () = closed.cancelled() => return None,
            };
            if bytes.is_empty() {
                return None; // half a line is none
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.too_long || self.line.len() + part.len() > self.most {
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
    fn read(&mut self, line: &[u8]) -> Option<Result<RxJsonRpcMessage<RoleServer>, Refusal>> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return None;
        }
        if let Err(unfit) = message::check(line) {
            return Some(Err(Refusal::new(unfit.code(), unfit.message())));
        }
        let invalid = |message| Some(Err(Refusal::new(ErrorCode::INVALID_REQUEST.0, message)));
        let Ok(mut message) = serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line) else {
            let Ok(head) = serde_json::from_slice::<Head>(line) else {
                return invalid("the id is a text or a whole number");
            };
            return match head {
                // Whatever it tells, no answer is wanted.
                Head { id: None, method: Some(_), .. } => None,
                Head { id: Some(id), method: Some(method), params } if is_short(&id) => {
                    let named = (method == handshake::METHOD)
                        .then(|| handshake::complete(params, &handshake::UNSAID).err());
                    let error = named.flatten().unwrap_or_else(|| {
                        ErrorData::invalid_request("the message is no JSON-RPC request", None)
                    });
                    Some(Err(Refusal::of(id, error)))
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
                    return Some(Err(Refusal::of(request.id.clone(), error)));
                }
                _ => {
                    tracing::debug!("dropped a message that came before the handshake");
                    return None;
                }
            }
        }
        if let JsonRpcMessage::Request(request) = &mut message {
            let Some(insertions) = self.open.begin(&request.id) else {
                // Not under that id: it would be taken for the other's answer.
                return invalid("a request of this id is under way: each needs an id of its own");
            };
            request.request.extensions_mut().insert(insertions);
        }
        Some(Ok(message))
    }

    fn refuse(&mut self, refusal: Refusal) {
        let Refusal { id, error } = refusal;
        tracing::warn!(code = error.code.0, "refused a line: {}", error.message);
        let writer = Arc::clone(&self.writer);
        let answer = TxJsonRpcMessage::<RoleServer>::error(error, id);
        let Ok(line) = line(&answer, Vec::new()) else { return };
        self.answering = Some(Box::pin(async move {
            // Whether anybody takes it shows at the next line.
            let _ = writer.write(&line).await;
        }));
    }
}

/// A message as a line, in pieces, with what was left out of it.
fn line(
    message: &TxJsonRpcMessage<RoleServer>,
    left_out: Vec<Insertion>,
) -> io::Result<Vec<Bytes>> {
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
struct Refusal {
    id: Option<RequestId>,
    error: ErrorData,
}

impl Refusal {
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
struct Head {
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
        let (writer, leaving) = (Arc::clone(&self.writer), self.open.leaving());
        // Before it is out: whoever has the answer may use its id again at once.
        let left_out = match &mut message {
            JsonRpcMessage::Response(response) => self.open.end(&response.id),
            JsonRpcMessage::Error(error) => {
                shorten_error(&mut error.error);
                let left_out = error.id.as_ref().map(|id| self.open.end(id));
                drop(left_out); // an error has no place for it
                Vec::new()
            }
            _ => Vec::new(),
        };
        async move {
            let written = match line(&message, left_out) {
                Ok(line) => writer.write(&line).await,
                Err(error) => Err(error),
            };
            drop(leaving);
            written
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(answering) = &mut self.answering {
                answering.await;
                self.answering = None;
            }
            while self.open.is_full() {
                self.open.answered.notified().await;
            }
            let Some(line) = self.next_line().await else {
                self.ended.cancel();
                return None;
            };
            let read = match line {
                Line::Whole(line) => self.read(&line),
                Line::TooLong => Some(Err(Refusal::new(
                    ErrorCode::INVALID_REQUEST.0,
                    "the message is larger than this server takes",
                ))),
            };
            match read {
                Some(Ok(message)) => {
                    // A call that is cancelled is never answered: its id is free again.
                    if let JsonRpcMessage::Notification(told) = &message
                        && let rmcp::model::ClientNotification::CancelledNotification(cancelled) =
                            &told.notification
                    {
                        cancelled.params.request_id.iter().for_each(|id| drop(self.open.end(id)));
                    }
                    return Some(message);
                }
                Some(Err(refusal)) => self.refuse(refusal),
                None => {}
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.writer.pipe.lock().await.shutdown().await
    }
}
