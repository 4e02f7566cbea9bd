//! Sizes, times and limits of the server, with their defaults.

use std::time::Duration;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// A result whose JSON is longer than this many bytes is summarised in the text blocks; the
    /// structured content is always whole.
    pub text_limit_bytes: usize,
    /// While a call waits, it says so at least this often.
    pub heartbeat: Duration,
    /// Whether `call_instance_proxy` may reach ComfyUI-Manager's routes, which install code on the
    /// instance and restart it.
    pub allow_manager_routes: bool,
    /// How often and how soon a wait looks.
    pub wait: runcomfy_core::WaitPolicy,
    /// The largest message over HTTP, in bytes.
    pub max_body_bytes: usize,
    /// How long shutdown lets writes finish.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            text_limit_bytes: 32 * 1024,
            heartbeat: Duration::from_secs(10),
            allow_manager_routes: false,
            wait: runcomfy_core::WaitPolicy::default(),
            max_body_bytes: 8 * 1024 * 1024,
            drain: Duration::from_secs(10),
        }
    }
}
