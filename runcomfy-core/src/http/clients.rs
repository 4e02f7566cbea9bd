//! The `reqwest` clients: made by the first call that needs one, shared by all clones.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Client,
    header::{ACCEPT, HeaderMap, HeaderValue},
    redirect::Policy,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::sync::OnceCell;
use url::Url;

use super::{
    base_url::{Base, ConfigError, is_loopback},
    config::{Settings, Timeouts},
    proxy::{Proxy, ProxyRules},
};
use crate::error::BoxError;

/// What a client is used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Calls that change nothing.
    Reads,
    /// All other calls.
    Writes,
    /// Files from anywhere, over https.
    Files,
    /// Files from an emulator on this machine.
    LocalFiles,
}

/// A client for each purpose, all with the same trust.
pub(super) struct Clients {
    timeouts: Timeouts,
    user_agent: HeaderValue,
    base_is_plain: bool,
    proxy_rules: Result<ProxyRules, ConfigError>,
    tls_config: OnceCell<ClientConfig>,
    clients: [OnceCell<Client>; 4],
}

impl Clients {
    /// `proxy_rules` may be an error where calls to `base` need no proxy.
    pub(super) fn new(
        base: &Base,
        settings: &Settings,
        proxy_rules: Result<ProxyRules, ConfigError>,
        user_agent: HeaderValue,
    ) -> Self {
        Self {
            timeouts: settings.timeouts.clone(),
            user_agent,
            base_is_plain: base.is_plain(),
            proxy_rules,
            tls_config: OnceCell::new(),
            clients: [const { OnceCell::const_new() }; 4],
        }
    }

    /// The proxy on the way to `url`.
    ///
    /// # Errors
    /// Where the environment names one that can't be used, and `url` is no loopback host.
    pub(super) fn proxy_for(&self, url: &Url) -> Result<Option<&Proxy>, ConfigError> {
        match &self.proxy_rules {
            Ok(proxy_rules) => Ok(proxy_rules.proxy_for(url)),
            Err(_) if is_loopback(url) => Ok(None),
            Err(error) => Err(*error),
        }
    }

    /// The client for `purpose`. A failure to make it is not remembered: certificates may come back.
    pub(super) async fn client(&self, purpose: Purpose) -> Result<&Client, BoxError> {
        self.clients[purpose as usize].get_or_try_init(|| self.make(purpose)).await
    }

    async fn make(&self, purpose: Purpose) -> Result<Client, BoxError> {
        let plain = match purpose {
            Purpose::Reads | Purpose::Writes => self.base_is_plain,
            Purpose::Files => false,
            Purpose::LocalFiles => true,
        };
        let proxy = match (&self.proxy_rules, purpose) {
            (Ok(proxy_rules), _) => proxy_rules.for_reqwest(),
            (Err(error), Purpose::Files) => return Err((*error).into()),
            // To a loopback host.
            (Err(_), Purpose::Reads | Purpose::Writes | Purpose::LocalFiles) => None,
        };
        let tls_config = if plain { no_certificates()? } else { self.tls_config().await? };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls_config)
            .user_agent(self.user_agent.clone())
            // A redirect would take the token, or a POST as a GET, to another place.
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(self.timeouts.connect)
            // Not those that reqwest would read from the environment by a rule of its own.
            .no_proxy();
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy);
        }
        let json = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        builder = match purpose {
            Purpose::Reads => builder
                .default_headers(json)
                .gzip(true)
                .read_timeout(self.timeouts.read_stall)
                // Shorter than the 60 s after which gateways commonly close.
                .pool_idle_timeout(Duration::from_secs(20)),
            // A fresh connection for each: one that the server is just closing leaves it open whether a
            // POST arrived, and a second POST would be a second bill.
            Purpose::Writes => builder.default_headers(json).gzip(false).pool_max_idle_per_host(0),
            // Files as they are stored, so that their length is what was asked for.
            Purpose::Files | Purpose::LocalFiles => builder
                .gzip(false)
                .read_timeout(self.timeouts.read_stall)
                .pool_idle_timeout(Duration::from_secs(20)),
        };
        Ok(builder.build()?)
    }

    /// The platform's certificates, loaded once.
    async fn tls_config(&self) -> Result<ClientConfig, BoxError> {
        let load = || async {
            // Reads and parses files.
            tokio::task::spawn_blocking(|| -> Result<ClientConfig, rustls::Error> {
                Ok(versions()?.with_platform_verifier()?.with_no_client_auth())
            })
            .await
            .map_err(BoxError::from)?
            .map_err(BoxError::from)
        };
        self.tls_config.get_or_try_init(load).await.cloned()
    }
}

/// For connections without TLS: no certificate would be accepted, so none is loaded.
fn no_certificates() -> Result<ClientConfig, rustls::Error> {
    Ok(versions()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// TLS 1.2 and 1.3 by ring, named here so that no provider for the whole process is needed.
fn versions() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
}
