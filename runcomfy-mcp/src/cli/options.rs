//! The options that every command takes.

use clap::{Args, ValueEnum};
use runcomfy_core::client::{DEFAULT_BASE_URL, QueueApi};

use super::policy;

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Use the built-in emulator in place of RunComfy: no account, no GPU, no bill
    #[arg(long, global = true)]
    pub(super) emulator: bool,

    /// Where RunComfy's API is
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "RUNCOMFY_SERVERLESS_BASE_URL",
        default_value = DEFAULT_BASE_URL
    )]
    pub(super) base_url: String,

    /// Which version of the queue's paths to use
    #[arg(
        long,
        global = true,
        value_name = "VERSION",
        env = "RUNCOMFY_QUEUE_API",
        default_value = "v1"
    )]
    pub(super) queue_api: QueueVersion,

    /// Let call_instance_proxy reach ComfyUI-Manager's routes, which install code and restart the machine
    #[arg(
        long,
        global = true,
        env = "RUNCOMFY_ALLOW_MANAGER_ROUTES",
        value_name = "YES",
        num_args = 0..=1,
        default_value = "no",
        default_missing_value = "yes",
        require_equals = true,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(super) allow_manager_routes: bool,

    #[command(flatten)]
    pub(super) policy: policy::Policy,

    /// What to log to stderr: error, warn, info, debug, or filters such as `runcomfy_core=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "RUNCOMFY_LOG")]
    pub(super) log: Option<String>,

    /// How log lines look
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "RUNCOMFY_LOG_FORMAT",
        default_value = "text"
    )]
    pub(super) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum QueueVersion {
    V1,
    V2,
}

impl From<QueueVersion> for QueueApi {
    fn from(version: QueueVersion) -> Self {
        match version {
            QueueVersion::V1 => Self::V1,
            QueueVersion::V2 => Self::V2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// A JSON object per line
    Json,
}
