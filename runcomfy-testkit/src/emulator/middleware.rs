//! The middleware of every call: finds the account, decides on faults, and records the outcome.

use std::{sync::Arc, time::Duration};

use axum::{
    body::to_bytes,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use runcomfy_core::{
    RequestId,
    error::{CallKind, Operation},
};

use super::{
    accounts::Fingerprint,
    app_state::{AppState, Caller, MAX_BODY_BYTES, bearer},
    call_log::CallRecord,
    connection::ConnectionHandle,
    encode::{self, AcceptedRequest},
    faults::{self, Effect, Fault, FaultDecision, FaultKind, InvalidFault, raw},
    shared::SharedState,
};
use crate::account::service_error;

pub(super) async fn handle(
    State(state): State<Arc<AppState>>,
    ConnectInfo(connection): ConnectInfo<ConnectionHandle>,
    mut request: Request,
    next: Next,
) -> Response {
    let shared = &state.shared;
    if !state.hosts.answers(request.headers()) {
        return (StatusCode::MISDIRECTED_REQUEST, "not a host name of this emulator")
            .into_response();
    }
    let path = request.uri().path();
    // Control calls have no faults.
    if path.starts_with("/_emulator/") {
        return next.run(request).await;
    }
    let requested = requested_fault(request.headers());
    let Some(operation) = operation(request.method(), path) else {
        let call = PendingCall {
            record: shared.call_log.open_call(),
            connection,
            shared,
            operation: None,
        };
        return match requested.and_then(|requested| requested.map(check_any_call).transpose()) {
            Ok(None) => call.forward(request, next).await,
            Ok(Some(fault)) => call.apply_fault(fault, request, next).await,
            Err(error) => call.answer_instead(request, faults::forbidden(&error)).await,
        };
    };
    let token = bearer(request.headers());
    let fake = token.and_then(|token| state.accounts.of(token));
    let Some((token, fake)) = token.zip(fake) else {
        shared.call_log.unauthenticated();
        return encode::unauthorized();
    };
    let mut record = shared.call_log.call(state.accounts.fingerprint(token), &fake, operation);
    if let Some(request) = request_id_in(path) {
        record.set_request(request);
    }
    let mut call = PendingCall { record, connection, shared, operation: Some(operation) };
    let met = requested.and_then(|requested| {
        let requested = requested.map(|fault| check_operation(fault, operation)).transpose()?;
        Ok(shared.faults.decide(operation, Fingerprint::of(token), path, requested))
    });
    request.extensions_mut().insert(Caller(fake));
    match met {
        Ok(FaultDecision::Nothing) => call.forward(request, next).await,
        Ok(FaultDecision::Fault(fault)) => call.apply_fault(fault, request, next).await,
        Ok(FaultDecision::Revoked) => {
            call.record.set_fault(FaultKind::TokenRevoked);
            call.answer_instead(request, encode::unauthorized()).await
        }
        Ok(FaultDecision::Hidden) => {
            call.record.set_fault(FaultKind::NotFoundAtFirst);
            let missing = service_error::missing(operation, "Request not found");
            call.answer_instead(request, encode::ErrorResponse::from(missing).into_response()).await
        }
        Err(error) => call.answer_instead(request, faults::forbidden(&error)).await,
    }
}

/// A call in progress.
struct PendingCall<'a> {
    record: CallRecord,
    connection: ConnectionHandle,
    shared: &'a SharedState,
    operation: Option<Operation>,
}

