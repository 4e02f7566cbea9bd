//! The enums of an error. Each value has a name for programs and a phrase for people.

use std::{fmt, str::FromStr};

/// Text that is not the name of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct ParseNameError;

macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal, $phrase:literal;)* }) => {
        $(#[$outer])*
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name for programs: logs, metrics, structured results.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        /// Parses the name for programs.
        impl FromStr for $name {
            type Err = ParseNameError;

            fn from_str(word: &str) -> Result<Self, ParseNameError> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(ParseNameError),
                }
            }
        }

        /// The phrase for people.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $phrase,)*
                })
            }
        }
    };
}

words! {
    /// One remote operation, named as the trait's method is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    Operation {
        /// [`call_instance_proxy`](crate::api::RunComfyApi::call_instance_proxy)
        CallInstanceProxy = "call_instance_proxy", "call the instance";
        /// [`cancel_request`](crate::api::RunComfyApi::cancel_request)
        CancelRequest = "cancel_request", "cancel the request";
        /// [`create_deployment`](crate::api::RunComfyApi::create_deployment)
        CreateDeployment = "create_deployment", "create the deployment";
        /// [`delete_deployment`](crate::api::RunComfyApi::delete_deployment)
        DeleteDeployment = "delete_deployment", "delete the deployment";
        /// [`get_deployment`](crate::api::RunComfyApi::get_deployment)
        GetDeployment = "get_deployment", "get the deployment";
        /// [`get_request_result`](crate::api::RunComfyApi::get_request_result)
        GetRequestResult = "get_request_result", "get the request's result";
        /// [`get_request_status`](crate::api::RunComfyApi::get_request_status)
        GetRequestStatus = "get_request_status", "get the request's status";
        /// [`list_deployments`](crate::api::RunComfyApi::list_deployments)
        ListDeployments = "list_deployments", "list deployments";
        /// [`submit_request`](crate::api::RunComfyApi::submit_request)
        SubmitRequest = "submit_request", "submit the request";
        /// [`update_deployment`](crate::api::RunComfyApi::update_deployment)
        UpdateDeployment = "update_deployment", "update the deployment";
    }
}

impl Operation {
    /// What repeating it may cost.
    #[must_use]
    pub fn call_kind(self) -> CallKind {
        match self {
            Self::GetDeployment
            | Self::GetRequestResult
            | Self::GetRequestStatus
            | Self::ListDeployments => CallKind::Read,
            Self::CancelRequest | Self::DeleteDeployment | Self::UpdateDeployment => {
                CallKind::Idempotent
            }
            Self::CallInstanceProxy | Self::CreateDeployment | Self::SubmitRequest => {
                CallKind::Paid
            }
        }
    }
}

/// What repeating a call may cost. Exhaustive, so that a new kind breaks each `match` on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// Changes nothing.
    Read,
    /// Changes something, and the same thing however often.
    Idempotent,
    /// Each call may start something that is billed.
    Paid,
}

words! {
    /// The kind of failure, by what a caller can do about it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    ErrorKind {
        /// It clashes with another change or an earlier call.
        Conflict = "conflict", "it conflicts with another change";
        /// The deployment is paused.
        DeploymentDisabled = "deployment_disabled", "the deployment is disabled";
        /// The account's balance is too low.
        InsufficientFunds = "insufficient_funds", "the account has insufficient funds";
        /// An argument breaks a rule that is checked before any call.
        InvalidArgument = "invalid_argument", "an argument is invalid";
        /// The service found the request's content invalid.
        InvalidRequest = "invalid_request", "RunComfy found the request invalid";
        /// It does not exist, or no longer.
        NotFound = "not_found", "not found";
        /// The token may not do this.
        PermissionDenied = "permission_denied", "the token may not do this";
        /// The HTTP or SOCKS proxy on the way out can't be reached, or fails.
        ProxyUnavailable = "proxy_unavailable", "the proxy on the way to RunComfy is unavailable";
        /// The HTTP or SOCKS proxy on the way out can't be used as it is set: it wants another password, say.
        ProxyUnusable = "proxy_unusable", "the proxy on the way to RunComfy can't be used as it is set";
        /// Too many calls; wait, then repeat.
        RateLimited = "rate_limited", "rate limited";
        /// The service refused, with a status or code that has no kind of its own.
        Refused = "refused", "RunComfy refused";
        /// No answer in time.
        TimedOut = "timed_out", "no answer in time";
        /// No token, or one that the service does not accept.
        Unauthenticated = "unauthenticated", "the token was not accepted";
        /// A response that cannot be decoded, or that contradicts the request.
        UpstreamProtocol = "upstream_protocol", "RunComfy's answer makes no sense";
        /// No secure connection.
        UpstreamTls = "upstream_tls", "no secure connection to RunComfy";
        /// The service can't be reached, or fails.
        UpstreamUnavailable = "upstream_unavailable", "RunComfy is unavailable";
    }
}

impl ErrorKind {
    pub(super) fn usual_outcome(self) -> Outcome {
        match self {
            Self::InvalidArgument
            | Self::ProxyUnavailable
            | Self::ProxyUnusable
            | Self::UpstreamTls => Outcome::NotSent,
            Self::Conflict
            | Self::DeploymentDisabled
            | Self::InsufficientFunds
            | Self::InvalidRequest
            | Self::NotFound
            | Self::PermissionDenied
            | Self::RateLimited
            | Self::Refused
            | Self::Unauthenticated => Outcome::Rejected,
            Self::TimedOut | Self::UpstreamProtocol | Self::UpstreamUnavailable => Outcome::Unknown,
        }
    }
}

words! {
    /// What is known for sure of a failed call's effect. Exhaustive on purpose.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    Outcome {
        /// It took effect; only its answer was lost.
        Applied = "applied", "it took effect";
        /// Nothing left this machine.
        NotSent = "not_sent", "nothing was sent";
        /// The service got it and declined: it had no effect.
        Rejected = "rejected", "it was refused and had no effect";
        /// It may have taken effect or not.
        Unknown = "unknown", "whether it took effect is unknown";
    }
}

/// Whether doing the same thing again can help. Exhaustive on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may have happened; safe only for calls that can be repeated.
    IfIdempotent,
    /// The same call will fail the same way.
    Never,
    /// Nothing happened on the other side; always safe.
    Safe,
}
