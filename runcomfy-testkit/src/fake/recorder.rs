//! `EventRecorder`: writes a fake's events to the state file.

use std::{fmt, pin::Pin, sync::Arc};

use runcomfy_core::{
    Error, ErrorKind,
    error::{Operation, Outcome},
};

use crate::history::HistoryEntry;

/// Resolves when the event is on disk.
type RecordResult = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Writes events in the order of its calls. Called with `None`, it resolves when all earlier events are on
/// disk.
#[derive(Clone)]
pub(crate) struct EventRecorder(pub(crate) Arc<RecordFn>);

type RecordFn = dyn Fn(Option<&HistoryEntry>) -> RecordResult + Send + Sync;

impl fmt::Debug for EventRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventRecorder")
    }
}

/// The error of a call whose change could not be written.
pub(super) fn record_error(operation: Operation, why: &str) -> Error {
    Error::new(operation, ErrorKind::UpstreamUnavailable)
        .with_outcome(Outcome::Unknown)
        .with_status_code(500)
        .with_error_code(500_001)
        .with_message(format!("the state file could not be written: {why}"))
}
