//! The stages of a call, in order: authentication, limits, validation, confirmation, the tool at most once, the
//! result in MCP's form, the log. Tool calls, reads and the command line enter by the same way.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use futures_util::FutureExt;
use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, CallToolResponse, JsonObject},
};
use runcomfy_core::{Token, wait::SharedWaits};
use runcomfy_http_edge::{Delivery, DeliveryReceipt};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Settings,
    entropy,
    pipeline::{
        auth::{Api, AuthMode},
        confirmation::{Confirmation, RequestStateSigner},
        context::ToolContext,
        deployment_cache::DeploymentCache,
        idempotency::{Idempotency, IdempotencyScope},
        limits::{CallerId, Limiter, Permit},
        log::CallLog,
        progress::Progress,
        request::{CallContext, InboundRequest},
        scope::{CallPermits, CallScope},
        tool::ToolEntry,
        writes::Writes,
    },
    protocol::{is_modern, knows_links, result_meta},
    result::{Format, ToolError, ToolResult},
    telemetry::Metrics,
};

/// What all calls of one server share. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) callers: AuthMode,
    pub(crate) settings: Arc<Settings>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) replay: Arc<Idempotency>,
    pub(crate) waits: SharedWaits<CallerId>,
    pub(crate) deployments: Arc<DeploymentCache>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) signer: Arc<RequestStateSigner>,
    /// Calls under way, and writes that outlive theirs.
    pub(crate) background: TaskTracker,
    /// Calls that change something.
    pub(crate) writes: Writes,
    /// When the end no longer waits for them.
    pub(crate) drained_by: Arc<OnceLock<Instant>>,
    /// Fires when the server is about to end, so that waits answer at once.
    pub(crate) shutting_down: CancellationToken,
    /// Fires when the client behind a pipe has closed it.
    pub(crate) disconnected: CancellationToken,
}

/// A call that may reach RunComfy: whose it is, and its permit.
struct Entered {
    api: Api,
    token: Option<Token>,
    caller: CallerId,
    account: Arc<str>,
    permit: Arc<Permit>,
}

/// What an answer says of the caller's token.
enum Accepted {
    Yes,
    /// RunComfy was not asked: the person was, or the answer is an earlier call's.
    NotAsked,
}

impl Accepted {
    fn of(reply: &ToolResult) -> Self {
        if reply.kind() == "input_required" || reply.payload().contains_key("replayed") {
            Self::NotAsked
        } else {
            Self::Yes
        }
    }
}

impl Pipeline {
    /// Authenticates the call and acquires its permit.
    fn enter(
        &self,
        context: &CallContext,
        may_cost: bool,
        log: &mut CallLog,
    ) -> Result<Entered, ToolError> {
        let headers = context.http.as_ref().map(|parts| &parts.headers);
        let (api, token) = self.callers.authenticate(headers)?;
        // Admission has read the same header, where a token is needed.
        let known = context.extension::<InboundRequest>().and_then(|inbound| inbound.holder);
        let known = known.filter(|_| token.is_some());
        let caller = known.unwrap_or_else(|| self.limiter.caller_id(token.as_ref()));
        let account = self.limiter.account(caller, || self.replay.account(token.as_ref()));
        log.set_caller(&account);
        let permit = Arc::new(self.limiter.call(caller, may_cost)?);
        Ok(Entered { api, token, caller, account, permit })
    }

    /// Notes that RunComfy refused the caller's token, or took it.
    fn record_auth_result(
        &self,
        caller: CallerId,
        inbound: Option<&InboundRequest>,
        outcome: Result<Accepted, &ToolError>,
    ) {
        let source = inbound.and_then(|inbound| inbound.source);
        match outcome {
            Ok(Accepted::Yes) => self.limiter.record_auth_result(caller, true, source),
            Err(fault) if fault.is_refused_token() => {
                self.metrics.auth_failed("runcomfy");
                self.limiter.record_auth_result(caller, false, source);
            }
            Ok(Accepted::NotAsked) | Err(_) => {}
        }
    }

