//! Faults of a run, implemented by scripts.

use serde_json::{Value, json};

use super::{fault::Fault, table::FaultKind};
use crate::script::Script;

/// The script of the run, if the fault is one of a run.
pub(in crate::emulator) fn script(fault: &Fault) -> Option<Script> {
    let script = Script::default();
    match fault.kind() {
        FaultKind::CancelledRun => Some(script.cancelled()),
        FaultKind::FailedRun => Some(script.fails(error(&fault.text("error")))),
        FaultKind::NoOutputs => Some(script.completes_without_outputs()),
        FaultKind::PartialOutputs => Some(script.fails(error("array")).with_partial_outputs()),
        _ => None,
    }
}

/// The same error in each shape that the service has used.
fn error(shape: &str) -> Value {
    const WORDS: &str = "CUDA out of memory. Tried to allocate 2.25 GiB";
    match shape {
        "object" => json!({"type": "OutOfMemoryError", "message": WORDS}),
        "string" => json!(WORDS),
        _ => json!([{
            "errorCode": 2001,
            "error": "OutOfMemoryError",
            "debugInfo": format!("node 3 (KSampler): {WORDS}"),
        }]),
    }
}
