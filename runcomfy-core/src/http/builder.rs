//! Making an `HttpApi`.

use std::{fmt, sync::Arc};

use reqwest::header::HeaderValue;

use super::{
    api::HttpApi,
    base_url::{Base, ConfigError, DEFAULT_BASE_URL},
    clients::Clients,
    config::{Limits, QueueApi, Settings, Timeouts},
    locks::UpdateLocks,
    observer::Observer,
    proxy::{self, ProxyRules},
    retry_budget::RetryBuckets,
    state::ClientState,
};
use crate::{retry::RetryPolicy, token::Token};

impl HttpApi {
    /// Settings for a client, each with its default.
    pub fn builder() -> HttpApiBuilder {
        HttpApiBuilder::default()
    }
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

    /// How much of a response is read.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How many retries a failed call gets, and after which delays.
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
        self.settings.proxy = proxy::ProxySetting::Url(url.to_owned());
        self
    }

    /// Whether to use the proxy that the environment names, as [`proxy`](Self::proxy) tells; yes unless set.
    /// With `false` there is none at all, and the environment is not read.
    pub fn system_proxy(mut self, wanted: bool) -> Self {
        self.settings.proxy =
            if wanted { proxy::ProxySetting::Environment } else { proxy::ProxySetting::None };
        self
    }

    /// Who is told of each attempt of each call; nobody unless set.
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
        let proxy_rules = ProxyRules::of(&self.settings.proxy);
        let needs_none =
            base.is_local() && matches!(self.settings.proxy, proxy::ProxySetting::Environment);
        if let Err(error) = &proxy_rules
            && !needs_none
        {
            return Err(*error);
        }
        let clients = Clients::new(&base, &self.settings, proxy_rules, user_agent);
        let retry_buckets = RetryBuckets::new(self.settings.retry.budget.clone());
        let locks = UpdateLocks::default();
        let state = ClientState { base, settings: self.settings, clients, locks, retry_buckets };
        Ok(HttpApi { state: Arc::new(state), token: self.token })
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
