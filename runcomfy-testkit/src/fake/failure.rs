//! `Failure`: an error configured for a future call.

use runcomfy_core::{Error, error::Operation};

/// An error that waits for its call.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// `None` for any operation.
    of: Option<Operation>,
    pub(super) error: Error,
    pub(super) effect: FailureEffect,
}

/// Whether the failing call takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureEffect {
    /// The call takes effect and its response is lost.
    AfterEffect,
    InsteadOfEffect,
}

impl Failure {
    pub(super) fn after(of: impl Into<Option<Operation>>, error: Error) -> Self {
        Self { of: of.into(), error, effect: FailureEffect::AfterEffect }
    }

    pub(super) fn instead(of: impl Into<Option<Operation>>, error: Error) -> Self {
        Self { of: of.into(), error, effect: FailureEffect::InsteadOfEffect }
    }

    pub(super) fn is_for(&self, operation: Operation) -> bool {
        self.of.is_none_or(|of| of == operation)
    }
}
