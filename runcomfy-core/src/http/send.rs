//! Sends calls: attempts, deadlines, size limits.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, Response,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
        RETRY_AFTER,
    },
};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use super::{
    clients::Purpose,
    observer::Attempt,
    response::{DecodeContext, RawResponse},
    response_buffer::{Buffer, ResponseBuffer},
    retry_after::retry_after,
    state::ClientState,
    transport,
};
use crate::{
    error::{CallKind, Error, ErrorKind, Operation, Outcome},
    id::{DeploymentId, RequestId},
    json::{NonFinite, replace_non_finite},
    retry::Stage,
    token::Token,
};

/// One call to the API, ready to be sent, perhaps more than once.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    method: Method,
    url: Url,
    /// JSON.
    pub(super) body: Option<Bytes>,
    deployment_id: Option<&'a DeploymentId>,
    request_id: Option<&'a RequestId>,
    secrets: Vec<&'a str>,
}

/// When a call began and when it must end. Retries do not extend it.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    pub(super) started: Instant,
    pub(super) ends: Instant,
}

/// A failed attempt, and how far it got.
struct FailedAttempt {
    error: Error,
    stage: Stage,
}

impl From<Error> for FailedAttempt {
    fn from(error: Error) -> Self {
        Self { stage: Stage::of(&error), error }
    }
}

impl ClientState {
    pub(super) fn deadline(&self, operation: Operation) -> Deadline {
        let timeouts = &self.settings.timeouts;
        let total = match (operation, operation.call_kind()) {
            (Operation::CallInstanceProxy, _) => timeouts.proxy,
            (_, CallKind::Read) => timeouts.read_total,
            (_, CallKind::Idempotent | CallKind::Paid) => timeouts.write_total,
        };
        let started = Instant::now();
        Deadline { started, ends: after(started, total) }
    }

