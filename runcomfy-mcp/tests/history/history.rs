//! What users asked and what they were told; and what the service did.

use std::collections::BTreeMap;

use runcomfy_core::error::Outcome;

/// One call, as its user knows it. Those of one user stand in the order in which they were made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) user: usize,
    pub(crate) asked: Asked,
    pub(crate) told: Told,
}

/// What a user wants. Markers and names are of one logical operation alone; calls that repeat it share
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// To be answered with the request's id, or with what came of it.
    Submit {
        marker: String,
        key: Option<String>,
        wait: bool,
    },
    Cancel {
        request_id: String,
    },
    Status {
        request_id: String,
    },
    Result {
        request_id: String,
    },
    Create {
        name: String,
        key: Option<String>,
    },
    /// The value is given once to each deployment.
    Update {
        deployment_id: String,
        keep_warm: u64,
    },
    Delete {
        deployment_id: String,
    },
}

impl Asked {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Submit { .. } => "submit",
            Self::Cancel { .. } => "cancel",
            Self::Status { .. } => "status",
            Self::Result { .. } => "result",
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
        }
    }

    /// The marker or name, where each call may have an effect of its own.
    pub(crate) fn paid(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Self::Submit { marker: mark, key, .. } | Self::Create { name: mark, key } => {
                Some((mark, key.as_deref()))
            }
            _ => None,
        }
    }
}

/// What a user was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done(Answer),
    /// It failed with this kind. What was done all the same may have an id.
    Failed {
        kind: String,
        outcome: Outcome,
        id: Option<String>,
    },
    /// The user went away, or the connection broke.
    Nothing,
}

impl Told {
    /// Whether it says that the call had no effect.
    pub(crate) fn denies(&self) -> bool {
        matches!(self, Self::Failed { outcome: Outcome::NotSent | Outcome::Rejected, .. })
    }

    /// The id of what was done, as far as it was named.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Done(answer) => answer.id.as_deref(),
            Self::Failed { id, outcome: Outcome::Applied, .. } => id.as_deref(),
            Self::Failed { .. } | Self::Nothing => None,
        }
    }
}

/// A good answer, as far as it can be held against what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The request's, or the deployment's.
    pub(crate) id: Option<String>,
    /// It is the answer to an earlier call.
    pub(crate) replayed: bool,
    /// What is said of the run, and what was true at that moment.
    pub(crate) seen: Option<(Claim, Truth)>,
}

/// What an answer says of a run. What says nothing for certain is no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Succeeded,
    Failed,
    Cancelled,
    /// Over, whether well or not.
    Completed,
    /// The run is over and can't be cancelled.
    NotCancellable,
}

/// Where a run is, by the service's own books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Open,
    Succeeded,
    Failed,
    Cancelled,
}

impl Claim {
    /// Whether it can be said of such a run.
    pub(crate) fn holds(self, truth: Truth) -> bool {
        match self {
            Self::Succeeded => truth == Truth::Succeeded,
            Self::Failed => truth == Truth::Failed,
            Self::Cancelled => truth == Truth::Cancelled,
            Self::Completed => matches!(truth, Truth::Succeeded | Truth::Failed),
            Self::NotCancellable => truth != Truth::Open,
        }
    }
}

/// What the service did for one user, by its own books.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    /// By request id.
    pub(crate) runs: BTreeMap<String, Run>,
    /// By deployment id, those that are there at the end.
    pub(crate) deployments: BTreeMap<String, Deployed>,
}

#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) marker: String,
    pub(crate) end: Truth,
}

#[derive(Clone, Debug)]
pub(crate) struct Deployed {
    pub(crate) name: String,
    pub(crate) keep_warm: u64,
}
