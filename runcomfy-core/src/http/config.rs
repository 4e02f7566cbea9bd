//! What can be set on an `HttpApi`: deadlines, sizes, and where it calls.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::header::HeaderValue;

use super::{
    HttpApi, Shared,
    locks::UpdateLocks,
    observer::Observer,
    pools::Pools,
    proxy::{self, Ways},
    quotas::Quotas,
    url::Base,
};
use crate::{retry::RetryPolicy, token::Token};

/// Where RunComfy's Serverless API is.
pub const DEFAULT_BASE_URL: &str = "https://api.runcomfy.net";

/// How long each part of a call may take.
///
/// Each call makes one deadline when it starts; retries and the waits before them happen within it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Name lookup, TCP and TLS together; 5 s. A failure here is certain not to have sent anything.
    pub connect: Duration,
    /// One try of a read, from connecting to the last byte; 20 s.
    pub read_attempt: Duration,
    /// One try of a submit, create, update, delete or cancel; 60 s, as the service may wake up first.
    pub write_attempt: Duration,
    /// A call through the instance proxy, retries included; 120 s.
    pub proxy: Duration,
    /// A read with all its retries; 45 s.
    pub read_total: Duration,
    /// A submit, create, update, delete or cancel with all its retries; 75 s.
    pub write_total: Duration,
    /// The longest silence while an answer to a read, or a file, is awaited or under way; 15 s.
    pub read_stall: Duration,
    /// A [`download`](HttpApi::download) in all; 300 s.
    pub download: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read_attempt: Duration::from_secs(20),
            write_attempt: Duration::from_secs(60),
            proxy: Duration::from_secs(120),
            read_total: Duration::from_secs(45),
            write_total: Duration::from_secs(75),
            read_stall: Duration::from_secs(15),
            download: Duration::from_secs(300),
        }
    }
}

/// How much of an answer is read into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest answer in bytes, counted after decompression, where it may hold workflows or outputs;
    /// 32 MiB. A larger one is cut off and is `upstream_protocol`.
    pub max_response_bytes: usize,
    /// The same for answers that hold a few fields (submit, status, cancel, delete); 1 MiB.
    pub max_small_response_bytes: usize,
    /// How much of an error's body is read, in bytes; 256 KiB. The rest is left unread.
    pub max_error_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_response_bytes: 32 << 20,
            max_small_response_bytes: 1 << 20,
            max_error_bytes: 256 << 10,
        }
    }
}

/// Which version of the service's queue to use: submit, status, result and cancel.
///
/// Deployments and the instance proxy have one version only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueueApi {
    /// `/prod/v1`: what RunComfy's own tools use.
    #[default]
    V1,
    /// `/prod/v2`: what its newest documentation names.
    V2,
}

impl QueueApi {
    /// The version as it stands in a path: `v1` or `v2`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// A setting that an [`HttpApi`] can't be built with. Names the rule, never the value, which may hold
/// credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The base URL is no URL.
    #[error("the base URL must be a URL such as {DEFAULT_BASE_URL}")]
    BaseUrlUnreadable,
    /// The base URL would send the token unencrypted.
    #[error("the base URL must be https; http is for localhost, 127.0.0.0/8 and [::1] only")]
    BaseUrlNotHttps,
    /// The base URL holds credentials.
    #[error("the base URL must not hold a user name or password")]
    BaseUrlWithUserInfo,
    /// The base URL has a path; the API's own begins at the root.
    #[error("the base URL must not have a path")]
    BaseUrlWithPath,
    /// The base URL has a query.
    #[error("the base URL must not have a query")]
    BaseUrlWithQuery,
    /// The base URL has a fragment.
    #[error("the base URL must not have a fragment")]
    BaseUrlWithFragment,
    /// The proxy that the environment or the program names can't be used.
    #[error("{named_by} {rule}")]
    #[non_exhaustive]
    Proxy {
        /// The environment variable that names it, such as `HTTPS_PROXY`; `HttpApiBuilder::proxy` where
        /// the program does.
        named_by: &'static str,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The user agent does not fit into a header.
    #[error("the user agent must be visible ASCII")]
    UserAgent,
}

/// Settings for an [`HttpApi`]; every one has a default.
#[derive(Clone)]
#[must_use = "nothing is made until `build`"]
pub struct HttpApiBuilder {
    base_url: String,
    token: Option<Token>,
    user_agent: String,
    settings: Settings,
}

/// The settings that calls look at.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) queue_api: QueueApi,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) retry: RetryPolicy,
    pub(super) proxy: proxy::Setting,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

impl Default for HttpApiBuilder {
    fn default() -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.to_owned(),
            token: None,
            user_agent: concat!("runcomfy-core/", env!("CARGO_PKG_VERSION")).to_owned(),
            settings: Settings::default(),
        }
    }
}

