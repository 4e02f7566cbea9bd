//! The body of a webhook: the documented fields of each state, and no others.

use runcomfy_core::{DeploymentId, RequestId};
use serde_json::{Value, json};

/// The state and its fields. Times are formatted as in the service's responses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WebhookState<'a> {
    /// Only with intermediate states.
    InQueue,
    /// Only with intermediate states.
    InProgress,
    Succeeded {
        created_at: &'a str,
        finished_at: &'a str,
        outputs: &'a Value,
    },
    /// With the `type` and `message` of the error. An error of another shape is passed on unchanged.
    Failed {
        created_at: &'a str,
        finished_at: &'a str,
        error: &'a Value,
    },
    Cancelled {
        finished_at: &'a str,
    },
}

pub(crate) fn payload(
    request_id: &RequestId,
    deployment_id: &DeploymentId,
    state: WebhookState<'_>,
) -> Value {
    let (status, more) = match state {
        WebhookState::InQueue => ("in_queue", json!({})),
        WebhookState::InProgress => ("in_progress", json!({})),
        WebhookState::Succeeded { created_at, finished_at, outputs } => (
            "succeeded",
            json!({"created_at": created_at, "finished_at": finished_at, "outputs": outputs}),
        ),
        WebhookState::Failed { created_at, finished_at, error } => (
            "failed",
            json!({"created_at": created_at, "finished_at": finished_at, "error": told(error)}),
        ),
        WebhookState::Cancelled { finished_at } => {
            ("cancelled", json!({"finished_at": finished_at}))
        }
    };
    let mut payload = json!({
        "request_id": request_id.as_str(),
        "deployment_id": deployment_id.as_str(),
        "status": status,
    });
    if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
        payload.extend(more);
    }
    payload
}

fn told(error: &Value) -> Value {
    match (error.get("type"), error.get("message")) {
        (Some(kind), Some(message)) => json!({"type": kind, "message": message}),
        _ => error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(state: WebhookState<'_>, expected: &str) {
        let (request, deployment) = (RequestId::new("R").unwrap(), DeploymentId::new("D").unwrap());
        let start = r#"{"request_id":"R","deployment_id":"D","status":"#;
        let told = payload(&request, &deployment, state).to_string();
        assert_eq!(told, format!("{start}{expected}}}"));
    }

    #[test]
    fn each_state_has_the_documented_fields_and_no_others() {
        const T1: &str = "2026-01-01T00:00:00.000Z";
        const T2: &str = "2026-01-01T00:00:09.000Z";
        check(WebhookState::InQueue, r#""in_queue""#);
        check(WebhookState::InProgress, r#""in_progress""#);
        let outputs = json!({"9": {"images": [{"url": "http://x/y.png", "filename": "y.png"}]}});
        check(
            WebhookState::Succeeded { created_at: T1, finished_at: T2, outputs: &outputs },
            concat!(
                r#""succeeded","created_at":"2026-01-01T00:00:00.000Z","#,
                r#""finished_at":"2026-01-01T00:00:09.000Z","#,
                r#""outputs":{"9":{"images":[{"url":"http://x/y.png","filename":"y.png"}]}}"#,
            ),
        );
        for (error, told) in [
            (
                json!({"type": "OSError", "message": "cut", "node_id": "1"}),
                r#"{"type":"OSError","message":"cut"}"#,
            ),
            (json!([{"errorCode": 1}]), r#"[{"errorCode":1}]"#),
        ] {
            check(
                WebhookState::Failed { created_at: T1, finished_at: T2, error: &error },
                &format!(r#""failed","created_at":"{T1}","finished_at":"{T2}","error":{told}"#),
            );
        }
        check(
            WebhookState::Cancelled { finished_at: T2 },
            r#""cancelled","finished_at":"2026-01-01T00:00:09.000Z""#,
        );
    }
}
