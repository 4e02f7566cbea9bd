//! JSON as files and bodies have it.

/// JSON without the byte order mark that some editors put before it.
pub(crate) fn json(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
