//! Serves output files at the URLs that results name.

use std::{io, path::Path, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Path as Place, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use runcomfy_core::RequestId;
use tokio::{fs, io::AsyncReadExt as _};

use super::app_state::AppState;
use crate::outputs;

/// Headers that prevent scripts: anybody can create a file, and files have the same origin as the page.
const HARMLESS: [(HeaderName, &str); 2] =
    [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::CONTENT_SECURITY_POLICY, "sandbox")];

/// How much of a file is in memory at a time.
const PIECE: usize = 64 * 1024;

/// Needs no token, like the service's storage.
pub(super) async fn output_file(
    State(state): State<Arc<AppState>>,
    Place((request, kind, path)): Place<(String, String, String)>,
) -> Response {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let file = RequestId::new(request).ok().and_then(|request| {
        state.accounts.all().iter().find_map(|(_, fake)| fake.file(&request, &kind, folder, name))
    });
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
    let content_type = [(header::CONTENT_TYPE, file.content_type())];
    let body = match state.drawing.bytes(file).await {
        Ok(outputs::Bytes::Here(bytes)) => bytes.into_response(),
        Ok(outputs::Bytes::At(path)) => match stored(&path).await {
            Ok(body) => body,
            Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    (content_type, HARMLESS, body).into_response()
}

/// Streams a file from disk. If the file shrinks meanwhile, the response is cut short.
async fn stored(path: &Path) -> io::Result<Response> {
    let file = fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    let pieces = stream::try_unfold(file.take(length), async |mut file| {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
        io::Result::Ok((read > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok(([(header::CONTENT_LENGTH, length)], Body::from_stream(pieces)).into_response())
}
