//! Why a run still stands in queue, as far as its deployment tells.

use std::{sync::Arc, time::Duration};

use runcomfy_core::{Deployment, DeploymentId, ErrorKind, Include, RequestState, RequestStatus};

use crate::{call::Call, reply::Reply, tools::Api};

/// A reason is worth no longer a wait than this.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// Adds the likely reason to an answer about a run that is in queue.
pub(crate) async fn with_reason(
    reply: Reply,
    call: &Call,
    deployment_id: &DeploymentId,
    status: &RequestStatus,
) -> Reply {
    let api = Arc::clone(&call.api);
    let look = likely_reason(api, deployment_id.clone(), status.clone());
    let found = tokio::select! {
        found = look => found,
        () = call.wait_is_pointless() => None,
    };
    with_note(reply, found)
}

pub(super) fn with_note(reply: Reply, note: Option<String>) -> Reply {
    match note {
        Some(note) => reply.with("note", note),
        None => reply,
    }
}

/// Why the run waits; `None` where it does not, or nobody can tell.
pub(super) async fn likely_reason(
    api: Api,
    deployment_id: DeploymentId,
    status: RequestStatus,
) -> Option<String> {
    if status.state() != RequestState::InQueue {
        return None;
    }
    let look = api.get_deployment(&deployment_id, Include::none());
    match tokio::time::timeout(LOOK, look).await {
        Ok(Ok(deployment)) => Some(reason(&deployment, status.queue_position)),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            Some("The deployment is gone: the run will not start. Cancel it.".to_owned())
        }
        _ => None,
    }
}

fn reason(deployment: &Deployment, position: Option<i64>) -> String {
    if deployment.is_enabled == Some(false) {
        return "The deployment is paused: nothing starts until update_deployment with is_enabled=true. RunComfy \
                pauses it when funds run out: then add funds first."
            .to_owned();
    }
    match (position, deployment.max_instances) {
        (Some(ahead @ 1..), Some(most)) => format!(
            "{ahead} run(s) of this deployment are ahead, and at most {most} machine(s) work at once (max_instances): \
             wait, or let the user decide on more machines."
        ),
        _ => "Probably a machine is starting, which takes 3 to 5 minutes. This is normal: wait, do not submit again."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_what_is_known() {
        let mut deployment = Deployment::new(DeploymentId::new("d").unwrap());
        deployment.max_instances = Some(2);
        let starting = reason(&deployment, Some(0));
        assert_eq!(reason(&deployment, None), starting);
        let behind = reason(&deployment, Some(7));
        assert!(behind.contains('7') && behind.contains("max_instances"), "{behind}");
        deployment.is_enabled = Some(false);
        let paused = reason(&deployment, Some(7));
        assert!(paused.contains("is_enabled=true") && paused.contains("funds"), "{paused}");
    }
}
