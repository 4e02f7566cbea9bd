//! What MCP's methods come to.

use std::sync::LazyLock;

use bytes::Bytes;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams,
        CompleteRequestParams, CompleteResult, CompletionInfo, CustomRequest, CustomResult,
        ErrorCode, GetPromptRequestParams, GetPromptResponse, GetPromptResult, GetTaskParams,
        GetTaskResult, InitializeRequestParams, InitializeResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
        ServerCapabilities, ServerConfig, ServerResult, Tool, UpdateTaskParams,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use super::{INSTRUCTIONS, RunComfyMcp};
use crate::{
    pipeline::tool::ToolEntry,
    protocol::{handshake, is_modern, message, result_meta, server_info},
    result::splices::Splices,
    schema::published,
    server::{prompts, resources},
    tools::{self, TOOLS},
};

/// The list of tools in a response. It is the same for everyone: 50 kB that are written once.
static TOOLS_JSON: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(format!("\"tools\":{}", published::JSON)));

/// For how long clients may keep what does not change, and what does.
const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;

// What passes the pipeline is boxed: rmcp moves the future of each request about several times, and all have the room of
// the largest.
impl ServerHandler for RunComfyMcp {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_resources()
                .enable_prompts()
                .enable_completions()
                .enable_tasks()
                .build(),
        )
        .with_server_info(server_info())
        .with_instructions(INSTRUCTIONS)
    }

    /// As the library does it, but for a client that asks for a revision that there is not: it is taken to speak
    /// the one that it is answered with.
    async fn initialize(
        &self,
        mut request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let answer = self.negotiate_initialize(&request)?;
        request.protocol_version = answer.protocol_version.clone();
        context.peer.set_peer_info(request);
        Ok(answer)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = match Splices::of(&context) {
            Some(insertions) => {
                // In a text within the JSON, such as an id, the quotes would have backslashes before them.
                insertions.replace(b"\"tools\":[]", TOOLS_JSON.clone());
                ListToolsResult::with_all_items(Vec::new())
            }
            None => ListToolsResult::with_all_items(Self::tools()),
        };
        // The list is the same for everyone and changes only with the server's version.
        let version = context.protocol_version();
        list.meta = result_meta(version.as_ref());
        let modern = is_modern(version.as_ref());
        Ok(if modern {
            list.with_ttl_ms(HOUR_MS).with_cache_scope(CacheScope::Public)
        } else {
            list
        })
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::find(name).map(ToolEntry::in_short)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        // A cursor is a place in the account's list: any server goes on from it.
        let from = match request.and_then(|request| request.cursor) {
            Some(cursor) => cursor.parse().map_err(|_| {
                ErrorData::invalid_params("the cursor is none of this list's", None)
            })?,
            None => 0,
        };
        let version = context.protocol_version();
        let (resources, more) = Box::pin(self.resources(from, context)).await;
        let mut list = ListResourcesResult::with_all_items(resources);
        list.next_cursor = more.map(|place| place.to_string());
        list.meta = result_meta(version.as_ref());
        let modern = is_modern(version.as_ref());
        // The account's own, and soon another.
        Ok(if modern {
            list.with_ttl_ms(MINUTE_MS).with_cache_scope(CacheScope::Private)
        } else {
            list
        })
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut list = ListResourceTemplatesResult::with_all_items(resources::templates());
        let version = context.protocol_version();
        list.meta = result_meta(version.as_ref());
        let modern = is_modern(version.as_ref());
        Ok(if modern {
            list.with_ttl_ms(HOUR_MS).with_cache_scope(CacheScope::Public)
        } else {
            list
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let version = context.protocol_version();
        let contents = Box::pin(self.resource(&request.uri, context)).await?;
        let mut read = ReadResourceResult::new(vec![contents]);
        read.meta = result_meta(version.as_ref());
        Ok(if is_modern(version.as_ref()) {
            // A run may be elsewhere the next moment.
            read.with_ttl_ms(0).with_cache_scope(CacheScope::Private)
        } else {
            read
        }
        .into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut list = ListPromptsResult::with_all_items(prompts::list());
        let version = context.protocol_version();
        list.meta = result_meta(version.as_ref());
        let modern = is_modern(version.as_ref());
        Ok(if modern {
            list.with_ttl_ms(HOUR_MS).with_cache_scope(CacheScope::Public)
        } else {
            list
        })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        match prompts::get(&request.name, &request.arguments.unwrap_or_default()) {
            Some(Ok((about, messages))) => {
                let mut prompt = GetPromptResult::new(messages).with_description(about);
                prompt.meta = result_meta(context.protocol_version().as_ref());
                Ok(prompt.into())
            }
            Some(Err(faults)) => Err(ErrorData::invalid_params(faults.message(), None)),
            None => {
                let known: Vec<_> = prompts::list().into_iter().map(|prompt| prompt.name).collect();
                let message = format!("unknown prompt; there are {}", known.join(", "));
                Err(ErrorData::invalid_params(message, Some(Value::from(known))))
            }
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let meta = result_meta(context.protocol_version().as_ref());
        let mut values = Box::pin(self.completions(request, context)).await;
        let (all, most) = (values.len(), CompletionInfo::MAX_VALUES);
        values.truncate(most);
        let total = u32::try_from(all).ok();
        let values = CompletionInfo::with_pagination(values, total, all > most)
            .map_err(|error| ErrorData::internal_error(error, None))?;
        let mut completed = CompleteResult::new(values);
        completed.meta = meta;
        Ok(completed)
    }

    /// What is no request that MCP knows, or a known one in a shape that it can't have.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let modern = is_modern(context.protocol_version().as_ref());
        // The revision without a handshake does not have the method.
        if request.method == handshake::METHOD && !modern {
            let version = context.protocol_version().filter(ProtocolVersion::has_initialize);
            let unsaid = version.unwrap_or(handshake::UNSAID);
            let params = handshake::complete(request.params, &unsaid)?;
            let answer = self.initialize(params, context).await?;
            return Ok(CustomResult::new(json!(answer)));
        }
        if request.method == "tools/call" {
            let Some(call) = unquoted(request) else {
                let message = "params must be {\"name\": text, \"arguments\": object}";
                return Err(ErrorData::invalid_params(message, None));
            };
            let mut result = ServerResult::from(self.call_tool(call, context).await?);
            if !modern {
                result.strip_result_type_for_legacy_peer();
            }
            let result = serde_json::to_value(result);
            return result
                .map(CustomResult::new)
                .map_err(|error| ErrorData::internal_error(error.to_string(), None));
        }
        // The method's name is the client's, of any length.
        let name: String =
            request.method.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("unknown method {name}"), None))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let meta = result_meta(context.protocol_version().as_ref());
        let mut task = GetTaskResult::new(Box::pin(self.task(&request.task_id, context)).await?);
        task.meta = meta;
        Ok(task)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Box::pin(self.cancel(&request.task_id, context)).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Self::update(&request.task_id)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = tools::find(&request.name) else {
            let known: Vec<_> = TOOLS.iter().map(ToolEntry::name).collect();
            let message = format!("unknown tool; there are {}", known.join(", "));
            return Err(ErrorData::invalid_params(message, Some(Value::from(known))));
        };
        // Boxed: it is large, and moved about on its way to where it runs.
        Box::pin(self.pipeline.call_tool(entry, request, context.into())).await
    }
}

/// A call of a tool whose arguments came as JSON in a text, as some clients send all objects.
fn unquoted(request: CustomRequest) -> Option<CallToolRequestParams> {
    let mut params = request.params?;
    let arguments = params.get_mut("arguments")?;
    let text = arguments.as_str()?;
    message::check(text.as_bytes()).ok()?;
    let read = serde_json::from_str(text).ok().filter(Value::is_object)?;
    *arguments = read;
    serde_json::from_value(params).ok()
}
