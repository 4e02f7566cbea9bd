//! What the clones of a client share.

use super::{base_url::Base, config::Settings, locks::UpdateLocks, pools::Pools, quotas::Quotas};

/// What the clones of a client share.
pub(super) struct ClientState {
    pub(super) base: Base,
    pub(super) settings: Settings,
    pub(super) pools: Pools,
    pub(super) locks: UpdateLocks,
    pub(super) quotas: Quotas,
}
