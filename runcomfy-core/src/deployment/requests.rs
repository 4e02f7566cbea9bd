//! Requests that list, create, update and delete deployments, and their results.

use serde::Serialize;
use serde_json::Value;

use super::Deployment;
use crate::{
    id::{DeploymentId, WorkflowId},
    json::NonFinite,
};

/// Which deployments to list, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListDeployments {
    /// Only these; all where it is empty.
    pub ids: Vec<DeploymentId>,
    /// What to include in each.
    pub include: Include,
}

impl ListDeployments {
    /// All deployments, without payload or readme.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only these deployments. None at all means every one, as the service reads it.
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = DeploymentId>) -> Self {
        self.ids = ids.into_iter().collect();
        self
    }

    /// What to include in each.
    #[must_use]
    pub fn include(mut self, include: Include) -> Self {
        self.include = include;
        self
    }
}

/// The parts of a deployment that come only when asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Include {
    /// The workflow, its saved overrides and the address of its node descriptions.
    pub payload: bool,
    /// The documentation in Markdown.
    pub readme: bool,
}

impl Include {
    /// Neither payload nor readme.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether to include the payload.
    #[must_use]
    pub fn payload(mut self, wanted: bool) -> Self {
        self.payload = wanted;
        self
    }

    /// Whether to include the readme.
    #[must_use]
    pub fn readme(mut self, wanted: bool) -> Self {
        self.readme = wanted;
        self
    }
}

/// The SKU that a deployment gets where none is named.
pub const DEFAULT_HARDWARE: &str = "AMPERE_48";

/// The SKUs that RunComfy documents, from the smallest. The service may know more.
pub const HARDWARE: [&str; 7] = [
    "TURING_16",
    "AMPERE_24",
    "AMPERE_48",
    "ADA_48_PLUS",
    "AMPERE_80",
    "ADA_80_PLUS",
    "HOPPER_141",
];

/// A deployment to create. Defaults are those of RunComfy's own tools: one instance of `AMPERE_48` at
/// most, none kept warm, 60 s of keep-warm after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CreateDeployment {
    /// Its name, as people know it.
    pub name: String,
    /// The saved workflow that it runs.
    pub workflow_id: WorkflowId,
    /// Which version of it, such as `v1`.
    pub workflow_version: String,
    /// The GPU SKU, one of [`HARDWARE`] or one the service learned since.
    pub hardware: String,
    /// Instances that stay up and are billed with nothing to do, 0 to 30.
    pub min_instances: u64,
    /// Instances that may run at once, 1 to 60.
    pub max_instances: u64,
    /// Pending requests per instance before another instance starts.
    pub queue_size: u64,
    /// How long an idle instance stays up and is billed, in seconds.
    pub keep_warm_duration_in_seconds: u64,
}

impl CreateDeployment {
    /// A deployment of this workflow with every default.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        workflow_id: WorkflowId,
        workflow_version: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            workflow_id,
            workflow_version: workflow_version.into(),
            hardware: DEFAULT_HARDWARE.to_owned(),
            min_instances: 0,
            max_instances: 1,
            queue_size: 1,
            keep_warm_duration_in_seconds: 60,
        }
    }

    /// The GPU SKU.
    #[must_use]
    pub fn hardware(mut self, sku: impl Into<String>) -> Self {
        self.hardware = sku.into();
        self
    }

    /// Instances that stay up (and are billed) and instances that may run at once.
    #[must_use]
    pub fn instances(mut self, min: u64, max: u64) -> Self {
        (self.min_instances, self.max_instances) = (min, max);
        self
    }

    /// Pending requests per instance before another instance starts.
    #[must_use]
    pub fn queue_size(mut self, requests: u64) -> Self {
        self.queue_size = requests;
        self
    }

    /// How long an idle instance stays up, in seconds.
    #[must_use]
    pub fn keep_warm_duration_in_seconds(mut self, seconds: u64) -> Self {
        self.keep_warm_duration_in_seconds = seconds;
        self
    }
}

