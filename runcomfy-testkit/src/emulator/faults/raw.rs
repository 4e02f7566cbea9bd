//! Faults that act on the socket itself, after it was taken from the HTTP server.

use std::{io, time::Duration};

use axum::{
    body::{Bytes, to_bytes},
    http::{StatusCode, header},
    response::Response,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{answers, fault::Fault, table::FaultKind};

/// Whether the fault acts on the socket.
pub(in crate::emulator) fn is_raw(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::AnswerLost
            | FaultKind::CloseAfterBody
            | FaultKind::CutResponse
            | FaultKind::Garbage
            | FaultKind::InformationalFlood
            | FaultKind::ResetAfterBody
            | FaultKind::ResetBeforeBody
            | FaultKind::Stall
            | FaultKind::Trickle
    )
}

/// Applies the fault and ends the connection. Returns the status if a complete response was written.
pub(in crate::emulator) async fn act(
    fault: &Fault,
    mut stream: TcpStream,
    right: Option<Response>,
) -> Option<StatusCode> {
    match fault.kind() {
        FaultKind::AnswerLost if fault.is("end", "close") => close(stream).await,
        FaultKind::AnswerLost | FaultKind::ResetAfterBody | FaultKind::ResetBeforeBody => {
            reset(stream);
        }
        FaultKind::CutResponse => return cut(fault, stream, right).await,
        FaultKind::Garbage => {
            if stream.write_all(GARBAGE).await.is_ok() {
                close(stream).await;
            }
        }
        FaultKind::InformationalFlood => flood(stream).await,
        FaultKind::Stall => peer_closed(&mut stream).await,
        FaultKind::Trickle => return trickle(fault, stream, right).await,
        _ => close(stream).await,
    }
    None
}

/// Bytes that are not HTTP.
const GARBAGE: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03SSH-2.0-\xff\xfe\x00\r\n\r\n";

/// Closes a connection with a reset.
pub(in crate::emulator) fn reset(stream: TcpStream) {
    // If the option cannot be set, the connection is closed without a reset.
    let _ = stream.set_zero_linger();
}

/// Closes a connection without a reset. Reads what the peer still sends, because dropping a socket with
/// unread data sends a reset.
pub(in crate::emulator) async fn close(mut stream: TcpStream) {
    const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
    if stream.shutdown().await.is_ok() {
        // A peer that does not close in time may see a reset.
        let _ = timeout(CLOSE_TIMEOUT, peer_closed(&mut stream)).await;
    }
}

/// Resolves when the peer has closed the connection.
async fn peer_closed(stream: &mut TcpStream) {
    let mut ignored = [0; 4096];
    while stream.read(&mut ignored).await.is_ok_and(|count| count > 0) {}
}

async fn flood(mut stream: TcpStream) {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style\r\n\r\n";
    let hints = hint.repeat(100);
    while stream.write_all(hints.as_bytes()).await.is_ok() {}
}

async fn cut(fault: &Fault, mut stream: TcpStream, right: Option<Response>) -> Option<StatusCode> {
    let answer = Written::from(right).await;
    let at = usize::try_from(fault.number("at").unwrap_or_default()).unwrap_or(usize::MAX);
    let before = if fault.is("of", "body") { answer.head } else { 0 };
    let end = at.saturating_add(before).min(answer.bytes.len());
    stream.write_all(&answer.bytes[..end]).await.ok()?;
    if fault.is("end", "reset") {
        reset(stream);
    } else {
        close(stream).await;
    }
    (end == answer.bytes.len()).then_some(answer.status)
}

async fn trickle(
    fault: &Fault,
    mut stream: TcpStream,
    right: Option<Response>,
) -> Option<StatusCode> {
    let answer = Written::from(right).await;
    let drop_size = usize::try_from(fault.number("bytes").unwrap_or(1)).unwrap_or(usize::MAX);
    let pause = Duration::from_millis(fault.number("every_ms").unwrap_or_default());
    let at_once = if fault.is("of", "body") { answer.head } else { 0 };
    let written: io::Result<()> = async {
        stream.write_all(&answer.bytes[..at_once]).await?;
        for bytes in answer.bytes[at_once..].chunks(drop_size.max(1)) {
            sleep(pause).await;
            stream.write_all(bytes).await?;
        }
        Ok(())
    }
    .await;
    written.ok()?;
    close(stream).await;
    Some(answer.status)
}

/// A response as bytes, and the length of its head.
struct Written {
    status: StatusCode,
    bytes: Vec<u8>,
    head: usize,
}

impl Written {
    /// Encodes the correct response, or an error response if the call had no effect.
    async fn from(right: Option<Response>) -> Self {
        let (parts, body) = right.unwrap_or_else(answers::internal_error).into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_else(|_| Bytes::new());
        let reason = parts.status.canonical_reason().unwrap_or_default();
        let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_str()).into_bytes();
        for (name, value) in &parts.headers {
            if name != header::CONTENT_LENGTH {
                bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
            }
        }
        // A 204 has no body.
        if parts.status != StatusCode::NO_CONTENT {
            bytes.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
        }
        bytes.extend(b"connection: close\r\n\r\n");
        let head = bytes.len();
        bytes.extend(body);
        Self { status: parts.status, bytes, head }
    }
}
