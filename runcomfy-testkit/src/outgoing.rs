//! The HTTP client for what the emulator calls of its own accord: webhooks, and ComfyUI servers.
//!
//! Not the client that the emulator is there to test: a plain one, without tokens or retries.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, redirect::Policy};
use rustls::{ClientConfig, crypto::ring};

/// A client that connects within `connect`, follows no redirects, and keeps connections to itself.
///
/// # Errors
/// Where the platform's certificates can't be read.
#[expect(dead_code, reason = "its callers come next")]
pub(crate) fn client(
    connect: Duration,
) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    // Named here, so that no provider for the whole process is needed.
    let trust = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    let builder = Client::builder()
        .tls_backend_preconfigured(trust)
        .user_agent(concat!("runcomfy-emulator/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(connect);
    Ok(builder.build()?)
}
