//! What the operator lets tools do, beyond what RunComfy lets a token do.

use std::fmt;

/// Which routes of an instance's ComfyUI `call_instance_proxy` may call. ComfyUI-Manager's are not among
/// them at any level, see [`Settings::allow_manager_routes`](crate::config::Settings::allow_manager_routes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum ProxyLevel {
    /// `free`, `interrupt`, `queue` and `history`: freeing memory, and what is under way
    Safe,
    /// Those, and `prompt`, `upload/…` and `userdata/…`: work beside the queue, and files
    Comfy,
    /// Every route
    Any,
}

impl fmt::Display for ProxyLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safe => "safe",
            Self::Comfy => "comfy",
            Self::Any => "any",
        })
    }
}

/// Where RunComfy may be told to report to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookHosts {
    /// Any name or address of the internet at large.
    Public,
    /// These names only. An empty list: nowhere, so that nobody who steers an assistant has its results
    /// sent to them.
    Only(Vec<String>),
}

/// What is done about a call that hurts where the person can't be asked by way of the client. Where they
/// can, they always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Confirm {
    /// It is done
    Allow,
    /// It is done with the argument `confirm`, which says that the user has agreed
    Require,
    /// It is not done
    Deny,
}

impl fmt::Display for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Require => "require",
            Self::Deny => "deny",
        })
    }
}
