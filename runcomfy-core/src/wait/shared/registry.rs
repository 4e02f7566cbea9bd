//! The runs that are polled, by caller.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, Weak, atomic::AtomicU64},
};

use super::{run::Run, run_durations::DurationCache};
use crate::{
    id::{DeploymentId, RequestId},
    sync::lock,
};

/// A run on behalf of a caller.
pub(super) type RunKey<C> = (C, DeploymentId, RequestId);

pub(super) struct Registry<C> {
    runs: Mutex<HashMap<RunKey<C>, Weak<Run>>>,
    pub(super) durations: DurationCache<C>,
    pub(super) polls: AtomicU64,
}

impl<C> Registry<C> {
    pub(super) fn runs(&self) -> MutexGuard<'_, HashMap<RunKey<C>, Weak<Run>>> {
        lock(&self.runs)
    }
}

impl<C: Clone + Eq + Hash> Registry<C> {
    pub(super) fn new() -> Self {
        Self { runs: Mutex::default(), durations: DurationCache::new(), polls: AtomicU64::new(0) }
    }
}
