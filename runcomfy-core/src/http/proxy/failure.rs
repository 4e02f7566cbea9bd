//! What a failure on the way through a proxy means: whether it is the proxy's, and whether it may pass.

use std::error::Error as StdError;

use url::Url;

use super::Proxy;
use crate::{error::ErrorKind, http::transport::causes};

/// A failure of the proxy's own. Nothing was sent beyond it.
#[derive(Debug)]
pub(in crate::http) struct ProxyFailure {
    pub(in crate::http) kind: ErrorKind,
    /// Which proxy, what names it and what is wrong; without user name and password.
    pub(in crate::http) message: String,
}

/// What hyper-util's tunnel and SOCKS errors begin with. Their types can't be named outside of it, so that
/// only their text tells them apart; tests with real proxies notice where a new version words them otherwise.
const TUNNEL: &str = "tunnel error: ";
const SOCKS: &str = "SOCKS error: ";
/// reqwest's own, before the proxy is asked.
const LOCAL_LOOKUP: &str = "error resolving for socks proxy";

impl Proxy {
    /// Whether `error`, met on the way to `target`, is this proxy's, and what it means.
    pub(in crate::http) fn failure(
        &self,
        target: &Url,
        error: &reqwest::Error,
    ) -> Option<ProxyFailure> {
        if !error.is_connect() {
            return None;
        }
        let (kind, what) = self.meaning(target, error)?;
        Some(ProxyFailure { kind, message: format!("{} {what}", self.shown) })
    }

    /// That the proxy itself answered, in place of a target that is called without TLS.
    pub(in crate::http) fn wants_password(&self) -> ProxyFailure {
        let message = format!("{} {}", self.shown, self.password());
        ProxyFailure { kind: ErrorKind::ProxyUnusable, message }
    }

    fn meaning(&self, target: &Url, error: &reqwest::Error) -> Option<(ErrorKind, String)> {
        let host = target.host_str().unwrap_or_default();
        let said = |start: &str| {
            causes(error).find_map(|cause| cause.to_string().strip_prefix(start).map(str::to_owned))
        };
        let is_tls = causes(error).any(|cause| cause.is::<rustls::Error>());
        let unavailable = |what: String| Some((ErrorKind::ProxyUnavailable, what));
        let unusable = |what: String| Some((ErrorKind::ProxyUnusable, what));
        if let Some(said) = said(TUNNEL) {
            return match said.as_str() {
                "proxy authorization required" => unusable(self.password()),
                "unsuccessful" => unavailable(format!("refused to connect to {host}")),
                "failed to create underlying connection" if is_tls => unusable(no_tls()),
                "failed to create underlying connection" => unavailable(unreachable(error)),
                _ => unavailable(format!("broke off before it connected to {host}")),
            };
        }
        if let Some(said) = said(SOCKS) {
            return match said.as_str() {
                "server does not support user/pass authentication"
                | "credentials not accepted"
                | "server implements authentication incorrectly" => unusable(self.password()),
                "failed parsing server response" => {
                    unusable("does not answer as a SOCKS proxy of this version".to_owned())
                }
                "failed serialize request"
                | "IPV6 is not supported"
                | "address type not supported"
                | "command not supported"
                | "connection not allowed"
                | "server ident service did not recognise client identifier"
                | "server ident service failed" => {
                    unusable(format!("does not connect to {host}: {said}"))
                }
                "failed to create underlying connection" => unavailable(unreachable(error)),
                "io error during SOCKS handshake" => {
                    unavailable(format!("broke off before it connected to {host}"))
                }
                _ => unavailable(format!("could not connect to {host}: {said}")),
            };
        }
        if said(LOCAL_LOOKUP).is_some() {
            let scheme = if self.url.scheme() == "socks4" { "socks4a" } else { "socks5h" };
            return unavailable(format!(
                "needs the address of {host}, which this machine could not look up: with {scheme} the proxy does"
            ));
        }
        if error.is_timeout() {
            return unavailable(format!("did not connect to {host} in time"));
        }
        if target.scheme() == "http" && !self.is_socks() {
            // There is no tunnel: the proxy is all that is connected to.
            return if is_tls { unusable(no_tls()) } else { unavailable(unreachable(error)) };
        }
        // The tunnel stood: what broke in it, or was not trusted, is the target.
        None
    }

    fn password(&self) -> String {
        let what = if self.has_credentials() {
            "does not accept the user name and password that are set"
        } else {
            "wants a user name and password"
        };
        what.to_owned()
    }
}

fn no_tls() -> String {
    "has no certificate that is trusted here, or does not speak TLS".to_owned()
}

/// That it can't be reached, with the system's reason where that is known.
fn unreachable(error: &reqwest::Error) -> String {
    let reason = causes(error).filter_map(<dyn StdError>::downcast_ref::<std::io::Error>).last();
    match reason {
        Some(reason) => format!("can't be reached: {reason}"),
        None => "can't be reached".to_owned(),
    }
}
