//! What is written of a call once it is over: a line in the log, and metrics. Only names, numbers and this
//! server's own words: never an argument, a token, or somebody's text.

use rmcp::model::{JsonObject, NumberOrString};
use runcomfy_core::internals::is_id;
use runcomfy_http_edge::HttpRequestId;
use serde_json::Value;
use tokio::time::Instant;

use super::request::{CallContext, InboundRequest};
use crate::{
    result::{Shaped, ToolError, ToolResult},
    telemetry::{Ended, Metrics},
};

/// The log entry of one call.
pub(crate) struct CallLog {
    began: Instant,
    tool: &'static str,
    transport: &'static str,
    protocol: Option<String>,
    /// The name of its request, to find it again in the logs of others.
    call_id: Option<String>,
    caller: Option<String>,
    deployment_id: Option<String>,
    request_id: Option<String>,
    bytes_in: Option<usize>,
    ended: Ended,
    status_code: Option<u64>,
    attempts: Option<u64>,
}

impl CallLog {
    pub(crate) fn begin(
        tool: &'static str,
        arguments: Option<&JsonObject>,
        context: &CallContext,
    ) -> Self {
        let parts = context.http.as_ref();
        let extensions = parts.map(|parts| &parts.extensions);
        let http_id = extensions.and_then(|extensions| extensions.get::<HttpRequestId>());
        let number = match &context.id {
            NumberOrString::Number(number) => Some(number.to_string()),
            // The client's own words.
            NumberOrString::String(_) => None,
        };
        Self {
            began: Instant::now(),
            tool,
            transport: if parts.is_some() { "http" } else { "stdio" },
            protocol: context.version.as_ref().map(ToString::to_string),
            call_id: http_id.map(|id| id.as_str().to_owned()).or(number),
            caller: None,
            deployment_id: arguments.and_then(|arguments| id(arguments, "deployment_id")),
            request_id: arguments.and_then(|arguments| id(arguments, "request_id")),
            bytes_in: extensions
                .and_then(|all| all.get::<InboundRequest>())
                .map(|visit| visit.bytes),
            ended: Ended { outcome: "ok", kind: "ok", replayed: false },
            status_code: None,
            attempts: None,
        }
    }

    /// Whose call it is, by a hash that tells nothing of their token.
    pub(crate) fn set_caller(&mut self, account: &str) {
        self.caller = Some(account.get(..8).unwrap_or(account).to_owned());
    }

    pub(crate) fn set_outcome(&mut self, outcome: &Result<ToolResult, ToolError>) {
        let data = match outcome {
            Ok(reply) => {
                self.ended.kind = reply.kind();
                if self.ended.kind == "input_required" {
                    self.ended.outcome = "not_sent";
                }
                reply.payload()
            }
            Err(fault) => {
                (self.ended.outcome, self.ended.kind) = (fault.outcome().as_str(), fault.kind());
                fault.more()
            }
        };
        self.ended.replayed = data.get("replayed") == Some(&Value::Bool(true));
        self.status_code = data.get("status_code").and_then(Value::as_u64);
        self.attempts = data.get("attempts").and_then(Value::as_u64);
        let learnt = |known: &mut Option<String>, key| {
            *known = known.take().or_else(|| id(data, key));
        };
        learnt(&mut self.deployment_id, "deployment_id");
        learnt(&mut self.request_id, "request_id");
    }

    /// The outcome of a call that has no tool result.
    pub(crate) fn set_read_outcome(&mut self, fault: Option<&ToolError>) {
        if let Some(fault) = fault {
            (self.ended.outcome, self.ended.kind) = (fault.outcome().as_str(), fault.kind());
        }
    }

    /// Writes it into the log and the metrics.
    pub(crate) fn end(self, shaped: Option<&Shaped>, metrics: &Metrics) {
        let took = self.began.elapsed();
        metrics.called(self.tool, self.ended, took);
        if shaped.is_some_and(|shaped| shaped.truncated) {
            metrics.shortened("structured");
        }
        if shaped.is_some_and(|shaped| shaped.summarised) {
            metrics.shortened("text");
        }
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (tool, Ended { outcome, kind, replayed }) = (self.tool, self.ended);
        tracing::info!(
            tool,
            kind,
            outcome,
            duration_ms,
            call_id = self.call_id,
            transport = self.transport,
            protocol = self.protocol,
            caller = self.caller,
            deployment_id = self.deployment_id,
            request_id = self.request_id,
            status_code = self.status_code,
            attempts = self.attempts,
            replayed = replayed.then_some(true),
            bytes_in = self.bytes_in,
            bytes_out = shaped.map(|shaped| shaped.bytes),
            "{tool} {kind} in {duration_ms} ms"
        );
    }
}

/// An id, where it is one: anything else is a text of the caller's.
fn id(data: &JsonObject, key: &str) -> Option<String> {
    data.get(key).and_then(Value::as_str).filter(|id| is_id(id)).map(str::to_owned)
}
