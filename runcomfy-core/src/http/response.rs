//! A response as it was received, before it is decoded.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{error::Operation, json::NonFinite};

/// A response as it came.
#[derive(Debug)]
pub(super) struct RawResponse {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// All of it where the status is a success, otherwise its beginning, without what may be the first half
    /// of a token.
    pub(super) body: Bytes,
    /// Where it had numbers that JSON does not have, which are null in `body`.
    pub(super) non_finite: Option<NonFinite>,
}

impl RawResponse {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body from where its JSON would begin. The content type is not asked: some send JSON as text.
    pub(super) fn json(&self) -> &[u8] {
        self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body).trim_ascii()
    }

    /// The same as text; `None` where it is none.
    pub(super) fn text(&self) -> Option<ByteString> {
        ByteString::try_from(self.body.slice_ref(self.json())).ok()
    }

    /// Whether it is a page for people, such as a gateway makes.
    pub(super) fn is_html(&self) -> bool {
        let declared = self
            .content_type
            .as_deref()
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
        let begins = |tag: &[u8]| {
            self.json().get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag))
        };
        declared || begins(b"<!doctype html") || begins(b"<html")
    }
}

/// What a response is read for.
pub(super) struct DecodeContext<'a> {
    pub(super) operation: Operation,
    /// The caller's token and what else the call sent that is nobody's business, to be made unreadable
    /// wherever the service repeats it.
    pub(super) secrets: &'a [&'a str],
}
