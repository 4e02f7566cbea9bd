//! Failures that were asked for.

use runcomfy_core::{Error, Operation};

/// A failure that waits for its call.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// Any call where nothing is said.
    of: Option<Operation>,
    pub(super) error: Error,
    pub(super) effect: FailureEffect,
}

/// Whether a call that fails has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureEffect {
    /// Only the answer is lost.
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
