//! A lock per token and deployment, because an update reads the name that it then sends.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, Weak},
};

use crate::{id::DeploymentId, sync::lock, token::Token};

/// The token's hash, and the deployment.
type LockKey = (u64, DeploymentId);

/// The locks that are held or waited for. Those no longer wanted go when the next one is made.
#[derive(Default)]
pub(super) struct UpdateLocks {
    /// Keyed by process and at random: the map knows no token, and nobody can choose colliding ones.
    hasher: RandomState,
    locks: Mutex<HashMap<LockKey, Weak<tokio::sync::Mutex<()>>>>,
}

impl UpdateLocks {
    /// The lock for updates of this deployment with this token.
    pub(super) fn of(
        &self,
        token: &Token,
        deployment_id: &DeploymentId,
    ) -> Arc<tokio::sync::Mutex<()>> {
        let key = (self.hasher.hash_one(token.expose()), deployment_id.clone());
        let mut locks = lock(&self.locks);
        if let Some(lock) = locks.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(key, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_shared_by_token_and_deployment_and_forgotten_when_unused() {
        let locks = UpdateLocks::default();
        let (token, other) = (Token::new("one").unwrap(), Token::new("two").unwrap());
        let (d1, d2) = (DeploymentId::new("d1").unwrap(), DeploymentId::new("d2").unwrap());
        let held = locks.of(&token, &d1);
        assert!(Arc::ptr_eq(&held, &locks.of(&token, &d1)));
        assert!(!Arc::ptr_eq(&held, &locks.of(&token, &d2)));
        assert!(!Arc::ptr_eq(&held, &locks.of(&other, &d1)));
        drop(held);
        let _kept = locks.of(&token, &d2);
        assert_eq!(locks.locks.lock().unwrap().len(), 1);
    }
}
