//! `AppState`: what the route handlers share, and the extractors that read it.

use std::{io, num::NonZero, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::Response,
};
use serde_json::json;
use tokio::sync::Semaphore;
use url::Url;

use super::{
    accounts::Accounts, encode, hosts::Hosts, notifier::Notifier, pool::Pool, shared::SharedState,
};
use crate::{
    fake::FakeRunComfy,
    outputs::{self, File},
};

/// The largest request body. A workflow with inline images has several megabytes.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct AppState {
    pub(super) accounts: Arc<Accounts>,
    pub(super) base: Url,
    /// Runs requests on ComfyUI. Without it, the fake simulates the runs.
    pub(super) pool: Option<Arc<Pool>>,
    /// Delivers webhooks, if they are compiled in.
    pub(super) notifier: Option<Notifier>,
    pub(super) shared: Arc<SharedState>,
    pub(super) hosts: Hosts,
    pub(super) drawing: DrawingLimit,
}

/// The account of the bearer token. The middleware inserts it for calls of an operation; for other calls the
/// extractor looks it up.
#[derive(Clone)]
pub(super) struct Caller(pub(super) FakeRunComfy);

impl FromRequestParts<Arc<AppState>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, Response> {
        let account = |headers| state.accounts.of(bearer(headers)?).map(Caller);
        let inserted = parts.extensions.remove();
        inserted.or_else(|| account(&parts.headers)).ok_or_else(encode::unauthorized)
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Requires `Content-Type: application/json`, with or without a body. A web page of another origin cannot
/// send that header without a CORS preflight, which this server never allows.
pub(super) struct RequireJson;

impl<S: Sync> FromRequestParts<S> for RequireJson {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let value = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            return Ok(Self);
        }
        let message = "send it with Content-Type: application/json";
        Err(encode::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!({"error": message})))
    }
}

/// Limits how many images are drawn at a time to the number of cores, because drawing one takes some
/// milliseconds of CPU and ten times the memory of its file.
pub(super) struct DrawingLimit(Arc<Semaphore>);

impl DrawingLimit {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Semaphore::new(cores)))
    }

    /// The bytes of a file, drawn on a blocking thread.
    pub(super) async fn bytes(&self, file: File) -> io::Result<outputs::Bytes> {
        let permit = self.0.clone().acquire_owned().await.map_err(io::Error::other)?;
        let draw = move || {
            // Held until the drawing ends, even if the caller has disconnected.
            let _permit = permit;
            file.bytes()
        };
        tokio::task::spawn_blocking(draw).await.map_err(io::Error::other)
    }
}
