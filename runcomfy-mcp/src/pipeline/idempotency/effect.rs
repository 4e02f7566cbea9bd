//! What a call did, as far as it is known.

use runcomfy_core::{Error, error::Outcome};
use serde::Serialize;
use serde_json::Value;

/// What a call did, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// None at all: it may be made again.
    Nothing,
    /// Perhaps some.
    Unknown,
    Done(Value),
}

impl Effect {
    pub(super) fn of<T: Serialize>(answer: &Result<T, Error>) -> Self {
        match answer {
            Ok(value) => serde_json::to_value(value).map_or(Self::Unknown, Self::Done),
            Err(error) if matches!(error.outcome(), Outcome::NotSent | Outcome::Rejected) => {
                Self::Nothing
            }
            Err(_) => Self::Unknown,
        }
    }

    /// What it came to, where that is known.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Done(value) => Some(value),
            _ => None,
        }
    }
}
