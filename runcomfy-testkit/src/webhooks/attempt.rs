//! One call of a receiver.

use std::time::Duration;

use reqwest::{Client, Response, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::receiver;
use crate::outgoing::{self, NoClient};

/// The HTTP clients.
pub(super) struct Clients {
    /// For receivers on this machine, which a proxy could not reach.
    direct: Client,
    /// `None` if the proxy setting is invalid, because a proxy is not bypassed.
    usual: Option<Client>,
}

impl Clients {
    pub(super) fn new(connect: Duration) -> Result<Self, NoClient> {
        // Fails if certificates cannot be read; then neither client is usable.
        let direct = outgoing::direct_client(connect)?;
        Ok(Self { direct, usual: outgoing::client(connect).ok() })
    }

    pub(super) fn of(&self, url: &Url) -> Option<&Client> {
        if receiver::is_here(url) { Some(&self.direct) } else { self.usual.as_ref() }
    }
}

/// The request, which is the same in each attempt.
pub(super) struct Attempt<'a> {
    url: &'a Url,
    body: String,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(url: &'a Url, payload: &Value) -> Self {
        Self { url, body: payload.to_string() }
    }

    /// Sends the request. Returns whether the receiver acknowledged it in time with a 2xx.
    pub(super) async fn make(&self, clients: &Clients, within: Duration) -> bool {
        let Some(client) = clients.of(self.url) else { return false };
        let call = client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(self.body.clone())
            .send();
        let Ok(Ok(response)) = timeout(within, call).await else { return false };
        let acknowledged = response.status().is_success();
        drain(response).await;
        acknowledged
    }
}

/// Reads the rest of a response, so that the connection can be reused. Gives up after a limit of size and
/// time.
async fn drain(mut response: Response) {
    const BYTES: usize = 64 << 10;
    const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    let mut left = BYTES;
    while let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await {
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => break,
        }
    }
}
