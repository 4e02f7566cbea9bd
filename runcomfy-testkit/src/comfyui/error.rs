//! What goes wrong with a ComfyUI server, as opposed to a run on it.

use std::{error::Error, fmt};

use crate::text::clip;

/// A call that got no answer, or none that is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComfyError {
    kind: ComfyErrorKind,
    server: String,
    /// A fragment for the end of a sentence.
    detail: String,
}

/// The sort of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComfyErrorKind {
    /// An answer with this HTTP status, where another was expected.
    Status(u16),
    /// Connected, and then nothing for too long.
    TimedOut,
    /// More than is taken.
    TooLarge,
    /// No connection, or one that broke.
    Unreachable,
    /// An answer that no ComfyUI gives.
    Unusable,
}

impl ComfyError {
    pub(crate) fn new(kind: ComfyErrorKind, server: &str, detail: impl fmt::Display) -> Self {
        Self { kind, server: server.to_owned(), detail: clip(&detail.to_string(), 300) }
    }

    pub(crate) fn kind(&self) -> ComfyErrorKind {
        self.kind
    }

    /// Whether the server seems not to be there, rather than busy or strange.
    pub(crate) fn is_absence(&self) -> bool {
        // What a proxy before it says while nothing is behind it.
        matches!(self.kind, ComfyErrorKind::Unreachable | ComfyErrorKind::Status(502..=504))
    }

    /// Whether the same call will go the same way.
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
            ComfyErrorKind::Unusable => write!(f, "no use of ComfyUI at {server}: {detail}"),
        }
    }
}

impl Error for ComfyError {}

/// What lies beneath an error.
pub(super) fn root(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
