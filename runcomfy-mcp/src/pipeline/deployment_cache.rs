//! Why a run still stands in queue, as far as its deployment tells.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;
use runcomfy_core::{
    DeploymentId, ErrorKind,
    deployment::Include,
    request::{RequestState, RequestStatus},
};
use tokio::time::Instant;

use crate::pipeline::{auth::Api, limits::CallerId};

/// The longest that a question for a reason may take.
pub(crate) const LOOK: Duration = Duration::from_secs(2);
/// How long a deployment is taken to be as it was, because a question with every poll would be too many.
const GOOD_FOR: Duration = Duration::from_secs(15);
/// The most deployments in the cache.
const MOST: usize = 1024;

/// What deployments are set to, as far as it explains why their runs wait; separately for each caller.
pub(crate) struct DeploymentCache(Mutex<LruCache<(CallerId, DeploymentId), CachedState>>);

#[derive(Clone, Copy)]
struct CachedState {
    at: Instant,
    state: DeploymentState,
}

#[derive(Clone, Copy)]
enum DeploymentState {
    Paused,
    Enabled {
        max_instances: Option<u64>,
    },
    /// It is gone.
    Nothing,
}

impl DeploymentCache {
    pub(crate) fn new() -> Self {
        // Its bound is kept below: a cache that knows its bound takes the room for it at once.
        Self(Mutex::new(LruCache::unbounded()))
    }

    /// Has the next question ask RunComfy.
    pub(crate) fn forget(&self, principal: CallerId, deployment_id: &DeploymentId) {
        self.known().pop(&(principal, deployment_id.clone()));
    }

    fn known(&self) -> MutexGuard<'_, LruCache<(CallerId, DeploymentId), CachedState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the run waits; `None` where it does not, or nobody can tell.
    pub(crate) async fn explain(
        self: Arc<Self>,
        api: Api,
        (principal, deployment_id): (CallerId, DeploymentId),
        status: RequestStatus,
    ) -> Option<String> {
        if status.state() != RequestState::InQueue {
            return None;
        }
        let key = (principal, deployment_id);
        let known = self.known().get(&key).copied().filter(|known| known.at.elapsed() < GOOD_FOR);
        let state = match known {
            Some(known) => known.state,
            None => {
                let look = api.get_deployment(&key.1, Include::none());
                let state = match tokio::time::timeout(LOOK, look).await {
                    Ok(Ok(deployment)) if deployment.is_enabled == Some(false) => {
                        DeploymentState::Paused
                    }
                    Ok(Ok(deployment)) => {
                        DeploymentState::Enabled { max_instances: deployment.max_instances }
                    }
                    Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                        DeploymentState::Nothing
                    }
                    _ => return None,
                };
                let mut all = self.known();
                all.put(key, CachedState { at: Instant::now(), state });
                if all.len() > MOST {
                    all.pop_lru();
                }
                state
            }
        };
        Some(reason(state, status.queue_position))
    }
}

impl std::fmt::Debug for DeploymentCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeploymentCache")
    }
}

fn reason(state: DeploymentState, position: Option<i64>) -> String {
    let max_instances = match state {
        DeploymentState::Nothing => {
            return "The deployment is gone: the run will not start. Cancel it.".to_owned();
        }
        DeploymentState::Paused => {
            return "The deployment is paused: nothing starts until update_deployment with is_enabled=true. \
                    RunComfy pauses it when funds run out: then add funds first."
                .to_owned();
        }
        DeploymentState::Enabled { max_instances } => max_instances,
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
        let enabled = DeploymentState::Enabled { max_instances: Some(2) };
        let starting = reason(enabled, Some(0));
        assert_eq!(reason(enabled, None), starting);
        let behind = reason(enabled, Some(7));
        assert!(behind.contains('7') && behind.contains("max_instances"), "{behind}");
        let paused = reason(DeploymentState::Paused, Some(7));
        assert!(paused.contains("is_enabled=true") && paused.contains("funds"), "{paused}");
    }
}
