//! HTTP clients for the emulator's own calls: webhooks, ComfyUI servers, and input downloads.
//!
//! Independent of the client library that the emulator tests; without tokens and retries.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};
#[cfg(feature = "comfyui")]
use rustls::RootCertStore;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier, crypto::ring};

/// Why a client cannot be created, for example because certificates cannot be read.
pub(crate) type NoClient = Box<dyn std::error::Error + Send + Sync>;

/// A client with a connect timeout, without redirects and connection reuse across clients. Uses the proxy of
/// the environment.
///
/// # Errors
/// If the platform's certificates or the proxy setting cannot be read.
#[cfg(feature = "webhooks")]
pub(crate) fn client(connect: Duration) -> Result<Client, NoClient> {
    // reqwest would ignore the setting and connect directly.
    if let Some(name) = unusable_proxy() {
        return Err(format!("{name} is not a valid proxy URL").into());
    }
    Ok(builder(connect)?.build()?)
}

/// The environment variable whose proxy setting is invalid, if there is one. Webhooks then reach this machine
/// only, because the emulator does not bypass a proxy.
#[cfg(feature = "webhooks")]
#[must_use]
pub fn unusable_proxy() -> Option<&'static str> {
    unusable_in(|name| std::env::var_os(name))
}

#[cfg(feature = "webhooks")]
fn unusable_in(lookup: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<&'static str> {
    const VARIABLES: [&str; 6] =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    // Parsed as reqwest does.
    let is_usable = |text: &str| {
        let uri = text.parse::<axum::http::Uri>().ok();
        uri.is_some_and(|uri| {
            let known = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
            uri.authority().is_some() && uri.scheme_str().is_none_or(|one| known.contains(&one))
        })
    };
    VARIABLES.into_iter().find(|name| {
        lookup(name)
            .is_some_and(|value| !value.is_empty() && !value.to_str().is_some_and(is_usable))
    })
}

/// Like [`client`], without a proxy, for hosts that no proxy can reach.
///
/// # Errors
/// If the platform's certificates cannot be read.
pub(crate) fn direct_client(connect: Duration) -> Result<Client, NoClient> {
    Ok(builder(connect)?.no_proxy().build()?)
}

/// A builder for plain HTTP. It trusts no certificates, so it works on machines that have none.
///
/// # Errors
/// If the system lacks resources.
#[cfg(feature = "comfyui")]
pub(crate) fn plain_builder(connect: Duration) -> Result<ClientBuilder, NoClient> {
    let nobody = tls()?.with_root_certificates(RootCertStore::empty());
    Ok(over(nobody.with_no_client_auth(), connect))
}

/// A builder for HTTPS, to be configured further.
///
/// # Errors
/// If the platform's certificates cannot be read.
pub(crate) fn builder(connect: Duration) -> Result<ClientBuilder, NoClient> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    Ok(over(tls()?.with_platform_verifier()?.with_no_client_auth(), connect))
}

fn tls() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, NoClient> {
    // Set explicitly, so that no process-wide provider is needed.
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

fn over(trust: ClientConfig, connect: Duration) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(trust)
        .user_agent(concat!("runcomfy-emulator/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(connect)
}

#[cfg(all(test, feature = "webhooks"))]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_reqwest_would_go_around_is_found() {
        let check = |value: &str, expected: Option<&str>| {
            let found = unusable_in(|name| (name == "all_proxy").then(|| value.into()));
            assert_eq!(found, expected, "{value}");
        };
        for fine in ["", "http://a:1", "https://a", "a.example:1", "socks5h://user:pass@a:1"] {
            check(fine, None);
        }
        for unusable in
            ["not a url at all", "http://", "ftp://a:1", "socks://a:1", "${HTTPS_PROXY}"]
        {
            check(unusable, Some("all_proxy"));
        }
    }
}
