//! Downloads inputs by URL. Callers choose the URLs, so only public addresses and hosts that the operator
//! allows are contacted.

use std::{error::Error, fmt, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::CONTENT_TYPE,
};
use tokio::time::timeout;
use url::Host;

use runcomfy_core::internals::is_public;

use super::data_uri::InputContent;
use crate::{
    comfyui::{error::root, options::ComfyOptions},
    outgoing,
};

/// Downloads inputs.
#[derive(Debug)]
pub(in crate::comfyui) struct Fetcher {
    allow: Vec<String>,
    connect: Duration,
    time: Duration,
}

pub(super) fn is_url(value: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

impl Fetcher {
    pub(in crate::comfyui) fn new(options: &ComfyOptions) -> Self {
        Self {
            allow: options.allow.iter().map(|host| host.to_ascii_lowercase()).collect(),
            connect: options.times.connect,
            time: options.times.input,
        }
    }

    /// The client for a URL. A new one each time, because inputs are few and only some need certificates.
    fn client(&self, url: &Url) -> Result<Client, outgoing::NoClient> {
        let builder = match url.scheme() {
            "http" => outgoing::plain_builder(self.connect)?,
            _ => outgoing::builder(self.connect)?,
        };
        // A proxy would resolve names itself and bypass the address check.
        let builder = builder.no_proxy();
        let builder = match self.is_allowed(url) {
            true => builder,
            false => builder.dns_resolver(Arc::new(PublicOnly)),
        };
        Ok(builder.build()?)
    }

    /// Downloads a file. Errors name its host only, because the rest of a URL may be secret.
    pub(super) async fn fetch(&self, url: &str, most: u64) -> Result<InputContent, String> {
        let url = Url::parse(url).map_err(|_| "not a valid URL".to_owned())?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let failed = |why: &dyn fmt::Display| format!("could not be fetched from {host}: {why}");
        if is_private(url.host()) && !self.is_allowed(&url) {
            return Err(failed(&NotPublic));
        }
        let client = self.client(&url).map_err(|why| failed(&why))?;
        let name = url
            .path_segments()
            .and_then(|mut path| path.next_back())
            .unwrap_or_default()
            .to_owned();
        let call = async {
            let broken = |error: reqwest::Error| failed(&root(&error.without_url()));
            let mut response = client.get(url).send().await.map_err(broken)?;
            let status = response.status();
            if status.is_redirection() {
                return Err(failed(&format_args!("HTTP {status}, and redirects are not followed")));
            }
            if !status.is_success() {
                return Err(failed(&format_args!("HTTP {status}")));
            }
            let media_type =
                response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.map(str::to_owned);
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                if (bytes.len() + chunk.len()) as u64 > most {
                    return Err(failed(&format_args!("more than {most} bytes")));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(InputContent { bytes, media_type, name })
        };
        let seconds = self.time.as_secs();
        timeout(self.time, call)
            .await
            .unwrap_or_else(|_| Err(failed(&format_args!("it took more than {seconds} s"))))
    }

    fn is_allowed(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        self.allow.iter().any(|allowed| allowed == host || Some(allowed) == with_port.as_ref())
    }
}

/// Whether the host is an address that is not public. Names are checked when they are resolved.
fn is_private(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => !is_public(address.into()),
        Some(Host::Ipv6(address)) => !is_public(address.into()),
        Some(Host::Domain(_)) => false,
        None => true,
    }
}

/// Resolves names and refuses those with any address that is not public. The connection uses the same
/// addresses, so that a second resolution cannot differ.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            match addresses.iter().all(|address| is_public(address.ip())) {
                true => Ok(Box::new(addresses.into_iter()) as Addrs),
                false => Err(NotPublic.into()),
            }
        })
    }
}

/// The address is not public.
#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its address is not public, and the host is not allowed")
    }
}

impl Error for NotPublic {}
