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
/// Where the platform's certificates can't be read.
#[cfg(feature = "webhooks")]
pub(crate) fn client(connect: Duration) -> Result<Client, NoClient> {
    Ok(builder(connect)?.build()?)
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
