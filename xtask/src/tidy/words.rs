//! Words that were the project's own, where the field has a term.

/// The crate, the folder or file within `src` that a word is retired in (empty: everywhere), the word, and what
/// to say in its place. Another module may need the same word in its plain sense.
#[rustfmt::skip] // a row each
const RETIRED: &[(&str, &str, &str, &str)] = &[
    ("runcomfy-mcp", "", "gate", "limits"),
    ("runcomfy-mcp", "", "Gate", "Limiter"),
    ("runcomfy-mcp", "", "knock", "check_request_rate"),
    ("runcomfy-mcp", "", "judged", "record_auth_result"),
    ("runcomfy-mcp", "", "Place", "Permit"),
    ("runcomfy-mcp", "", "take_seat", "acquire_wait_permit"),
    ("runcomfy-mcp", "", "sit_down", "release_for_wait"),
    ("runcomfy-mcp", "", "Standing", "CallPermits"),
    ("runcomfy-mcp", "", "Busy", "Rejection"),
    ("runcomfy-mcp", "", "Pace", "CallerRates"),
    ("runcomfy-mcp", "", "Bucket", "Gcra"),
    ("runcomfy-mcp", "", "Known", "CallerTable"),
    ("runcomfy-mcp", "", "Principal", "CallerId"),
    ("runcomfy-mcp", "", "Callers", "AuthMode"),
    ("runcomfy-mcp", "", "acting", "authenticate"),
    ("runcomfy-mcp", "", "door", "admission"),
    ("runcomfy-mcp", "", "Visit", "InboundRequest"),
    ("runcomfy-mcp", "transport", "names", "host_policy"),
    ("runcomfy-mcp", "transport", "objection", "violation"),
    ("runcomfy-mcp", "", "Tag", "HttpRequestId"),
    ("runcomfy-mcp", "", "Pulse", "Liveness"),
    ("runcomfy-mcp", "", "outliving", "detach"),
    ("runcomfy-mcp", "", "direct", "fast_path"),
    ("runcomfy-mcp", "", "library", "rmcp_path"),
    ("runcomfy-mcp", "", "consent", "confirmation"),
    ("runcomfy-mcp", "", "Consent", "Confirmation"),
    ("runcomfy-mcp", "", "by_peer", "elicit"),
    ("runcomfy-mcp", "", "in_rounds", "resume"),
    ("runcomfy-mcp", "", "Sealing", "RequestStateSigner"),
    ("runcomfy-mcp", "", "seal", "sign"),
    ("runcomfy-mcp", "", "Opened", "VerifiedState"),
    ("runcomfy-mcp", "", "Round", "PendingConfirmation"),
    ("runcomfy-mcp", "", "replay", "idempotency"),
    ("runcomfy-mcp", "", "Replay", "Idempotency"),
    ("runcomfy-mcp", "", "Ledger", "IdempotencyScope"),
    ("runcomfy-mcp", "", "Once", "Executed"),
    ("runcomfy-mcp", "pipeline/idempotency", "undelivered", "lost_responses"),
    ("runcomfy-mcp", "pipeline/idempotency", "Undelivered", "LostResponses"),
    ("runcomfy-mcp", "", "forgotten", "not_recorded"),
    ("runcomfy-mcp", "pipeline", "Call", "ToolContext"),
    ("runcomfy-mcp", "", "to_its_end", "run_to_completion"),
    ("runcomfy-mcp", "", "wait_is_pointless", "abandoned"),
    ("runcomfy-mcp", "", "aside", "run_read"),
    ("runcomfy-mcp", "", "aside_that_writes", "run_write"),
    ("runcomfy-mcp", "", "Record", "CallLog"),
    ("runcomfy-mcp", "", "came_to", "set_outcome"),
    ("runcomfy-mcp", "", "Reply", "ToolResult"),
    ("runcomfy-mcp", "", "Fault", "ToolError"),
    ("runcomfy-mcp", "", "shape", "render"),
    ("runcomfy-mcp", "", "because", "with_message"),
    ("runcomfy-mcp", "", "advising", "with_hint"),
    ("runcomfy-mcp", "result", "told", "to_error_data"),
    ("runcomfy-mcp", "", "left_out", "placeholders"),
    ("runcomfy-mcp", "", "leave_out", "defer"),
    ("runcomfy-mcp", "", "put_in", "inline_deferred"),
    ("runcomfy-mcp", "", "insertions", "splices"),
    ("runcomfy-mcp", "", "Insertions", "Splices"),
    ("runcomfy-mcp", "", "content", "sanitize"),
    ("runcomfy-mcp", "", "thin", "cap_collections"),
    ("runcomfy-mcp", "", "unfit", "is_disallowed"),
    ("runcomfy-mcp", "", "is_unfit", "is_disallowed"),
    ("runcomfy-mcp", "", "strangers", "unknown_count"),
    ("runcomfy-mcp", "", "Reasons", "DeploymentCache"),
    ("runcomfy-mcp", "", "SetTo", "DeploymentState"),
    ("runcomfy-mcp", "", "likely", "explain"),
    ("runcomfy-mcp", "", "random", "entropy"),
    ("http-edge", "", "door", "admission"),
    ("http-edge", "", "objection", "violation"),
    ("http-edge", "", "site", "service"),
    ("http-edge", "", "Site", "Service"),
    ("http-edge", "", "Tag", "HttpRequestId"),
    ("http-edge", "", "Pulse", "Liveness"),
    ("http-edge", "", "head", "framing"),
    ("http-edge", "", "Head", "Framing"),
    ("http-edge", "", "crowded", "pipelined"),
    ("http-edge", "", "inbound", "body"),
    ("http-edge", "", "Budget", "MemoryBudget"),
    ("http-edge", "", "Load", "MemoryPermit"),
    ("http-edge", "", "Unread", "ReadBodyError"),
    ("http-edge", "", "outliving", "detach"),
    ("http-edge", "", "Outliving", "Detach"),
    ("http-edge", "", "Receipt", "DeliveryReceipt"),
    ("http-edge", "", "Places", "OpenConnections"),
    ("runcomfy-core", "", "settle", "reconcile"),
    ("runcomfy-core", "", "Tries", "WriteAttempts"),
    ("runcomfy-core", "", "LookFirst", "ReadBack"),
    ("runcomfy-core", "", "refusal", "error_response"),
    ("runcomfy-core", "", "gather", "response_buffer"),
    ("runcomfy-core", "", "pools", "clients"),
    ("runcomfy-core", "", "quotas", "retry_budget"),
    ("runcomfy-core", "", "wire", "decode"),
    ("runcomfy-core", "", "Garbled", "NotHttp"),
    ("runcomfy-core", "", "Lasting", "Permanent"),
    ("runcomfy-core", "", "Tried", "Attempt"),
    ("runcomfy-core", "", "tried", "on_attempt"),
    ("runcomfy-core", "", "UnknownWord", "ParseNameError"),
    ("runcomfy-core", "", "seat", "waiter"),
    ("runcomfy-core", "", "looks", "polls"),
    ("runcomfy-core", "", "judge", "interpret"),
    ("runcomfy-core", "", "heed", "reschedule"),
    ("runcomfy-core", "", "hurry", "poll_sooner"),
    ("runcomfy-core", "", "lengths", "run_durations"),
    ("runcomfy-core", "", "pace", "schedule"),
    ("runcomfy-core", "", "alarm", "sleep"),
    ("runcomfy-core", "", "Wanted", "Demand"),
    ("runcomfy-core", "", "Seen", "Observed"),
    ("runcomfy-core", "", "sit_down", "join"),
    ("runcomfy-testkit", "", "front", "middleware"),
    ("runcomfy-testkit", "", "Front", "shared state"),
    ("runcomfy-testkit", "emulator", "Line", "ConnectionHandle"),
    ("runcomfy-testkit", "emulator", "wire", "encode"),
];

/// The words among the names that a crate declares, which are given with the module that declares them.
pub(super) fn retired(
    folder: &str,
    declared: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut faults: Vec<_> = declared
        .filter_map(|(module, name)| {
            let (.., right) = RETIRED.iter().find(|(one, within, word, _)| {
                *one == folder && module.starts_with(within) && *word == name
            })?;
            Some(format!("{module} declares `{name}`: say `{right}`"))
        })
        .collect();
    faults.dedup();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &str, module: &str, name: &str) -> usize {
        retired(folder, [(module.to_owned(), name.to_owned())].into_iter()).len()
    }

    #[test]
    fn a_retired_word_is_found_in_its_own_crate_and_folder() {
        assert_eq!(found("runcomfy-mcp", "pipeline/limits", "Gate"), 1);
        assert_eq!(found("runcomfy-core", "wait", "Gate"), 0);
        assert_eq!(found("runcomfy-testkit", "emulator/x", "Line"), 1);
        assert_eq!(found("runcomfy-testkit", "comfyui/x", "Line"), 0);
        assert_eq!(found("runcomfy-mcp", "pipeline/limits", "Limiter"), 0);
    }
}