/// Changes to a deployment: what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpdateDeployment {
    /// A new name.
    pub name: Option<String>,
    /// Another version of the workflow.
    pub workflow_version: Option<String>,
    /// Another GPU SKU.
    pub hardware: Option<String>,
    /// Instances that stay up and are billed with nothing to do, 0 to 30.
    pub min_instances: Option<u64>,
    /// Instances that may run at once, 1 to 60.
    pub max_instances: Option<u64>,
    /// Pending requests per instance before another instance starts.
    pub queue_size: Option<u64>,
    /// How long an idle instance stays up and is billed, in seconds.
    pub keep_warm_duration_in_seconds: Option<u64>,
    /// `false` pauses it, `true` resumes it.
    pub is_enabled: Option<bool>,
}

impl UpdateDeployment {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a deployment is as these changes want it. What it does not say is not so.
    #[cfg(feature = "http")]
    pub(crate) fn are_in(&self, deployment: &Deployment) -> bool {
        fn holds<T: PartialEq>(wanted: &Option<T>, is: &Option<T>) -> bool {
            wanted.is_none() || wanted == is
        }
        // No `..`: a change that is not compared would pass for made.
        let Self {
            name,
            workflow_version,
            hardware,
            min_instances,
            max_instances,
            queue_size,
            keep_warm_duration_in_seconds,
            is_enabled,
        } = self;
        holds(name, &deployment.name)
            && holds(workflow_version, &deployment.workflow_version)
            && holds(&hardware.clone().map(|sku| vec![sku]), &deployment.hardware)
            && holds(min_instances, &deployment.min_instances)
            && holds(max_instances, &deployment.max_instances)
            && holds(queue_size, &deployment.queue_size)
            && holds(keep_warm_duration_in_seconds, &deployment.keep_warm_duration_in_seconds)
            && holds(is_enabled, &deployment.is_enabled)
    }
}

macro_rules! changes {
    ($($(#[$doc:meta])* $field:ident: $argument:ty;)*) => {
        impl UpdateDeployment {
            $($(#[$doc])*
            #[must_use]
            pub fn $field(mut self, $field: $argument) -> Self {
                self.$field = Some($field.into());
                self
            })*
        }
    };
}

changes! {
    /// Gives it a new name.
    name: impl Into<String>;
    /// Runs another version of the workflow.
    workflow_version: impl Into<String>;
    /// Runs on another GPU SKU.
    hardware: impl Into<String>;
    /// Keeps this many instances up, which is billed.
    min_instances: u64;
    /// Lets this many instances run at once.
    max_instances: u64;
    /// Starts another instance beyond this many pending requests per instance.
    queue_size: u64;
    /// Keeps an idle instance up for this many seconds.
    keep_warm_duration_in_seconds: u64;
    /// Pauses it with `false`, resumes it with `true`.
    is_enabled: bool;
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UpdatedDeployment {
    /// The deployment as the service describes it after the change.
    pub deployment: Deployment,
    /// Whether somebody else renamed it at the same moment, as far as that shows. The service wants a name
    /// in every change and has no way to change only what has not changed meanwhile: `false` does not
    /// prove that no other rename was undone.
    pub name_race_possible: bool,
    /// Whether the service's answer was lost, and the deployment, read afterwards, turned out to be as it
    /// was wanted.
    pub found_applied: bool,
}

impl UpdatedDeployment {
    /// An update with nothing to remark on.
    #[must_use]
    pub fn new(deployment: Deployment) -> Self {
        Self { deployment, name_race_possible: false, found_applied: false }
    }
}

/// What the service said to a deletion. Its response is not documented, so any is taken.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeletedDeployment {
    /// The response's body; null where it was empty or lost.
    pub response: Value,
    /// Whether the service's answer was lost, and the deployment turned out to be gone.
    pub already_deleted: bool,
    /// Where the response had numbers that JSON does not have; they are null in the other fields.
    pub non_finite: Option<NonFinite>,
}

impl DeletedDeployment {
    /// A deletion that was answered with this body.
    #[must_use]
    pub fn new(response: Value) -> Self {
        Self { response, ..Self::default() }
    }

    /// A deletion whose response was lost, of a deployment that is gone.
    #[must_use]
    pub fn already() -> Self {
        Self { already_deleted: true, ..Self::default() }
    }
}
