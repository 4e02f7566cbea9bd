//! Questions beside tool calls: resources and completions. They read, as the caller's account, and take their
//! place among the caller's calls.

use rmcp::{
    ErrorData, RoleServer,
    model::{CompleteRequestParams, Reference, Resource, ResourceContents},
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::RunComfyMcp;
use crate::{
    pipeline::auth::Api,
    result::Fault,
    server::{
        completions, prompts,
        resources::{self, Address},
    },
    telemetry::Ended,
    transport::http::Visit,
    view::uri,
};

impl RunComfyMcp {
    /// What there is to be read. A caller who is not let in to RunComfy sees what everyone does.
    pub(super) async fn resources(
        &self,
        from: usize,
        context: &RequestContext<RoleServer>,
    ) -> (Vec<Resource>, Option<usize>) {
        let list = |api: Api| async move { resources::list(&api, from).await };
        let listed = self.aside("resources/list", context, list).await;
        listed.unwrap_or_else(|_| (vec![uri::deployments_link()], None))
    }

    pub(super) async fn resource(
        &self,
        uri: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<ResourceContents, ErrorData> {
        let Some(address) = Address::parse(uri) else {
            let message = "no such resource; resources/templates/list shows the patterns";
            return Err(ErrorData::resource_not_found(message, Some(named(uri))));
        };
        let address = &address;
        let read = |api: Api| async move { resources::read(address, uri, &api).await };
        let data = || ("uri", named(uri)["uri"].take());
        let read = self.aside("resources/read", context, read).await;
        read.map_err(|fault| told(fault, data(), ErrorData::resource_not_found))
    }

    pub(super) async fn completions(
        &self,
        request: CompleteRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Vec<String> {
        let argument = request.argument.name;
        let known = match &request.r#ref {
            Reference::Prompt(prompt) => prompts::has_argument(&prompt.name, &argument),
            Reference::Resource(template) => {
                let is_part = |uri: &str| uri.contains(&format!("{{{argument}}}"));
                resources::is_template(&template.uri).then(|| is_part(&template.uri))
            }
            _ => None,
        };
        // A field that nobody knows has nothing to be filled in with: no reason to break a form.
        if known != Some(true) {
            return Vec::new();
        }
        let filled = request.context.and_then(|context| context.arguments).unwrap_or_default();
        let typed = request.argument.value;
        let (argument, typed, filled) = (&argument, &typed, &filled);
        let values =
            |api: Api| async move { completions::values(argument, typed, filled, &api).await };
        self.aside("completion/complete", context, values).await.unwrap_or_default()
    }

    /// Does it as the caller's account, until the caller goes away or the server ends.
    pub(super) async fn aside<T, F>(
        &self,
        what: &'static str,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(Api) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let work = |api| async {
            tokio::select! {
                outcome = work(api) => outcome,
                () = self.reads_are_over() => Err(Fault::shutting_down()),
            }
        };
        self.aside_that_writes(what, context, work).await
    }

    /// The same for what must not break off: `work` runs in a task of its own, and the server's end waits for
    /// it.
    pub(super) async fn aside_that_writes<T, F>(
        &self,
        what: &'static str,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(Api) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let _under_way = self.work.token();
        let began = Instant::now();
        let outcome = self.aside_of(context, work).await;
        let ended = match &outcome {
            Ok(_) => Ended { outcome: "ok", kind: "ok", replayed: false },
            Err(fault) => {
                Ended { outcome: fault.outcome().as_str(), kind: fault.kind(), replayed: false }
            }
        };
        let took = began.elapsed();
        self.metrics.called(what, ended, took);
        let (kind, ms) = (ended.kind, took.as_millis());
        tracing::info!(what, kind, "{what} {kind} in {ms} ms");
        outcome
    }

    async fn aside_of<T, F>(
        &self,
        context: &RequestContext<RoleServer>,
        work: impl FnOnce(Api) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let parts = context.extensions.get::<http::request::Parts>();
        let (api, token) = self.callers.acting(parts.map(|parts| &parts.headers))?;
        let principal = self.gate.principal(token.as_ref());
        let visit = parts.and_then(|parts| parts.extensions.get::<Visit>());
        let _place = self.gate.call(principal, false)?;
        let outcome = tokio::select! {
            outcome = work(api) => outcome,
            () = context.ct.cancelled() => Err(Fault::shutting_down()),
        };
        if let Err(fault) = &outcome
            && fault.is_refused_token()
        {
            self.metrics.auth_failed("runcomfy");
            self.gate.judged(principal, false, visit.and_then(|visit| visit.source));
        }
        outcome
    }
}

/// A fault in JSON-RPC's form, with all that a tool would say of it beside.
pub(super) fn told(
    fault: Fault,
    (key, value): (&str, Value),
    missing: fn(String, Option<Value>) -> ErrorData,
) -> ErrorData {
    let is_missing = fault.kind() == runcomfy_core::ErrorKind::NotFound.as_str();
    let mut payload = Value::Object(fault.into_payload());
    let message = payload["message"].as_str().unwrap_or_default().to_owned();
    payload[key] = value;
    let data = Some(payload);
    if is_missing { missing(message, data) } else { ErrorData::internal_error(message, data) }
}

/// Which resource it was; of what is no address of ours, no more than tells which.
fn named(uri: &str) -> Value {
    const LONGEST: usize = 64;
    let shown: String = uri.chars().filter(char::is_ascii_graphic).take(LONGEST).collect();
    let uri = if Address::parse(uri).is_some() { uri } else { &shown };
    json!({ "uri": uri })
}
