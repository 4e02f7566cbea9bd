//! The way of one call: whose it is, running it, and saying what came of it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, CallToolResponse},
};
use serde_json::Value;

use super::RunComfyMcp;
use crate::pipeline::{log::Record, request::CallContext};
use crate::{
    entropy,
    pipeline::{
        confirmation::Consent,
        context::{Client, Progress},
        idempotency::{Delivery, Receipt},
    },
    protocol::{is_modern, knows_links, result_meta},
    result::{Fault, Format, Reply},
    tools::Entry,
    transport::http::Visit,
};

impl RunComfyMcp {
    /// Answers a call, whatever comes of it, and says so in the log and in figures.
    pub(crate) async fn answer(
        &self,
        entry: &'static Entry,
        request: CallToolRequestParams,
        mut context: CallContext,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut record = Record::begin(entry.name(), request.arguments.as_ref(), &context);
        let _under_way = self.work.token();
        // The transport knows what becomes of the answer, if it is one of ours. Otherwise all there is to know is
        // whether the caller had gone before there was one.
        let own = Delivery::default();
        let receipt = context.receipt.take().or_else(|| context.extension::<Receipt>().cloned());
        let receipt = receipt.unwrap_or_else(|| own.receipt());
        let (gone, insertions) = (context.gone.clone(), context.insertions.take());
        let meta = result_meta(context.version.as_ref());
        let format = Format {
            limit: self.settings.result_limit_bytes,
            links: knows_links(context.version.as_ref()),
            puts_in: insertions.is_some(),
            whole_workflows: !context.cuts_long_data,
        };
        let run = self.run(entry, request, context, receipt, &mut record);
        let run = async {
            let mut run = std::pin::pin!(run);
            tokio::select! {
                biased;
                outcome = &mut run => return outcome,
                () = gone.cancelled() => own.lost(),
            }
            run.await
        };
        // One broken call must not take the others' connection with it.
        let Ok(outcome) = AssertUnwindSafe(run).catch_unwind().await else {
            self.metrics.panicked();
            return Err(broken(entry.name()));
        };
        own.done();
        record.came_to(&outcome);
        let refused = outcome.as_ref().is_err_and(Fault::breaks_protocol);
        let mut shaped = match outcome {
            Ok(reply) => reply.shape(format),
            Err(fault) => fault.shape(format),
        };
        record.end(&shaped, &self.metrics);
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

    /// Runs the tool for whoever sent these headers. A call that only reads does not hold up the end.
    async fn run(
        &self,
        entry: &Entry,
        mut request: CallToolRequestParams,
        mut context: CallContext,
        receipt: Receipt,
        record: &mut Record,
    ) -> Result<Reply, Fault> {
        let headers = context.http.as_ref().map(|parts| &parts.headers);
        let (api, token) = self.callers.acting(headers)?;
        let visit = context.extension::<Visit>().cloned();
        // The door has read the same header, where a token is needed.
        let holder = visit.as_ref().and_then(|visit| visit.holder).filter(|_| token.is_some());
        let principal = holder.unwrap_or_else(|| self.gate.principal(token.as_ref()));
        let ledger = self.ledger(principal, token.as_ref(), receipt);
        record.caller(&ledger.account);
        let source = visit.as_ref().and_then(|visit| visit.source);
        let standing = self.standing(entry, principal, visit)?;
        // A peer of an older revision that declares them still expects a result.
        let tasks = is_modern(context.version.as_ref()) && context.client.supports_tasks();
        let policy = self.settings.confirm;
        let consent = Consent::of(&mut request, &context, token.as_ref(), &self.sealing, policy)?;
        let progress = std::mem::replace(&mut context.progress, Progress::Silent);
        let client = Client { progress, consent, tasks };
        let call = self.call(entry, api, client, context.gone, standing, ledger);
        let run = entry.call(request.arguments.unwrap_or_default(), call);
        let outcome = tokio::select! {
            outcome = run => outcome,
            () = self.reads_are_over(), if entry.only_reads() => Err(Fault::shutting_down()),
        };
        match &outcome {
            Ok(_) => self.gate.judged(principal, true, source),
            Err(fault) if fault.is_refused_token() => {
                self.metrics.auth_failed("runcomfy");
                self.gate.judged(principal, false, source);
            }
            Err(_) => {}
        }
        outcome
    }

    pub(super) async fn reads_are_over(&self) {
        self.ending.cancelled().await;
        tokio::time::sleep(self.settings.drain_reads).await;
    }
}

/// What a client is told of a call that broke: a name by which to find it in the log, and nothing of what
/// was in it.
fn broken(tool: &str) -> ErrorData {
    let error_id = entropy::name();
    tracing::error!(tool, error_id, "{tool} panicked: error {error_id}");
    let fault = Fault::internal("the tool panicked").with("error_id", error_id.as_str());
    let message = format!("internal error {error_id}");
    ErrorData::internal_error(message, Some(Value::Object(fault.into_payload())))
}
