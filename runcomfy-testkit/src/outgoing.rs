//! The HTTP client for what the emulator calls of its own accord: webhooks, and ComfyUI servers.
//!
//! Not the client that the emulator is there to test: a plain one, without tokens or retries.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};
#[cfg(feature = "comfyui")]
use rustls::RootCertStore;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier, crypto::ring};

/// Why there is no client: the platform's certificates can't be read, say.
pub(crate) type NoClient = Box<dyn std::error::Error + Send + Sync>;

/// A client that connects within `connect`, follows no redirects, and keeps connections to itself. It goes
/// through the proxy that the environment names.
///
/// # Errors
/// Where the platform's certificates can't be read, or such a proxy.
#[cfg(feature = "webhooks")]
pub(crate) fn client(connect: Duration) -> Result<Client, NoClient> {
    // reqwest would go around it.
    if let Some(name) = unusable_proxy() {
        return Err(format!("{name} names no proxy that can be read").into());
    }
    Ok(builder(connect)?.build()?)
}

/// The variable of the environment, if there is one, that should name a proxy but can't be read as one. Webhooks
/// then reach receivers on this machine, and no others: a proxy is not gone around.
#[cfg(feature = "webhooks")]
#[must_use]
pub fn unusable_proxy() -> Option<&'static str> {
    unusable_in(|name| std::env::var_os(name))
}

#[cfg(feature = "webhooks")]
fn unusable_in(lookup: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<&'static str> {
    const VARIABLES: [&str; 6] =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    // As reqwest reads it.
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

/// The same for hosts that no proxy reaches: those of one's own.
///
/// # Errors
/// Where the platform's certificates can't be read.
pub(crate) fn direct_client(connect: Duration) -> Result<Client, NoClient> {
    Ok(builder(connect)?.no_proxy().build()?)
}

/// The same for who has no business with TLS: it trusts nobody, and so works where there are no certificates.
///
/// # Errors
/// Where the system is out of something.
#[cfg(feature = "comfyui")]
pub(crate) fn plain_builder(connect: Duration) -> Result<ClientBuilder, NoClient> {
    let nobody = tls()?.with_root_certificates(RootCertStore::empty());
    Ok(over(nobody.with_no_client_auth(), connect))
}

/// The same, for who has more to say about it.
///
/// # Errors
/// Where the platform's certificates can't be read.
pub(crate) fn builder(connect: Duration) -> Result<ClientBuilder, NoClient> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    Ok(over(tls()?.with_platform_verifier()?.with_no_client_auth(), connect))
}

fn tls() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, NoClient> {
    // Named here, so that no provider for the whole process is needed.
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