impl PendingCall<'_> {
    /// Handles the call without a fault.
    async fn forward(mut self, request: Request, next: Next) -> Response {
        let response = self.serve(request, next).await;
        self.record.answered(response.status(), took_effect(&response));
        response
    }

    /// Sends another response; the call has no effect.
    async fn answer_instead(self, request: Request, response: Response) -> Response {
        drain_body(request).await;
        self.record.answered(response.status(), false);
        response
    }

    async fn apply_fault(mut self, fault: Fault, mut request: Request, next: Next) -> Response {
        let kind = fault.kind();
        self.record.set_fault(kind);
        if let Some(script) = faults::script(&fault) {
            request.extensions_mut().insert(script);
            return self.forward(request, next).await;
        }
        if kind == FaultKind::NotFoundAtFirst {
            let response = self.serve(request, next).await;
            if let Some(AcceptedRequest(id)) = response.extensions().get() {
                let time = Duration::from_millis(fault.number("ms").unwrap_or_default());
                self.shared.faults.hide(id.as_str(), time);
            }
            self.record.answered(response.status(), took_effect(&response));
            return response;
        }
        let response = match fault.effect() {
            Effect::Applied => Some(self.serve(request, next).await),
            // The connection is reset before the body is read.
            Effect::Withheld if kind == FaultKind::ResetBeforeBody => None,
            Effect::Withheld => {
                drain_body(request).await;
                None
            }
        };
        let confirms = response.as_ref().is_some_and(took_effect);
        if raw::is_raw(kind) {
            return self.take_connection(&fault, response, confirms).await;
        }
        if let Some(response) = faults::answer(&fault) {
            // An endless response is never complete.
            if kind != FaultKind::EndlessBody {
                self.record.answered(response.status(), false);
            }
            return response;
        }
        let response = response.unwrap_or_else(faults::internal_error);
        let response = faults::rewrite(&fault, response).await;
        self.record.answered(response.status(), confirms);
        response
    }

    /// EffectRule the connection from the HTTP server and applies the fault to the socket.
    async fn take_connection(
        self,
        fault: &Fault,
        response: Option<Response>,
        confirms: bool,
    ) -> Response {
        if let Some(stream) = self.connection.take() {
            self.shared.call_log.connection_taken();
            let answered = tokio::select! {
                answered = raw::act(fault, stream, response) => answered,
                () = self.connection.stopped() => None,
            };
            if let Some(status) = answered {
                self.record.answered(status, confirms);
            }
        }
        // Not sent: the HTTP server finds the connection taken and abandons it.
        StatusCode::OK.into_response()
    }

    /// Runs the handler.
    async fn serve(&mut self, request: Request, next: Next) -> Response {
        let forwarded = self.record.forward();
        let changes = self.operation.is_some_and(|one| one.call_kind() != CallKind::Read);
        let work = async move {
            let response = next.run(request).await;
            forwarded.finish(took_effect(&response));
            response
        };
        // A change is completed and recorded even if the caller disconnects.
        let response = if changes { tokio::spawn(work).await } else { Ok(work.await) };
        match response {
            Ok(response) => {
                if let Some(AcceptedRequest(id)) = response.extensions().get() {
                    self.record.set_request(id.clone());
                }
                if let Some(encode::ErrorCode(code)) = response.extensions().get() {
                    self.record.set_error_code(*code);
                }
                response
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            },
        }
    }
}

fn took_effect(response: &Response) -> bool {
    response.status().is_success() && response.extensions().get::<encode::ErrorCode>().is_none()
}

/// Reads the whole body before a response is sent, as the service does.
async fn drain_body(request: Request) {
    // The response is the same if the body is too large or incomplete.
    let _ = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
}

/// The fault that the call's header asks for.
fn requested_fault(headers: &HeaderMap) -> Result<Option<Fault>, InvalidFault> {
    let Some(header) = headers.get("x-emulator-fault") else { return Ok(None) };
    let text = header.to_str().map_err(|_| InvalidFault::new("fault", "must be ASCII"))?;
    text.parse().map(Some)
}

fn check_operation(fault: Fault, operation: Operation) -> Result<Fault, InvalidFault> {
    if fault.applies_to(operation) {
        return Ok(fault);
    }
    let (kind, operation) = (fault.kind().as_str(), operation.as_str());
    Err(InvalidFault::new("fault", format!("{kind} does not apply to calls of {operation}")))
}

/// Checks a fault for a call that is no API operation.
fn check_any_call(fault: Fault) -> Result<Fault, InvalidFault> {
    if fault.applies_to_all() && fault.kind() != FaultKind::TokenRevoked {
        return Ok(fault);
    }
    let kind = fault.kind().as_str();
    Err(InvalidFault::new("fault", format!("{kind} applies to API calls only")))
}

/// The request id in the path.
fn request_id_in(path: &str) -> Option<RequestId> {
    let (_, rest) = path.split_once("/requests/")?;
    RequestId::new(rest.split('/').next()?).ok()
}

/// The operation of a call.
fn operation(method: &Method, path: &str) -> Option<Operation> {
    let mut parts = path.strip_prefix("/prod/")?.split('/');
    let (version, "deployments") = (parts.next()?, parts.next()?) else { return None };
    let rest: Vec<_> = parts.collect();
    // HEAD is handled like GET.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    match (version, method, &rest[..]) {
        ("v2", "GET", []) => Some(Operation::ListDeployments),
        ("v2", "POST", []) => Some(Operation::CreateDeployment),
        ("v2", "GET", [_]) => Some(Operation::GetDeployment),
        ("v2", "PATCH", [_]) => Some(Operation::UpdateDeployment),
        ("v2", "DELETE", [_]) => Some(Operation::DeleteDeployment),
        ("v2", "POST", [_, "instances", _, "proxy", _, ..]) => Some(Operation::CallInstanceProxy),
        ("v1" | "v2", "POST", [_, "inference"]) => Some(Operation::SubmitRequest),
        ("v1" | "v2", "GET", [_, "requests", _, "status"]) => Some(Operation::GetRequestStatus),
        ("v1" | "v2", "GET", [_, "requests", _, "result"]) => Some(Operation::GetRequestResult),
        ("v1" | "v2", "POST", [_, "requests", _, "cancel"]) => Some(Operation::CancelRequest),
        _ => None,
    }
}
