//! Resources and completions: reads as the caller's account, through the pipeline and the limits of tool calls.

use rmcp::{
    ErrorData, RoleServer,
    model::{CompleteRequestParams, Reference, Resource, ResourceContents},
    service::RequestContext,
};
use serde_json::{Value, json};

use super::RunComfyMcp;
use crate::{
    pipeline::auth::Api,
    result::ToolError,
    server::{
        completions, prompts,
        resources::{self, Address},
    },
    view::uri,
};

impl RunComfyMcp {
    /// What there is to be read. A caller who is not let in to RunComfy sees what everyone does.
    pub(super) async fn resources(
        &self,
        from: usize,
        context: RequestContext<RoleServer>,
    ) -> (Vec<Resource>, Option<usize>) {
        let list = |api: Api| async move { resources::list(&api, from).await };
        let listed = self.pipeline.run_read("resources/list", context.into(), list).await;
        listed.unwrap_or_else(|_| (vec![uri::deployments_link()], None))
    }

    pub(super) async fn resource(
        &self,
        uri: &str,
        context: RequestContext<RoleServer>,
    ) -> Result<ResourceContents, ErrorData> {
        let Some(address) = Address::parse(uri) else {
            let message = "no such resource; resources/templates/list shows the patterns";
            return Err(ErrorData::resource_not_found(message, Some(named(uri))));
        };
        let address = &address;
        let read = |api: Api| async move { resources::read(address, uri, &api).await };
        let data = || ("uri", named(uri)["uri"].take());
        let read = self.pipeline.run_read("resources/read", context.into(), read).await;
        read.map_err(|fault| to_error_data(fault, data(), ErrorData::resource_not_found))
    }

    pub(super) async fn completions(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
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
        self.pipeline
            .run_read("completion/complete", context.into(), values)
            .await
            .unwrap_or_default()
    }
}

/// A fault in JSON-RPC's form, with all that a tool would say of it beside.
pub(super) fn to_error_data(
    fault: ToolError,
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