    /// Sends `call` until it succeeds, can't, or the deadline is near, and reads the response with `read`.
    pub(super) async fn send<T>(
        &self,
        call: &Call<'_>,
        token: &Token,
        deadline: Deadline,
        read: impl Fn(&DecodeContext<'_>, RawResponse) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let timeouts = &self.settings.timeouts;
        let longest_try = match (call.operation, call.operation.call_kind()) {
            (Operation::CallInstanceProxy, _) => timeouts.proxy,
            (_, CallKind::Read) => timeouts.read_attempt,
            (_, CallKind::Idempotent | CallKind::Paid) => timeouts.write_attempt,
        };
        let mut attempt = 1;
        loop {
            let began = Instant::now();
            let until = after(began, longest_try).min(deadline.ends);
            let tried = self.send_once(call, token, until, &read).await;
            let (took, elapsed) = (began.elapsed(), deadline.started.elapsed());
            let tell = |error: Option<&Error>, again| {
                if let Some(observer) = &self.settings.observer {
                    let operation = call.operation;
                    observer.on_attempt(&Attempt { operation, took, attempt, error, again });
                }
            };
            let FailedAttempt { error, stage } = match tried {
                Ok(answer) => {
                    self.retry_buckets.refund(token);
                    tell(None, false);
                    tracing::debug!(
                        operation = call.operation.as_str(),
                        deployment_id = call.deployment_id.map(DeploymentId::as_str),
                        request_id = call.request_id.map(RequestId::as_str),
                        attempt,
                        elapsed_ms = elapsed.as_millis(),
                        "answered"
                    );
                    return Ok(answer);
                }
                Err(failed) => failed,
            };
            let delay = self.settings.retry.delay(&error, stage, attempt, fastrand::f64());
            let (error, delay) = self.within_budget(error, stage, delay, token, deadline);
            tell(Some(&error), delay.is_some());
            tracing::debug!(
                operation = call.operation.as_str(),
                deployment_id = call.deployment_id.map(DeploymentId::as_str),
                request_id = call.request_id.map(RequestId::as_str),
                attempt,
                elapsed_ms = elapsed.as_millis(),
                kind = error.kind().as_str(),
                outcome = error.outcome().as_str(),
                status = error.status_code(),
                retry_in_ms = delay.map(|delay| delay.as_millis()),
                "failed"
            );
            let Some(delay) = delay else {
                return Err(call.with_ids(error).with_attempts(attempt, elapsed));
            };
            sleep(delay).await;
            attempt += 1;
        }
    }

    /// `delay` where it ends before the deadline and the quota has room for another attempt. Where the quota
    /// has none, the error says when it will.
    pub(super) fn within_budget(
        &self,
        error: Error,
        stage: Stage,
        delay: Option<Duration>,
        token: &Token,
        deadline: Deadline,
    ) -> (Error, Option<Duration>) {
        let delay = delay.filter(|delay| after(Instant::now(), *delay) < deadline.ends);
        match delay.map(|_| self.retry_buckets.take(token, stage)) {
            None | Some(Ok(())) => (error, delay),
            Some(Err(lacking)) => {
                let asked = error.retry_after().unwrap_or_default();
                (error.with_retry_after(asked.max(lacking)), None)
            }
        }
    }

    /// What it means that the connection broke.
    fn transport_error(&self, call: &Call<'_>, error: reqwest::Error) -> Error {
        let proxy = self.clients.proxy_for(&call.url).ok().flatten();
        transport::failure(call.operation, &call.url, proxy, error)
    }

    async fn send_once<T>(
        &self,
        call: &Call<'_>,
        token: &Token,
        until: Instant,
        read: impl Fn(&DecodeContext<'_>, RawResponse) -> Result<T, Error>,
    ) -> Result<T, FailedAttempt> {
        let operation = call.operation;
        let purpose = match operation.call_kind() {
            CallKind::Read => Purpose::Reads,
            CallKind::Idempotent | CallKind::Paid => Purpose::Writes,
        };
        let unsent = |kind| Error::new(operation, kind).with_outcome(Outcome::NotSent);
        let client = match timeout_at(until, self.clients.client(purpose)).await {
            Ok(Ok(client)) => client,
            Ok(Err(source)) => {
                return Err(unsent(ErrorKind::UpstreamTls).with_source(source).into());
            }
            Err(_) => return Err(unsent(ErrorKind::TimedOut).into()),
        };
        let mut request = client.request(call.method.clone(), call.url.clone()).header(
            AUTHORIZATION,
            bearer(token).ok_or_else(|| unsent(ErrorKind::Unauthenticated))?,
        );
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        } else if call.method == Method::POST {
            // Some gateways answer a POST of no announced length with 411.
            request = request.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut response = match timeout_at(until, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.transport_error(call, error).into()),
            Err(_) => return Err(Error::new(operation, ErrorKind::TimedOut).into()),
        };

        let status = response.status().as_u16();
        if status == 407 && call.url.scheme() == "http" {
            // Without TLS there is no tunnel: the proxy answers in place of what it was to call.
            if let Ok(Some(proxy)) = self.clients.proxy_for(&call.url) {
                return Err(transport::failed_proxy(operation, proxy.wants_password()).into());
            }
        }
        let limits = &self.settings.limits;
        let success = response.status().is_success();
        let max = match (success, operation) {
            (false, _) => limits.max_error_bytes,
            (
                true,
                Operation::CancelRequest
                | Operation::DeleteDeployment
                | Operation::GetRequestStatus
                | Operation::SubmitRequest,
            ) => limits.max_small_response_bytes.min(limits.max_response_bytes),
            (true, _) => limits.max_response_bytes,
        };
        let (mut body, end) = read_body::<ResponseBuffer>(&mut response, max, until).await;
        // The status of an error response suffices if its body is incomplete.
        if success && let Err(body_error) = end {
            let permanent = matches!(body_error, BodyError::TooLarge);
            let error = match body_error {
                BodyError::Cut(error) => self.transport_error(call, error),
                BodyError::TimedOut => Error::new(operation, ErrorKind::TimedOut),
                BodyError::TooLarge => Error::new(operation, ErrorKind::UpstreamProtocol)
                    .with_message(format!("an answer of more than {max} bytes")),
            };
            let error = error.with_status_code(status);
            let stage = if permanent { Stage::Permanent } else { Stage::of(&error) };
            return Err(FailedAttempt { error, stage });
        }
        if end.is_err() {
            // An incomplete body may end within the token, and a prefix of it might not be recognised.
            body.truncate(body.len().saturating_sub(token.expose().len()));
        }
        let body: Bytes = body.into();
        let response = RawResponse {
            status,
            content_type: text(response.headers(), CONTENT_TYPE),
            retry_after: text(response.headers(), RETRY_AFTER)
                .and_then(|value| retry_after(&value, text(response.headers(), DATE).as_deref())),
            body: body.clone(),
            non_finite: None,
        };
        let secrets: Vec<&str> =
            std::iter::once(token.expose()).chain(call.secrets.iter().copied()).collect();
        let context = DecodeContext { operation, secrets: &secrets };
        let as_json = |mut response: RawResponse| {
            let (body, non_finite) = without_non_finite(body.clone());
            (response.body, response.non_finite) = (body, non_finite);
            response
        };
        // These are decoded as text where they are no JSON, and errors without their details.
        if !success
            || matches!(
                operation,
                Operation::CallInstanceProxy
                    | Operation::CancelRequest
                    | Operation::DeleteDeployment
            )
        {
            return Ok(read(&context, as_json(response))?);
        }
        let (status, retry_after) = (response.status, response.retry_after);
        match read(&context, response) {
            // Only a response that can't be read is searched: the search would cost each large one 2 %.
            Err(error) if error.kind() == ErrorKind::UpstreamProtocol => {
                let again = as_json(RawResponse {
                    status,
                    content_type: None,
                    retry_after,
                    body: Bytes::new(),
                    non_finite: None,
                });
                if again.non_finite.is_none() {
                    Err(error.into())
                } else {
                    Ok(read(&context, again)?)
                }
            }
            outcome => outcome.map_err(FailedAttempt::from),
        }
    }
}

impl<'a> Call<'a> {
    pub(super) fn new(operation: Operation, method: Method, url: Url) -> Self {
        Self {
            operation,
            method,
            url,
            body: None,
            deployment_id: None,
            request_id: None,
            secrets: Vec::new(),
        }
    }

