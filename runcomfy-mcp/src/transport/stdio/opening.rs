//! What comes before client and server have agreed on a revision. MCP's library ends the server where that is not
//! what it expects, so none of it gets there.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientRequest, GetMeta as _, InitializeRequest, JsonRpcMessage, ProtocolVersion,
        RequestMetaObject,
    },
    service::RxJsonRpcMessage,
};

use crate::protocol::handshake::{self, METHOD};

/// What becomes of a message that comes so early.
#[derive(Debug)]
pub(super) enum Early {
    /// It is answered, and nothing is agreed on yet.
    Passes,
    /// From here on client and server agree.
    Agrees,
    /// Nobody wants an answer to it.
    Dropped,
    Refused(ErrorData),
}

/// Judges a message; a handshake that the library could not read is made one that it can.
pub(super) fn judge(message: &mut RxJsonRpcMessage<RoleServer>) -> Early {
    let JsonRpcMessage::Request(request) = message else { return Early::Dropped };
    match &mut request.request {
        ClientRequest::InitializeRequest(_) => Early::Agrees,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => Early::Passes,
        ClientRequest::CustomRequest(custom) if custom.method == METHOD => {
            match handshake::complete(custom.params.take(), &handshake::UNSAID) {
                Ok(params) => {
                    request.request = InitializeRequest::new(params).into();
                    Early::Agrees
                }
                Err(error) => Early::Refused(error),
            }
        }
        other => by_itself(other.get_meta()),
    }
}

/// A request that says of its client what a handshake would have said: since the revision of 2026-07-28.
fn by_itself(meta: &RequestMetaObject) -> Early {
    const KEYS: [&str; 3] = [
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientCapabilities",
        "io.modelcontextprotocol/clientInfo",
    ];
    if !KEYS.iter().any(|key| meta.contains_key(*key)) {
        let message = format!(
            "`{METHOD}` comes first; a request without it says in its `_meta` what {} and {} are, as of 2026-07-28",
            KEYS[0], KEYS[1]
        );
        return Early::Refused(ErrorData::invalid_request(message, None));
    }
    let whole = meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty();
    let known = meta
        .protocol_version()
        .is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version));
    // The library says what is missing, or which revisions there are.
    if whole && known { Early::Agrees } else { Early::Passes }
}
