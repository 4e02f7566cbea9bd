//! The ten tools, one file each, and what several of them share.

use rmcp::model::Tool as Listed;
use runcomfy_core::{DeploymentId, RequestId, internals::is_invisible};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    pipeline::tool::{ToolEntry, listed},
    validation::ArgumentFaults,
};

/// Declares each tool's module and joins them into the list.
macro_rules! tools {
    ($($name:ident),+ $(,)?) => {
        $(mod $name;)+

        /// The tools, by name.
        pub(crate) static TOOLS: [ToolEntry; [$(stringify!($name)),+].len()] =
            [$(ToolEntry::of::<$name::Tool>(stringify!($name))),+];

        /// The tools as the code has them, from which `published` is written.
        pub(crate) fn as_written() -> Vec<Listed> {
            vec![$(listed::<$name::Tool>(stringify!($name))),+]
        }
    };
}

tools! { // braces: rustfmt leaves one word per line
    call_instance_proxy,
    cancel_request,
    create_deployment,
    delete_deployment,
    get_deployment,
    get_request_result,
    get_request_status,
    list_deployments,
    submit_request,
    update_deployment,
}

/// The arguments of every question about one run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestArgs {
    /// Where it runs.
    #[schemars(with = "String")]
    pub(crate) deployment_id: DeploymentId,
    /// From submit_request.
    #[schemars(with = "String")]
    pub(crate) request_id: RequestId,
}

/// One tool, by name.
pub(crate) fn find(name: &str) -> Option<&'static ToolEntry> {
    TOOLS.iter().find(|entry| entry.name() == name)
}

/// Said first of an answer that is about the run of an earlier call.
pub(crate) const REPLAYED_RUN: &str = "Earlier run, nothing new was started.";

/// Said where a keyed call took effect and that could not be written down.
pub(crate) const FORGOTTEN: &str = "What came of it could not be written down: repeating it with this idempotency_key is not safe.";

/// A key under which a call is made at most once.
pub(crate) fn replay_key(key: Option<&str>) -> Result<(), ArgumentFaults> {
    match key {
        Some(key) if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            let rule = "must be of visible ASCII characters, without spaces";
            Err(ArgumentFaults::one("idempotency_key", rule))
        }
        _ => Ok(()),
    }
}

/// A deployment's name must be one that people can read.
pub(crate) fn visible_name(name: &str) -> Result<(), ArgumentFaults> {
    if name.chars().any(|c| c.is_control() || is_invisible(c)) {
        let rule = "must have no control characters, line breaks or characters that are not seen";
        return Err(ArgumentFaults::one("name", rule));
    }
    Ok(())
}
