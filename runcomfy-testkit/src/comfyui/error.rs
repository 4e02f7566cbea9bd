//! `ComfyError`: a failed call to a ComfyUI server, as opposed to a failed run.

use std::{error::Error, fmt};

use crate::text::clip;

/// A call without a usable response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComfyError {
    kind: ComfyErrorKind,
    server: String,
    /// The end of the error message.
    detail: String,
}

/// The kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComfyErrorKind {
    /// An unexpected HTTP status.
    Status(u16),
    /// No response in time.
    TimedOut,
    /// A response beyond the size limit.
    TooLarge,
    /// No connection, or a broken one.
    Unreachable,
    /// A response that does not come from ComfyUI.
    Unusable,
}

impl ComfyError {
    pub(crate) fn new(kind: ComfyErrorKind, server: &str, detail: impl fmt::Display) -> Self {
        Self { kind, server: server.to_owned(), detail: clip(&detail.to_string(), 300) }
    }

    pub(crate) fn kind(&self) -> ComfyErrorKind {
        self.kind
    }

    /// Whether the server seems to be down, rather than busy or something else.
    pub(crate) fn is_absence(&self) -> bool {
        // A reverse proxy answers so while its server is down.
        matches!(self.kind, ComfyErrorKind::Unreachable | ComfyErrorKind::Status(502..=504))
    }

    /// Whether the same call would fail again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.kind, ComfyErrorKind::TooLarge | ComfyErrorKind::Status(400..=499))
    }

    pub(super) fn of_call(server: &str, error: reqwest::Error) -> Self {
        let kind =
            if error.is_timeout() { ComfyErrorKind::TimedOut } else { ComfyErrorKind::Unreachable };
        Self::new(kind, server, root(&error.without_url()))
    }
}

impl fmt::Display for ComfyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, server, detail } = self;
        match kind {
            ComfyErrorKind::Status(status) => {
                write!(f, "ComfyUI at {server} answered with HTTP {status}: {detail}")
            }
            ComfyErrorKind::TimedOut => {
                write!(f, "ComfyUI at {server} did not answer in time: {detail}")
            }
            ComfyErrorKind::TooLarge => write!(f, "ComfyUI at {server} sent too much: {detail}"),
            ComfyErrorKind::Unreachable => {
                write!(f, "ComfyUI at {server} could not be reached: {detail}")
            }
            ComfyErrorKind::Unusable => write!(f, "ComfyUI at {server} is not usable: {detail}"),
        }
    }
}

impl Error for ComfyError {}

/// The root cause of an error.
pub(super) fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
