//! What the clones of a client share.

use super::{
    base_url::Base, clients::Clients, config::Settings, locks::UpdateLocks,
    retry_budget::RetryBuckets,
};

/// What the clones of a client share.
pub(super) struct ClientState {
    pub(super) base: Base,
    pub(super) settings: Settings,
    pub(super) clients: Clients,
    pub(super) locks: UpdateLocks,
    pub(super) retry_buckets: RetryBuckets,
}
