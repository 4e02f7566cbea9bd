//! The HTTP client for what the emulator calls of its own accord: webhooks, and ComfyUI servers.
//!
//! Not the client that the emulator is there to test: a plain one, without tokens or retries.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use rustls::{ClientConfig, crypto::ring};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A client that connects within `connect`, follows no redirects, and keeps connections to itself.
///
/// # Errors
/// Where the platform's certificates can't be read.
pub(crate) fn client(connect: Duration) -> Result<Client, Error> {
    Ok(builder(connect)?.build()?)
}

/// Such a client, for who has more to say about it.
///
/// # Errors
/// As [`client`].
pub(crate) fn builder(connect: Duration) -> Result<ClientBuilder, Error> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    // Named here, so that no provider for the whole process is needed.
    let trust = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Client::builder()
        .tls_backend_preconfigured(trust)
        .user_agent(concat!("runcomfy-emulator/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(connect)
        // What it calls is one's own, and near: a proxy for the world outside would not find it.
        .no_proxy())
}
