//! What a call is made with besides its arguments, by whatever way it came.

use std::{net::IpAddr, sync::Arc};

use http::{header::USER_AGENT, request::Parts};
use rmcp::{
    RoleServer,
    model::{ClientCapabilities, ProtocolVersion, RequestId, RequestMetaObject},
    service::{Peer, RequestContext},
};
use runcomfy_http_edge::{DeliveryReceipt, MemoryPermit};
use tokio_util::sync::CancellationToken;

use crate::{
    pipeline::{limits::CallerId, progress::Progress},
    result::splices::Splices,
};

/// What the HTTP transport knows of a request besides its message. It is in the extensions of the request's head.
#[derive(Clone, Debug)]
pub(crate) struct InboundRequest {
    /// The peer's address.
    pub(crate) source: Option<IpAddr>,
    /// Who holds the token, if callers need one.
    pub(crate) holder: Option<CallerId>,
    /// The memory that the message uses.
    pub(crate) memory: Arc<MemoryPermit>,
    /// The message's length.
    pub(crate) bytes: usize,
}

/// How a client names itself over HTTP, where an older revision has no other place for it.
fn name_in(head: &Parts) -> Option<&str> {
    head.headers.get(USER_AGENT)?.to_str().ok()
}

/// How it names itself where each request does, read without the rest.
fn name_said(meta: &RequestMetaObject) -> Option<&str> {
    meta.get("io.modelcontextprotocol/clientInfo")?.get("name")?.as_str()
}

/// Assistants that read structured content and cut what is longer than some 12,000 to 50,000 characters: all
/// of it, or its middle. A workflow of megabytes would take what is needed beside it along.
fn cuts_long_data(client: &str) -> bool {
    const CLIENTS: [&str; 4] =
        ["claude-code", "codex-mcp-client", "copilot-cli", "qwen-cli-mcp-client"];
    CLIENTS.iter().any(|name| client.starts_with(name))
}

/// A request's own words and circumstances.
pub(crate) struct CallContext {
    pub(crate) id: RequestId,
    /// The protocol's revision that it is written in.
    pub(crate) version: Option<ProtocolVersion>,
    /// What its client says that it can do.
    pub(crate) client: ClientCapabilities,
    /// How it hears of what goes on.
    pub(crate) progress: Progress,
    /// The client itself, to be asked while the call goes on, where there is a session.
    pub(crate) session: Option<Peer<RoleServer>>,
    /// Its head, where it came over HTTP.
    pub(crate) http: Option<Parts>,
    /// Where its transport puts in what is left out of the answer.
    pub(crate) insertions: Option<Splices>,
    /// Whether its client passes long structured content on to the model cut short, or as a file.
    pub(crate) cuts_long_data: bool,
    /// What becomes of the answer, where the transport tells; over HTTP its head has it.
    pub(crate) receipt: Option<DeliveryReceipt>,
    /// Whether the person has asked for just this call, on the command line.
    pub(crate) confirmed: bool,
    /// Fires when nobody waits for the answer any more.
    pub(crate) gone: CancellationToken,
}

impl CallContext {
    /// Of a request over HTTP that asks for no progress: nobody has to be reached while it goes on.
    pub(crate) fn of_http(
        id: RequestId,
        version: ProtocolVersion,
        meta: &RequestMetaObject,
        http: Parts,
        insertions: Splices,
    ) -> Self {
        let names = [name_in(&http), name_said(meta)];
        let cuts_long_data = names.into_iter().flatten().any(cuts_long_data);
        Self {
            cuts_long_data,
            id,
            version: Some(version),
            client: meta.client_capabilities().unwrap_or_default(),
            progress: Progress::Silent,
            session: None,
            http: Some(http),
            insertions: Some(insertions),
            receipt: None,
            confirmed: false,
            gone: CancellationToken::new(),
        }
    }

    /// Of a command at a terminal.
    pub(crate) fn of_terminal(progress: Progress) -> Self {
        Self {
            id: RequestId::Number(0),
            version: None,
            client: ClientCapabilities::default(),
            progress,
            session: None,
            http: None,
            insertions: None,
            cuts_long_data: false,
            receipt: None,
            confirmed: true,
            gone: CancellationToken::new(),
        }
    }

    /// What the doors have said of it.
    pub(crate) fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.http.as_ref()?.extensions.get()
    }
}

impl From<RequestContext<RoleServer>> for CallContext {
    fn from(mut context: RequestContext<RoleServer>) -> Self {
        let progress = match context.meta.get_progress_token() {
            Some(token) => Progress::Peer { peer: context.peer.clone(), token, said: 0 },
            None => Progress::Silent,
        };
        let insertions = Splices::of(&context).cloned();
        let http = context.extensions.remove::<Parts>();
        let client = context.client_info();
        let names = [http.as_ref().and_then(name_in), client.as_ref().map(|info| &*info.name)];
        let cuts_long_data = names.into_iter().flatten().any(cuts_long_data);
        let receipt = context.extensions.remove::<DeliveryReceipt>();
        Self {
            cuts_long_data,
            version: context.protocol_version(),
            client: context.client_capabilities().unwrap_or_default(),
            progress,
            insertions,
            receipt,
            confirmed: false,
            // Over HTTP there is none in which an answer could come, whatever the client says.
            session: http.is_none().then_some(context.peer),
            http,
            id: context.id,
            gone: context.ct,
        }
    }
}