    /// Answers a tool call, whatever comes of it, and writes it into the log and the metrics.
    pub(crate) async fn call_tool(
        &self,
        entry: &'static ToolEntry,
        request: CallToolRequestParams,
        mut context: CallContext,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut log = CallLog::begin(entry.name(), request.arguments.as_ref(), &context);
        let _under_way = self.background.token();
        // The transport knows what becomes of the answer, if it is one of ours. Otherwise all there is to know is
        // whether the caller had gone before there was one.
        let own = Delivery::default();
        let receipt =
            context.receipt.take().or_else(|| context.extension::<DeliveryReceipt>().cloned());
        let receipt = receipt.unwrap_or_else(|| own.receipt());
        let (cancelled, insertions) = (context.gone.clone(), context.insertions.take());
        let meta = result_meta(context.version.as_ref());
        let format = Format {
            limit: self.settings.result_limit_bytes,
            links: knows_links(context.version.as_ref()),
            puts_in: insertions.is_some(),
            whole_workflows: !context.cuts_long_data,
        };
        let outcome = {
            // Pinned outside of the block, which would keep the room for it twice.
            let mut run = std::pin::pin!(self.run_tool(entry, request, context, receipt, &mut log));
            let run = async {
                tokio::select! {
                    biased;
                    outcome = &mut run => return outcome,
                    () = cancelled.cancelled() => own.lost(),
                }
                run.await
            };
            // A tool that panics must not take the others' connection with it.
            AssertUnwindSafe(run).catch_unwind().await
        };
        let Ok(outcome) = outcome else {
            self.metrics.panicked();
            return Err(panicked(entry.name()));
        };
        own.done();
        log.set_outcome(&outcome);
        let refused = outcome.as_ref().is_err_and(ToolError::breaks_protocol);
        let mut shaped = match outcome {
            Ok(reply) => reply.render(format),
            Err(fault) => fault.render(format),
        };
        log.end(Some(&shaped), &self.metrics);
        if let Some(insertions) = insertions {
            shaped.left_out.drain(..).for_each(|part| insertions.part(part));
        }
        if refused {
            let message = "requestState is not what this server gave for this call";
            return Err(ErrorData::invalid_params(message, shaped.result.structured_content));
        }
        let mut response = shaped.into_response();
        match &mut response {
            CallToolResponse::Complete(result) => result.meta = meta,
            CallToolResponse::InputRequired(question) => question.meta = meta,
            CallToolResponse::Task(task) => task.meta = meta,
            _ => {}
        }
        Ok(response)
    }

    /// Runs one tool for the command line, as one account. The person has asked for it in so many words, so that
    /// nothing is confirmed, and the caller knows what becomes of the answer.
    pub(crate) async fn call_direct(
        &self,
        entry: &'static ToolEntry,
        arguments: JsonObject,
        progress: Progress,
    ) -> Result<ToolResult, ToolError> {
        let context = CallContext::of_terminal(progress);
        let mut log = CallLog::begin(entry.name(), None, &context);
        let delivery = Delivery::default();
        let request = CallToolRequestParams::new(entry.name()).with_arguments(arguments);
        let reply = self.run_tool(entry, request, context, delivery.receipt(), &mut log).await;
        delivery.done();
        reply
    }

    /// Runs the tool. A call that only reads does not hold up the end of the server.
    async fn run_tool(
        &self,
        entry: &ToolEntry,
        mut request: CallToolRequestParams,
        mut context: CallContext,
        receipt: DeliveryReceipt,
        log: &mut CallLog,
    ) -> Result<ToolResult, ToolError> {
        let Entered { api, token, caller, account, permit } =
            self.enter(&context, entry.may_cost(), log)?;
        let inbound = context.extension::<InboundRequest>().cloned();
        // A peer of an older revision that declares them still expects a result.
        let tasks = is_modern(context.version.as_ref()) && context.client.supports_tasks();
        let policy = self.settings.confirm;
        let consent =
            Confirmation::of(&mut request, &context, token.as_ref(), &self.signer, policy)?;
        let ledger = IdempotencyScope {
            replay: Arc::clone(&self.replay),
            account,
            receipt,
            writes: self.writes.clone(),
        };
        // Boxed, because it is large and passes through many futures, each of which would keep the room for it.
        let tool_context = Box::new(ToolContext {
            scope: CallScope {
                api,
                tool: entry.name(),
                progress: std::mem::replace(&mut context.progress, Progress::Silent),
                permits: CallPermits {
                    limiter: Arc::clone(&self.limiter),
                    caller,
                    call: Some(permit),
                    wait: None,
                    inbound: inbound.clone(),
                },
                settings: Arc::clone(&self.settings),
                cancelled: context.gone,
                shutting_down: self.shutting_down.clone(),
                background: self.background.clone(),
            },
            ledger,
            waits: self.waits.clone(),
            deployments: Arc::clone(&self.deployments),
            disconnected: self.disconnected.clone(),
            tasks,
        });
        let run = entry.call(request.arguments.unwrap_or_default(), tool_context, consent);
        let outcome = tokio::select! {
            outcome = run => outcome,
            () = self.reads_are_over(), if entry.only_reads() => Err(ToolError::shutting_down()),
        };
        let accepted = outcome.as_ref().map(Accepted::of);
        self.record_auth_result(caller, inbound.as_ref(), accepted);
        outcome
    }