    pub(super) fn deployment(mut self, id: &'a DeploymentId) -> Self {
        self.deployment_id = Some(id);
        self
    }

    pub(super) fn request(mut self, id: &'a RequestId) -> Self {
        self.request_id = Some(id);
        self
    }

    pub(super) fn body(mut self, json: Bytes) -> Self {
        self.body = Some(json);
        self
    }

    /// Texts in the request that no error may contain.
    pub(super) fn secrets(mut self, secrets: Vec<&'a str>) -> Self {
        self.secrets = secrets;
        self
    }

    /// `error` with the ids of what it was about.
    pub(super) fn with_ids(&self, mut error: Error) -> Error {
        if let Some(id) = self.deployment_id {
            error = error.with_deployment_id(id.clone());
        }
        if let Some(id) = self.request_id {
            error = error.with_request_id(id.clone());
        }
        error
    }
}

/// The body, where it is JSON as Python writes it, as JSON that can be read.
fn without_non_finite(body: Bytes) -> (Bytes, Option<NonFinite>) {
    match replace_non_finite(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body)) {
        Some((json, found)) => (json.into(), Some(found)),
        None => (body, None),
    }
}

/// `start` plus `duration`; what the clock can't hold is far enough away.
pub(super) fn after(start: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    start.checked_add(duration).unwrap_or_else(|| start + FAR)
}

fn bearer(token: &Token) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Why a body is not whole.
pub(super) enum BodyError {
    Cut(reqwest::Error),
    TimedOut,
    TooLarge,
}

/// What a response may only announce is not made room for.
const MOST_RESERVED: usize = 16 * 1024 * 1024;

/// Reads at most `max` bytes, counted after decompression: what came, and whether that is all.
pub(super) async fn read_body<B: Buffer>(
    response: &mut Response,
    max: usize,
    until: Instant,
) -> (B, Result<(), BodyError>) {
    // A megabyte that grows by and by is moved over and over.
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = B::with_room(announced.unwrap_or_default().min(max).min(MOST_RESERVED));
    loop {
        match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                let room = max - body.len();
                body.push(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return (body, Err(BodyError::TooLarge));
                }
            }
            Ok(Ok(None)) => return (body, Ok(())),
            Ok(Err(error)) => return (body, Err(BodyError::Cut(error))),
            Err(_) => return (body, Err(BodyError::TimedOut)),
        }
    }
}
