//! What every call passes first: whose it is, what it meets, and what is written down of it.

use std::{sync::Arc, time::Duration};

use axum::{
    body::to_bytes,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use runcomfy_core::{CallKind, Operation, RequestId};

use super::{
    accounts::Fingerprint,
    app_state::{AppState, Caller, MAX_BODY_BYTES, bearer},
    connection::Line,
    counters::CallRecord,
    faults::{self, Effect, Fault, FaultKind, InvalidFault, Met, raw},
    shared::SharedState,
    wire::{self, Accepted},
};
use crate::account::refusal;

pub(super) async fn watch(
    State(state): State<Arc<AppState>>,
    ConnectInfo(line): ConnectInfo<Line>,
    mut request: Request,
    next: Next,
) -> Response {
    let shared = &state.shared;
    if !state.hosts.answers(request.headers()) {
        return (StatusCode::MISDIRECTED_REQUEST, "not a name of this emulator").into_response();
    }
    let path = request.uri().path();
    // Whoever controls faults meets none.
    if path.starts_with("/_emulator/") {
        return next.run(request).await;
    }
    let asked = asked(request.headers());
    let Some(operation) = operation(request.method(), path) else {
        let visit = Visit { record: shared.ledger.open_call(), line, shared, operation: None };
        return match asked.and_then(|asked| asked.map(fits_any).transpose()) {
            Ok(None) => visit.through(request, next).await,
            Ok(Some(fault)) => visit.meet(fault, request, next).await,
            Err(error) => visit.instead(request, faults::forbidden(&error)).await,
        };
    };
    let token = bearer(request.headers());
    let fake = token.and_then(|token| state.accounts.of(token));
    let Some((token, fake)) = token.zip(fake) else {
        shared.ledger.unauthenticated();
        return wire::unauthorized();
    };
    let mut record = shared.ledger.call(state.accounts.fingerprint(token), &fake, operation);
    if let Some(request) = request_in(path) {
        record.is_about(request);
    }
    let mut visit = Visit { record, line, shared, operation: Some(operation) };
    let met = asked.and_then(|asked| {
        let asked = asked.map(|fault| fits(fault, operation)).transpose()?;
        Ok(shared.faults.on_call(operation, Fingerprint::of(token), path, asked))
    });
    request.extensions_mut().insert(Caller(fake));
    match met {
        Ok(Met::Nothing) => visit.through(request, next).await,
        Ok(Met::Fault(fault)) => visit.meet(fault, request, next).await,
        Ok(Met::Revoked) => {
            visit.record.meets(FaultKind::TokenRevoked);
            visit.instead(request, wire::unauthorized()).await
        }
        Ok(Met::Hidden) => {
            visit.record.meets(FaultKind::NotFoundAtFirst);
            let missing = refusal::missing(operation, "Request not found");
            visit.instead(request, wire::Refusal::from(missing).into_response()).await
        }
        Err(error) => visit.instead(request, faults::forbidden(&error)).await,
    }
}

/// One call on its way.
struct Visit<'a> {
    record: CallRecord,
    line: Line,
    shared: &'a SharedState,
    operation: Option<Operation>,
}

