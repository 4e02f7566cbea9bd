//! RunComfy's objects as a model sees them.

pub(crate) mod deployment;
pub(crate) mod request;
pub(crate) mod task_id;
pub(crate) mod uri;
