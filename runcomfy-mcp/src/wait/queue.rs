//! Why a run still stands in queue, as far as its deployment tells.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;
use runcomfy_core::{DeploymentId, ErrorKind, Include, RequestState, RequestStatus};
use tokio::time::Instant;

use crate::{
    pipeline::{auth::Api, context::Call, limits::Principal},
    result::Reply,
};

/// A reason is worth no longer a wait than this.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// Nor a question with every look at a run: so long, a deployment is taken to be as it was.
const GOOD_FOR: Duration = Duration::from_secs(15);
/// Of how many it is known.
const MOST: usize = 1024;

/// What deployments are set to, as far as it tells why their runs wait; of each caller's apart.
pub(crate) struct Reasons(Mutex<LruCache<(Principal, DeploymentId), Known>>);

#[derive(Clone, Copy)]
struct Known {
    at: Instant,
    set_to: SetTo,
}

#[derive(Clone, Copy)]
enum SetTo {
    Paused,
    Enabled {
        max_instances: Option<u64>,
    },
    /// It is gone.
    Nothing,
}

impl Reasons {
    pub(crate) fn new() -> Self {
        // Its bound is kept below: a cache that knows its bound takes the room for it at once.
        Self(Mutex::new(LruCache::unbounded()))
    }

    /// The next to ask is told what the deployment is then.
    pub(crate) fn forget(&self, principal: Principal, deployment_id: &DeploymentId) {
        self.known().pop(&(principal, deployment_id.clone()));
    }

    fn known(&self) -> MutexGuard<'_, LruCache<(Principal, DeploymentId), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the run waits; `None` where it does not, or nobody can tell.
    pub(super) async fn likely(
        self: Arc<Self>,
        api: Api,
        (principal, deployment_id): (Principal, DeploymentId),
        status: RequestStatus,
    ) -> Option<String> {
        if status.state() != RequestState::InQueue {
            return None;
        }
        let key = (principal, deployment_id);
        let known = self.known().get(&key).copied().filter(|known| known.at.elapsed() < GOOD_FOR);
        let set_to = match known {
            Some(known) => known.set_to,
            None => {
                let look = api.get_deployment(&key.1, Include::none());
                let set_to = match tokio::time::timeout(LOOK, look).await {
                    Ok(Ok(deployment)) if deployment.is_enabled == Some(false) => SetTo::Paused,
                    Ok(Ok(deployment)) => {
                        SetTo::Enabled { max_instances: deployment.max_instances }
                    }
                    Ok(Err(error)) if error.kind() == ErrorKind::NotFound => SetTo::Nothing,
                    _ => return None,
                };
                let mut all = self.known();
                all.put(key, Known { at: Instant::now(), set_to });
                if all.len() > MOST {
                    all.pop_lru();
                }
                set_to
            }
        };
        Some(reason(set_to, status.queue_position))
    }
}

impl std::fmt::Debug for Reasons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reasons")
    }
}

/// Adds the likely reason to an answer about a run that is in queue.
pub(crate) async fn with_reason(
    reply: Reply,
    call: &Call,
    deployment_id: &DeploymentId,
    status: &RequestStatus,
) -> Reply {
    if status.state() != RequestState::InQueue {
        return reply;
    }
    let whose = (call.standing.principal, deployment_id.clone());
    let look = Arc::clone(&call.reasons).likely(Arc::clone(&call.api), whose, status.clone());
    let look = Box::pin(look); // most are not in queue
    let found = tokio::select! {
        found = look => found,
        () = call.wait_is_pointless() => None,
    };
    with_note(reply, found)
}

pub(super) fn with_note(reply: Reply, note: Option<String>) -> Reply {
    match note {
        Some(note) => reply.with_note(&note),
        None => reply,
    }
}

fn reason(set_to: SetTo, position: Option<i64>) -> String {
    let max_instances = match set_to {
        SetTo::Nothing => {
            return "The deployment is gone: the run will not start. Cancel it.".to_owned();
        }
        SetTo::Paused => {
            return "The deployment is paused: nothing starts until update_deployment with is_enabled=true. \
                    RunComfy pauses it when funds run out: then add funds first."
                .to_owned();
        }
        SetTo::Enabled { max_instances } => max_instances,
    };
    match (position, max_instances) {
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
        let enabled = SetTo::Enabled { max_instances: Some(2) };
        let starting = reason(enabled, Some(0));
        assert_eq!(reason(enabled, None), starting);
        let behind = reason(enabled, Some(7));
        assert!(behind.contains('7') && behind.contains("max_instances"), "{behind}");
        let paused = reason(SetTo::Paused, Some(7));
        assert!(paused.contains("is_enabled=true") && paused.contains("funds"), "{paused}");
    }
}
