//! What a client's protocol revision knows.

pub(crate) mod handshake;
pub(crate) mod message;

use std::sync::LazyLock;

use rmcp::model::{Implementation, MetaObject, ProtocolVersion};

/// Whether it is one without a handshake: hints on how long answers stay good, questions in rounds, tasks.
pub(crate) fn is_modern(version: Option<&ProtocolVersion>) -> bool {
    version.is_some_and(|version| *version >= ProtocolVersion::V_2026_07_28)
}

/// Links to resources came with the revision of 2025-06-18; older clients reject results that have one.
pub(crate) fn knows_links(version: Option<&ProtocolVersion>) -> bool {
    version.is_some_and(|version| *version >= ProtocolVersion::V_2025_06_18)
}

/// This server, as a handshake and each result name it.
pub(crate) fn server_info() -> Implementation {
    Implementation::new("runcomfy-mcp", env!("CARGO_PKG_VERSION"))
        .with_title("RunComfy (unofficial)")
}

/// The `_meta` of a result: a revision without a handshake wants the server named in each.
pub(crate) fn result_meta(version: Option<&ProtocolVersion>) -> Option<MetaObject> {
    static META: LazyLock<MetaObject> = LazyLock::new(|| {
        let mut meta = MetaObject::default();
        if let Ok(info) = serde_json::to_value(server_info()) {
            meta.insert("io.modelcontextprotocol/serverInfo".to_owned(), info);
        }
        meta
    });
    is_modern(version).then(|| META.clone())
}
