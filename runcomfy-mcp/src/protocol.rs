//! What a client's protocol revision knows.

use rmcp::model::ProtocolVersion;

/// Whether it is one without a handshake: hints on how long answers stay good, questions in rounds, tasks.
pub(crate) fn is_modern(version: Option<&ProtocolVersion>) -> bool {
    version.is_some_and(|version| *version >= ProtocolVersion::V_2026_07_28)
}

/// Links to resources came with the revision of 2025-06-18; older clients reject results that have one.
pub(crate) fn knows_links(version: Option<&ProtocolVersion>) -> bool {
    version.is_some_and(|version| *version >= ProtocolVersion::V_2025_06_18)
}
