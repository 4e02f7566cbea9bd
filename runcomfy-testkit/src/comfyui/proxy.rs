//! Passes a caller's proxy calls on to ComfyUI.
//!
//! Several callers share one server, so calls that would stop or remove other callers' jobs are restricted to
//! the caller's own: interrupts, and clearing the queue and the history. Calls that cannot be restricted are
//! refused: cancelling a list of jobs, the WebSocket, and ComfyUI-Manager, which can install code. Reads are
//! not restricted, so every caller sees the server's whole queue and history.

use std::fmt;

use axum::body::Bytes;
use runcomfy_core::instance::ProxyPath;
use serde_json::{Value, json};

use super::{
    api::{JobPosition, Reply},
    error::ComfyError,
    server::Server,
};

/// The supported methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// ComfyUI's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxyAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProxyError {
    /// The proxy does not pass this call on.
    Refused(&'static str),
    Server(ComfyError),
}

/// How a call is passed on.
enum Scope {
    /// Unchanged.
    Open,
    /// With this body.
    Narrowed(Value),
    /// Not at all; this is the response.
    Answered(ProxyAnswer),
}

/// The body of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProxyBody<'a> {
    Json(Option<&'a Value>),
    /// A multipart form: its content type with the boundary, and its bytes.
    Form(&'a str, &'a Bytes),
}

/// Whether the route takes a form. All other routes of ComfyUI read JSON, whatever the content type is.
pub(crate) fn takes_forms(path: &ProxyPath) -> bool {
    let segments: Vec<_> = path.as_str().split('/').collect();
    matches!(route(&segments), ["upload", "image" | "mask"])
}

impl Server {
    /// Passes a call on. `own` tells whether a prompt id belongs to the caller.
    pub(crate) async fn proxy(
        &self,
        method: Method,
        path: &ProxyPath,
        query: Option<&str>,
        body: ProxyBody<'_>,
        own: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<ProxyAnswer, ProxyError> {
        if path.is_manager_route() {
            return Err(ProxyError::Refused(
                "the route is closed: ComfyUI-Manager is not reached through the proxy",
            ));
        }
        let body = match body {
            ProxyBody::Json(body) => body,
            ProxyBody::Form(content_type, bytes) => {
                return self.upload(path, query, content_type, bytes).await;
            }
        };
        let segments: Vec<_> = path.as_str().split('/').collect();
        let mut url = self.api.url(&segments);
        url.set_query(query);
        let (request, scope) = match method {
            Method::Get => (self.api.http().get(url), self.of_get(&segments)?),
            Method::Post => (self.api.http().post(url), self.of_post(&segments, body, own).await?),
        };
        let body = match &scope {
            Scope::Answered(_) => None,
            Scope::Narrowed(body) => Some(body),
            Scope::Open => body,
        };
        if let Scope::Answered(answer) = scope {
            return Ok(answer);
        }
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let Reply { status, content_type, bytes } = self.api.call(request).await?;
        Ok(ProxyAnswer { status, content_type, bytes })
    }

    async fn upload(
        &self,
        path: &ProxyPath,
        query: Option<&str>,
        content_type: &str,
        bytes: &Bytes,
    ) -> Result<ProxyAnswer, ProxyError> {
        if !takes_forms(path) {
            return Err(ProxyError::Refused("only upload/image and upload/mask take forms"));
        }
        let mut url = self.api.url(&path.as_str().split('/').collect::<Vec<_>>());
        url.set_query(query);
        let request = self.api.http().post(url).header("content-type", content_type);
        let Reply { status, content_type, bytes } =
            self.api.call_within(self.api.times().input, request.body(bytes.clone())).await?;
        Ok(ProxyAnswer { status, content_type, bytes })
    }

    fn of_get(&self, segments: &[&str]) -> Result<Scope, ProxyError> {
        match route(segments) {
            ["ws"] => Err(ProxyError::Refused(
                "the route ws is closed: the WebSocket is not reached through the proxy",
            )),
            _ => Ok(Scope::Open),
        }
    }

    async fn of_post(
        &self,
        segments: &[&str],
        body: Option<&Value>,
        own: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Scope, ProxyError> {
        let body = body.unwrap_or(&Value::Null);
        Ok(match route(segments) {
            ["interrupt"] => {
                let wanted = body.get("prompt_id").and_then(Value::as_str);
                let queue = self.api.queue().await?;
                let mut running = queue
                    .into_iter()
                    .filter(|(place, _)| *place == JobPosition::Running)
                    .map(|(_, job)| job.prompt_id);
                match running.find(|id| own(id) && wanted.is_none_or(|wanted| wanted == id)) {
                    Some(id) => Scope::Narrowed(json!({"prompt_id": id})),
                    // ComfyUI's response if nothing runs.
                    None => Scope::Answered(ProxyAnswer::empty()),
                }
            }
            ["queue"] => {
                let mut ids = Vec::new();
                if is_set(body.get("clear")) {
                    let queue = self.api.queue().await?;
                    let pending =
                        queue.into_iter().filter(|(place, ..)| *place == JobPosition::Pending);
                    ids.extend(pending.map(|(_, job)| job.prompt_id));
                }
                Scope::Narrowed(deletion(body, ids, own))
            }
            ["history"] => {
                let mut ids = Vec::new();
                if is_set(body.get("clear")) {
                    let history = self.api.get(&["history"]).await?;
                    ids.extend(history.as_object().into_iter().flat_map(|all| all.keys().cloned()));
                }
                Scope::Narrowed(deletion(body, ids, own))
            }
            ["jobs", id, "cancel"] if !own(id) => {
                let bytes = br#"{"cancelled": false}"#.to_vec();
                let content_type = Some("application/json; charset=utf-8".to_owned());
                Scope::Answered(ProxyAnswer { status: 200, content_type, bytes })
            }
            ["jobs", "cancel"] => {
                return Err(ProxyError::Refused(
                    "the route jobs/cancel is closed: through the proxy, jobs are cancelled one by one, at jobs/{prompt_id}/cancel",
                ));
            }
            _ => Scope::Open,
        })
    }
}

impl ProxyAnswer {
    fn empty() -> Self {
        Self { status: 200, content_type: None, bytes: Vec::new() }
    }
}

impl From<ComfyError> for ProxyError {
    fn from(error: ComfyError) -> Self {
        Self::Server(error)
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ProxyError {}

/// ComfyUI also serves each route under `api/`.
fn route<'a, 'b>(segments: &'a [&'b str]) -> &'a [&'b str] {
    segments.strip_prefix(&["api"]).unwrap_or(segments)
}

/// A deletion of those ids, from `ids` and from the body, that belong to the caller.
fn deletion(body: &Value, mut ids: Vec<String>, own: impl Fn(&str) -> bool) -> Value {
    let named = match body.get("delete") {
        None => None,
        Some(Value::Array(named)) => Some(named),
        // ComfyUI reports that this is not a list.
        Some(other) => return json!({"delete": other}),
    };
    let named = named.into_iter().flatten().filter_map(Value::as_str);
    ids.extend(named.map(str::to_owned));
    ids.retain(|id| own(id));
    json!({"delete": ids})
}

/// Whether the value is true in Python.
fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}