    /// Reads as the caller's account, until the caller goes away or the server ends.
    pub(crate) async fn run_read<T, F>(
        &self,
        what: &'static str,
        context: CallContext,
        read: impl FnOnce(Api) -> F,
    ) -> Result<T, ToolError>
    where
        F: Future<Output = Result<T, ToolError>>,
    {
        let read = |api| async {
            tokio::select! {
                outcome = read(api) => outcome,
                () = self.reads_are_over() => Err(ToolError::shutting_down()),
            }
        };
        self.run_write(what, context, read).await
    }

    /// The same for work that must not break off: `work` runs in a task of its own, and the server's end waits
    /// for it.
    pub(crate) async fn run_write<T, F>(
        &self,
        what: &'static str,
        context: CallContext,
        work: impl FnOnce(Api) -> F,
    ) -> Result<T, ToolError>
    where
        F: Future<Output = Result<T, ToolError>>,
    {
        let mut log = CallLog::begin(what, None, &context);
        let _under_way = self.background.token();
        let outcome = async {
            let entered = self.enter(&context, false, &mut log)?;
            let outcome = tokio::select! {
                outcome = work(Arc::clone(&entered.api)) => outcome,
                () = context.gone.cancelled() => Err(ToolError::shutting_down()),
            };
            let inbound = context.extension::<InboundRequest>();
            let accepted = outcome.as_ref().map(|_| Accepted::Yes);
            self.record_auth_result(entered.caller, inbound, accepted);
            outcome
        };
        let outcome = outcome.await;
        log.set_read_outcome(outcome.as_ref().err());
        log.end(None, &self.metrics);
        outcome
    }

    /// Returns once calls that only read are no longer waited for.
    async fn reads_are_over(&self) {
        self.shutting_down.cancelled().await;
        tokio::time::sleep(self.settings.drain_reads).await;
    }

    /// Has waits answer at once, then lets calls and writes under way finish, for as long as the settings allow
    /// from the first time on. What is given up is written into the log, each write with what is known of it.
    pub(crate) async fn drain(&self) {
        self.shutting_down.cancel();
        self.background.close();
        let (by, first) = match self.drained_by.get() {
            Some(by) => (*by, false),
            None => (*self.drained_by.get_or_init(|| Instant::now() + self.settings.drain), true),
        };
        if timeout_at(by, self.background.wait()).await.is_err() && first {
            let left = self.background.len();
            tracing::warn!("gave up on {left} call(s) under way; the outcome of writes is unknown");
            self.writes.give_up();
        }
    }
}

/// The error for a tool that panicked: an id by which to find it in the log, and nothing of what it worked on.
fn panicked(tool: &str) -> ErrorData {
    let error_id = entropy::name();
    tracing::error!(tool, error_id, "{tool} panicked: error {error_id}");
    let fault = ToolError::internal("the tool panicked").with("error_id", error_id.as_str());
    let message = format!("internal error {error_id}");
    ErrorData::internal_error(message, Some(Value::Object(fault.into_payload())))
}

#[cfg(test)]
mod tests {
    use rmcp::model::InputRequiredResult;

    use super::*;

    #[test]
    fn only_an_answer_of_runcomfys_says_that_a_token_is_accepted() {
        let accepted = |reply: ToolResult| matches!(Accepted::of(&reply), Accepted::Yes);
        assert!(accepted(ToolResult::new("Found 1 deployment.")));
        assert!(!accepted(ToolResult::new("Earlier run.").with("replayed", true)));
        let question = InputRequiredResult::new(None, None);
        assert!(!accepted(ToolResult::question(question)));
    }
}