impl HttpApiBuilder {
    /// Where the API is; [`DEFAULT_BASE_URL`] unless set. Must be `https`, or `http` for a loopback host
    /// as of an emulator, and nothing but scheme, host and port.
    pub fn base_url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.base_url);
        self
    }

    /// Whose account to act for. Without one, every call fails `unauthenticated` and sends nothing; see
    /// [`HttpApi::with_token`].
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Which version of the queue to use; [`QueueApi::V1`] unless set.
    pub fn queue_api(mut self, version: QueueApi) -> Self {
        self.settings.queue_api = version;
        self
    }

    /// How long calls may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// How much of an answer is read.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How often and how soon a failed call is tried again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// How this client names itself; `runcomfy-core/<version>` unless set.
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = text.into();
        self
    }

    /// The proxy to go through: `http://user:password@proxy.example:3128`, say, with special characters of
    /// user name and password percent-encoded. The scheme is one of http, https, socks4, socks4a, socks5 and
    /// socks5h (`socks` is taken as socks5h); without one it is http. With socks4 and socks5 this machine
    /// looks up the names of hosts, with all others the proxy does.
    ///
    /// It is for all calls and downloads, those to loopback hosts too. Unless it is set,
    /// [`build`](Self::build) reads the environment: the first of `HTTPS_PROXY`, `https_proxy`, `ALL_PROXY`
    /// and `all_proxy` that is not blank names the proxy; `NO_PROXY`, or else `no_proxy`, lists hosts that
    /// are reached without it, and loopback hosts always are.
    ///
    /// Of this and [`system_proxy`](Self::system_proxy), the last one that is called counts.
    pub fn proxy(mut self, url: &str) -> Self {
        self.settings.proxy = proxy::Setting::Url(url.to_owned());
        self
    }

    /// Whether to use the proxy that the environment names, as [`proxy`](Self::proxy) tells; yes unless set.
    /// With `false` there is none at all, and the environment is not read.
    pub fn system_proxy(mut self, wanted: bool) -> Self {
        self.settings.proxy =
            if wanted { proxy::Setting::Environment } else { proxy::Setting::None };
        self
    }

    /// Who is told of each try of each call; nobody unless set.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.settings.observer = Some(observer);
        self
    }

    /// Makes the client. Cheap: the environment is asked for a proxy, but certificates are loaded and
    /// connections opened by the first call.
    ///
    /// # Errors
    /// [`ConfigError`] where the base URL, the user agent or the proxy breaks a rule. A proxy that can't be
    /// used is never gone around. With a loopback base URL, which needs none, one that the environment names
    /// fails only [`HttpApi::download`] from elsewhere.
    pub fn build(self) -> Result<HttpApi, ConfigError> {
        let base = Base::parse(&self.base_url)?;
        if !self.user_agent.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(ConfigError::UserAgent);
        }
        let user_agent =
            HeaderValue::from_str(&self.user_agent).map_err(|_| ConfigError::UserAgent)?;
        let ways = Ways::of(&self.settings.proxy);
        let needs_none =
            base.is_local() && matches!(self.settings.proxy, proxy::Setting::Environment);
        if let Err(error) = &ways
            && !needs_none
        {
            return Err(*error);
        }
        let pools = Pools::new(&base, &self.settings, ways, user_agent);
        let quotas = Quotas::new(self.settings.retry.quota.clone());
        let locks = UpdateLocks::default();
        let shared = Shared { base, settings: self.settings, pools, locks, quotas };
        Ok(HttpApi { shared: Arc::new(shared), token: self.token })
    }
}

impl fmt::Debug for HttpApiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The base URL is not checked yet and may hold a password.
        f.debug_struct("HttpApiBuilder")
            .field("token", &self.token)
            .field("user_agent", &self.user_agent)
            .field("queue_api", &self.settings.queue_api)
            .field("timeouts", &self.settings.timeouts)
            .field("limits", &self.settings.limits)
            .field("retry", &self.settings.retry)
            .finish_non_exhaustive()
    }
}
