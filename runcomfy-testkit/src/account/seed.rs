//! `DeploymentSeed`: a deployment of a new account, as the state file keeps it.

use std::sync::Arc;

use runcomfy_core::{DeploymentId, Workflow};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A deployment that is added without a create call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeploymentSeed {
    pub(crate) id: DeploymentId,
    pub(crate) name: String,
    pub(crate) workflow_id: String,
    pub(crate) hardware: String,
    pub(crate) max_instances: u64,
    pub(crate) is_enabled: bool,
    pub(crate) readme: String,
    /// Shared between accounts that start from the same template.
    #[serde(with = "shared")]
    pub(crate) workflow: Arc<Workflow>,
}

/// Serializes a shared graph like an owned one.
mod shared {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        graph: &Arc<Workflow>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        (**graph).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<Workflow>, D::Error> {
        Workflow::deserialize(from).map(Arc::new)
    }
}
