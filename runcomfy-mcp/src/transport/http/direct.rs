//! Calls of tools whose client has not to be reached before they are answered: nearly all of them. They are read,
//! checked and answered here. MCP's library sets up a session of three channels and three tasks for each request: a
//! quarter of the instructions of a small call, and a third of the memory of one that waits.
//!
//! Only what is certainly as the protocol wants it is taken. Whatever is missing, unusual or wrong goes the library's
//! way, and gets its answer from there.

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
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{
    answer::internal_error, complete::complete, media::Media, names::the_only, outliving::Outliving,
};
use crate::{
    RunComfyMcp,
    pipeline::{request::CallContext, tool::Entry},
    protocol::is_modern,
    result::splices::Insertions,
    tools,
};

/// A call that can be answered without more ado.
pub(super) struct ToolCall {
    id: RequestId,
    version: ProtocolVersion,
    entry: &'static Entry,
    meta: RequestMetaObject,
    params: CallToolRequestParams,
}

/// One as it comes.
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

/// Reads a message that has come through the door, from a client that takes answers so. `None`: it is for the
/// library.
pub(super) fn read(headers: &HeaderMap, bytes: &[u8], media: Media) -> Option<ToolCall> {
    if headers.contains_key(ORIGIN) {
        return None;
    }
    let Message { id, method, mut params, .. } = serde_json::from_slice(bytes).ok()?;
    let meta = params.meta.take().unwrap_or_default();
    // Progress goes out as events, so there is none for a client that takes JSON alone.
    let listens = media != Media::Json && meta.get_progress_token().is_some();
    if method != METHOD || listens {
        return None;
    }
    let entry = tools::find(&params.name)?;
    let version = version(headers, &meta, entry.name())?;
    Some(ToolCall { id, version, entry, meta, params })
}

/// The revision that it is written in, where headers and message agree on one and have all that it asks for.
fn version(headers: &HeaderMap, meta: &RequestMetaObject, tool: &str) -> Option<ProtocolVersion> {
    let header = headers.get(PROTOCOL_VERSION);
    let own = meta.protocol_version();
    let version = match header {
        // As the revision of 2025-06-18 wants it.
        None => ProtocolVersion::V_2025_03_26,
        Some(header) => {
            let known = |known: &&ProtocolVersion| header == known.as_str();
            ProtocolVersion::KNOWN_VERSIONS.iter().find(known)?.clone()
        }
    };
    if !is_modern(Some(&version)) {
        return own.is_none().then_some(version);
    }
    let says = |name: &'static str, what: &str| {
        the_only(headers, HeaderName::from_static(name)).is_some_and(|value| value == what)
    };
    let agrees = own.as_ref() == Some(&version)
        && meta.missing_required_keys(&version).is_empty()
        && says("mcp-method", METHOD)
        && says("mcp-name", tool);
    agrees.then_some(version)
}

/// Answers it. `streams` ends open answers when it fires.
pub(super) async fn answer(
    server: &Arc<RunComfyMcp>,
    call: ToolCall,
    parts: Parts,
    streams: &CancellationToken,
) -> Response {
    let ToolCall { id, version, entry, meta, params } = call;
    let insertions = Insertions::default();
    let context =
        CallContext::of_http(id.clone(), version.clone(), &meta, parts, insertions.clone());
    let (server, gone) = (Arc::clone(server), context.gone.clone());
    let run = async move { server.answer(entry, params, context).await };
    let answered = tokio::select! {
        biased;
        answered = Outliving::new(run, gone) => answered,
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
