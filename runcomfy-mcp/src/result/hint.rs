//! What to do next, by what went wrong. The one place that gives advice.

use runcomfy_core::{
    ErrorKind,
    error::{CallKind, Operation, Outcome},
    request::RunFailure,
};

/// What to do about a token that was not filled in.
pub(crate) const FILL_IN: &str = "Nothing was sent. Keep the token that you have, as a new one revokes it: put it into the \
    client's configuration in place of the placeholder, or set the variable or input that the placeholder names where \
    the client sees it (a desktop program does not see a shell's variables), and restart the client.";

/// The next step after a failure.
pub(crate) fn hint(
    kind: ErrorKind,
    operation: Operation,
    outcome: Outcome,
    status_code: Option<u16>,
) -> &'static str {
    // Before all else: where something may be billed already, no advice may sound as if nothing were.
    if operation.call_kind() == CallKind::Paid && outcome == Outcome::Unknown {
        return passing(operation, outcome);
    }
    match kind {
        ErrorKind::Conflict => {
            "Somebody changed it at the same time. Read it again with get_deployment, then decide."
        }
        ErrorKind::DeploymentDisabled => {
            "The deployment is paused. Resume it with update_deployment {\"is_enabled\": true}; if it was paused for \
             lack of funds, add funds first."
        }
        ErrorKind::InsufficientFunds => {
            "Add funds to the RunComfy account, then resume the deployment with update_deployment {\"is_enabled\": true}."
        }
        ErrorKind::InvalidArgument => "Nothing was sent. Correct the arguments and call again.",
        ErrorKind::InvalidRequest => match operation {
            Operation::SubmitRequest => {
                "Compare node ids, input names and values with get_deployment {\"include_payload\": true}, correct them \
                 and submit again: nothing runs and nothing is billed."
            }
            Operation::CallInstanceProxy => {
                "ComfyUI refused the request body: see `detail` and correct it."
            }
            _ => "Correct what `message` and `detail` name and call again: nothing was changed.",
        },
        ErrorKind::NotFound => match operation {
            Operation::CallInstanceProxy => {
                "The instance is gone or ComfyUI has no such route. Instances live only while a request runs and \
                 shortly after: take instance_id from get_request_status of a request in progress."
            }
            Operation::CreateDeployment => {
                "Check workflow_id and workflow_version in the RunComfy web app."
            }
            Operation::CancelRequest
            | Operation::GetRequestResult
            | Operation::GetRequestStatus => {
                "Check that request_id belongs to this deployment_id; ids are UUIDs that submit_request returned."
            }
            _ => "Find the id with list_deployments: ids are UUIDs.",
        },
        ErrorKind::PermissionDenied => {
            "The token may not do this: use the token of the account that owns it."
        }
        ErrorKind::ProxyUnavailable => {
            "Nothing was sent, and RunComfy is not the cause: `message` names the proxy and the variable that names it. \
             Check that it runs and may connect to RunComfy, then repeat the call."
        }
        ErrorKind::ProxyUnusable => {
            "Nothing was sent, and RunComfy is not the cause. Correct the proxy in the variable that `message` names (its \
             address, or user name and password with special characters percent-encoded) and restart the server."
        }
        ErrorKind::RateLimited => {
            "Wait `retry_after_seconds` (or some seconds), then repeat the call: it had no effect."
        }
        ErrorKind::Refused => "See `message`. Repeating the same call will not help.",
        ErrorKind::Unauthenticated if status_code.is_none() => {
            "Set RUNCOMFY_API_KEY in the server's environment and restart it; over HTTP send your own token as \
             `Authorization: Bearer …`. To try everything without an account, start the server with --emulator."
        }
        ErrorKind::Unauthenticated => {
            "RunComfy does not accept this token. Check first that the right one arrived: `runcomfy-mcp doctor` says where \
             it comes from. Make a new one (web app: Profile, Account, API Token) only if it was lost or revoked: that \
             revokes the old one for every other program that uses it. Requests already accepted go on and are billed."
        }
        ErrorKind::UpstreamTls => {
            "Nothing was sent. Check the machine's clock, its root certificates and RUNCOMFY_SERVERLESS_BASE_URL. A proxy \
             that inspects TLS signs with a certificate of its own: on Linux add it to the file in SSL_CERT_FILE."
        }
        ErrorKind::TimedOut | ErrorKind::UpstreamProtocol | ErrorKind::UpstreamUnavailable => {
            passing(operation, outcome)
        }
        _ => "See `message`.",
    }
}

/// After a fault that may pass, or whose effect is not known: what is safe depends on what may have happened.
fn passing(operation: Operation, outcome: Outcome) -> &'static str {
    match (operation.call_kind(), outcome) {
        (_, Outcome::NotSent | Outcome::Rejected) => {
            "It had no effect. Repeat the call in a moment."
        }
        (CallKind::Read, _) => {
            "Nothing was changed. Repeat the call in a moment; a running request goes on."
        }
        (CallKind::Idempotent, _) => {
            "It may have taken effect. Look with get_deployment or get_request_status; repeating the call is safe."
        }
        (CallKind::Paid, _) => match operation {
            Operation::SubmitRequest => {
                "A run may have started and be billed. Where there is a `request_id`, follow it with \
                 get_request_status; otherwise its id is lost. Do not submit again unless a second run is acceptable: \
                 ask the user."
            }
            Operation::CreateDeployment => {
                "It may have been created. Look with list_deployments before you create again."
            }
            _ => "It may have taken effect. Find out before you repeat it.",
        },
    }
}

/// What to change after a run that failed, and what is known of its bill.
pub(crate) fn failure_hint(failure: &RunFailure) -> String {
    let words = [failure.kind.as_deref(), failure.message.as_deref()];
    let words = words.into_iter().flatten().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let change = if has(&["no_outputs", "no outputs"]) {
        "The workflow has no node that saves or shows anything: run one that ends in such as SaveImage."
    } else if has(&["outofmemory", "out of memory"]) {
        "The GPU's memory was too small: make it smaller (width, height, frames, batch_size), or ask the user about \
         other hardware (update_deployment)."
    } else if has(&["input_file", "invalid image file", "no such file", "filenotfound"]) {
        "An input file could not be read: give a public https URL or a data URI, and a name that the deployment has."
    } else if has(&[
        "prompt_outputs_failed",
        "invalid_prompt",
        "not_in_list",
        "not in list",
        "value_",
        "required_input",
        "return_type",
        "bad_linked",
        "missing_node",
        "validation",
    ]) {
        "ComfyUI refused an input before it ran anything: `result.error` names node and value; get_deployment has \
         the inputs."
    } else {
        "`result.error` says what went wrong and where: change that first, as the same inputs fail in the same way."
    };
    format!(
        "{change} RunComfy bills the machine's time, a failed run's too: another try is billed again, so don't \
         repeat it unchanged."
    )
}
