//! Fast path: tool calls that send no progress, which are nearly all of them, are answered without rmcp. For each
//! request rmcp sets up a session of three channels and three tasks: a quarter of the instructions of a small call,
//! and a third of the memory of one that waits.
//!
//! It accepts only requests that certainly conform to the protocol. All others take rmcp's path and get its answer.

use std::{borrow::Cow, sync::Arc};

use axum::{body::Body, response::Response};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_TYPE, ORIGIN},
    request::Parts,
};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ContentBlock, JsonRpcVersion2_0, ProtocolVersion,
    RequestId, RequestMetaObject, ServerJsonRpcMessage, ServerResult,
};
use runcomfy_http_edge::{Detach, single_header};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{complete::complete, media::Media, refusals::internal_error};
use crate::{
    pipeline::{request::CallContext, tool::ToolEntry},
    protocol::is_modern,
    result::splices::Splices,
    server::RunComfyMcp,
    tools,
};

/// A tool call that conforms to the protocol.
pub(super) struct ToolCall {
    id: RequestId,
    version: ProtocolVersion,
    entry: &'static ToolEntry,
    meta: RequestMetaObject,
    params: CallToolRequestParams,
}

/// Its form on the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(rename = "jsonrpc")]
    _jsonrpc: JsonRpcVersion2_0,
    id: RequestId,
    #[serde(borrow)]
    method: Cow<'a, str>,
    params: CallToolRequestParams,
}

const METHOD: &str = "tools/call";
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Reads a message that was admitted. `None`: it is left to rmcp.
pub(super) fn read(headers: &HeaderMap, bytes: &[u8], media: Media) -> Option<ToolCall> {
    if headers.contains_key(ORIGIN) {
        return None;
    }
    let Message { id, method, mut params, .. } = serde_json::from_slice(bytes).ok()?;
    let meta = params.meta.take().unwrap_or_default();
    // Progress is sent as events, so a client that accepts only JSON gets none.
    let wants_progress = media != Media::Json && meta.get_progress_token().is_some();
    if method != METHOD || wants_progress {
        return None;
    }
    let entry = tools::find(&params.name)?;
    let version = version(headers, &meta, entry.name())?;
    Some(ToolCall { id, version, entry, meta, params })
}

/// The protocol revision, if headers and message agree on one and have everything that it requires.
fn version(headers: &HeaderMap, meta: &RequestMetaObject, tool: &str) -> Option<ProtocolVersion> {
    let header = headers.get(PROTOCOL_VERSION);
    let own = meta.protocol_version();
    let version = match header {
        // The default that the revision of 2025-06-18 prescribes.
        None => ProtocolVersion::V_2025_03_26,
        Some(header) => {
            let known = |known: &&ProtocolVersion| header == known.as_str();
            ProtocolVersion::KNOWN_VERSIONS.iter().find(known)?.clone()
        }
    };
    if !is_modern(Some(&version)) {
        return own.is_none().then_some(version);
    }
    let header_is = |name: &'static str, what: &str| {
        single_header(headers, HeaderName::from_static(name)).is_some_and(|value| value == what)
    };
    let agrees = own.as_ref() == Some(&version)
        && meta.missing_required_keys(&version).is_empty()
        && header_is("mcp-method", METHOD)
        && header_is("mcp-name", tool);
    agrees.then_some(version)
}

/// Answers a call. `streams` ends it when it is cancelled.
pub(super) async fn answer(
    server: &Arc<RunComfyMcp>,
    call: ToolCall,
    parts: Parts,
    streams: &CancellationToken,
) -> Response {
    let ToolCall { id, version, entry, meta, params } = call;
    let insertions = Splices::default();
    let context =
        CallContext::of_http(id.clone(), version.clone(), &meta, parts, insertions.clone());
    let (server, disconnected) = (Arc::clone(server), context.gone.clone());
    let run = async move { server.answer(entry, params, context).await };
    let answered = tokio::select! {
        biased;
        answered = Detach::new(run, disconnected) => answered,
        () = streams.cancelled() => return internal_error(),
    };
    let mut json = Vec::new();
    let message = match answered {
        Ok(response) => {
            json.reserve(likely_length(&response));
            let mut result = ServerResult::from(response);
            if !is_modern(Some(&version)) {
                result.strip_result_type_for_legacy_peer();
            }
            ServerJsonRpcMessage::response(result, id)
        }
        Err(error) => ServerJsonRpcMessage::error(error, Some(id)),
    };
    if serde_json::to_writer(&mut json, &message).is_err() {
        return internal_error();
    }
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    complete(&insertions, response).await
}

/// As long as the answer is as JSON, and a little more, so that it is not moved while it grows: the data is in it
/// twice, and once with backslashes before its quotes, which are a quarter of it at most where fields are short.
fn likely_length(response: &CallToolResponse) -> usize {
    const ENVELOPE: usize = 512;
    let CallToolResponse::Complete(result) = response else { return ENVELOPE };
    let texts = result.content.iter().filter_map(ContentBlock::as_text);
    ENVELOPE + texts.map(|text| text.text.len() / 4 * 9).sum::<usize>()
}

#[cfg(test)]
mod tests;