impl Visit<'_> {
    /// Unharmed.
    async fn through(mut self, request: Request, next: Next) -> Response {
        let right = self.serve(request, next).await;
        self.record.answered(right.status(), took_effect(&right));
        right
    }

    /// Another answer, and no effect.
    async fn instead(self, request: Request, response: Response) -> Response {
        read_to_its_end(request).await;
        self.record.answered(response.status(), false);
        response
    }

    async fn meet(mut self, fault: Fault, mut request: Request, next: Next) -> Response {
        let kind = fault.kind();
        self.record.meets(kind);
        if let Some(script) = faults::script(&fault) {
            request.extensions_mut().insert(script);
            return self.through(request, next).await;
        }
        if kind == FaultKind::NotFoundAtFirst {
            let right = self.serve(request, next).await;
            if let Some(Accepted(id)) = right.extensions().get() {
                let time = Duration::from_millis(fault.number("ms").unwrap_or_default());
                self.shared.faults.hide(id.as_str(), time);
            }
            self.record.answered(right.status(), took_effect(&right));
            return right;
        }
        let right = match fault.effect() {
            Effect::Applied => Some(self.serve(request, next).await),
            // It goes before the body has come.
            Effect::Withheld if kind == FaultKind::ResetBeforeBody => None,
            Effect::Withheld => {
                read_to_its_end(request).await;
                None
            }
        };
        let confirms = right.as_ref().is_some_and(took_effect);
        if raw::is_raw(kind) {
            return self.on_the_wire(&fault, right, confirms).await;
        }
        if let Some(response) = faults::answer(&fault) {
            // An endless one is never whole.
            if kind != FaultKind::EndlessBody {
                self.record.answered(response.status(), false);
            }
            return response;
        }
        let right = right.unwrap_or_else(faults::internal_error);
        let response = faults::rewrite(&fault, right).await;
        self.record.answered(response.status(), confirms);
        response
    }

    /// Takes the connection, and does the rest without the HTTP server.
    async fn on_the_wire(self, fault: &Fault, right: Option<Response>, confirms: bool) -> Response {
        if let Some(stream) = self.line.take() {
            self.shared.ledger.cut();
            let answered = tokio::select! {
                answered = raw::act(fault, stream, right) => answered,
                () = self.line.stopped() => None,
            };
            if let Some(status) = answered {
                self.record.answered(status, confirms);
            }
        }
        // Nobody gets it: the server finds the connection gone, and gives it up.
        StatusCode::OK.into_response()
    }

    /// The service's own answer.
    async fn serve(&mut self, request: Request, next: Next) -> Response {
        let passed = self.record.passes();
        let changes = self.operation.is_some_and(|one| one.call_kind() != CallKind::Read);
        let work = async move {
            let right = next.run(request).await;
            passed.done(took_effect(&right));
            right
        };
        // What was begun is finished and written down, whether or not the caller still listens.
        let right = if changes { tokio::spawn(work).await } else { Ok(work.await) };
        match right {
            Ok(right) => {
                if let Some(Accepted(id)) = right.extensions().get() {
                    self.record.is_about(id.clone());
                }
                if let Some(wire::Refused(code)) = right.extensions().get() {
                    self.record.refused(*code);
                }
                right
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down.
                Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            },
        }
    }
}

fn took_effect(right: &Response) -> bool {
    right.status().is_success() && right.extensions().get::<wire::Refused>().is_none()
}

/// So that the caller has said all before it gets an answer, as from the service.
async fn read_to_its_end(request: Request) {
    // Too much, or broken off: the answer is the same.
    let _ = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
}

/// The fault that the caller asks for.
fn asked(headers: &HeaderMap) -> Result<Option<Fault>, InvalidFault> {
    let Some(header) = headers.get("x-emulator-fault") else { return Ok(None) };
    let text = header.to_str().map_err(|_| InvalidFault::new("fault", "must be ASCII"))?;
    text.parse().map(Some)
}

fn fits(fault: Fault, operation: Operation) -> Result<Fault, InvalidFault> {
    if fault.meets(operation) {
        return Ok(fault);
    }
    let (kind, operation) = (fault.kind().as_str(), operation.as_str());
    Err(InvalidFault::new("fault", format!("{kind} never meets a call of {operation}")))
}

/// For calls that are no operation's.
fn fits_any(fault: Fault) -> Result<Fault, InvalidFault> {
    if fault.meets_anything() && fault.kind() != FaultKind::TokenRevoked {
        return Ok(fault);
    }
    let kind = fault.kind().as_str();
    Err(InvalidFault::new("fault", format!("{kind} meets calls of the API only")))
}

/// The request that a call names.
fn request_in(path: &str) -> Option<RequestId> {
    let (_, rest) = path.split_once("/requests/")?;
    RequestId::new(rest.split('/').next()?).ok()
}

/// Which operation a call is of.
fn operation(method: &Method, path: &str) -> Option<Operation> {
    let mut parts = path.strip_prefix("/prod/")?.split('/');
    let (version, "deployments") = (parts.next()?, parts.next()?) else { return None };
    let rest: Vec<_> = parts.collect();
    // A HEAD is answered as the GET would be.
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
