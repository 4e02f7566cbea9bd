//! The proxy on the way out: which one there is, what names it, and which hosts are reached without it.
//!
//! The HTTP library would read the environment by itself, at the first call, and connect directly where it
//! can't read what is set there. Its own reading is therefore switched off: this is the only rule.

mod failure;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, fmt, sync::Arc};

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::{Position, Url};

pub(super) use self::failure::ProxyFailure;
use super::base_url::{ConfigError, is_loopback};

/// Where a proxy may be named, the first that is set winning. Nothing is sent over plain http but to
/// loopback hosts, which need no proxy, so that `HTTP_PROXY` has no say.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Where the hosts are listed that are reached without it.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// What names a proxy that the program sets.
const BUILDER: &str = "HttpApiBuilder::proxy";

const NO_TEXT: &str = "is not valid UTF-8";
const UNREADABLE: &str = "can't be read as the address of a proxy: write it as http://proxy.example:3128, and \
                          percent-encode special characters of a user name or password in it";
const UNKNOWN_SCHEME: &str = "names a kind of proxy that is not supported: its scheme must be http, https, socks4, socks4a, \
                              socks5 or socks5h";
const NOT_ONLY_A_HOST: &str = "has a path, query or fragment: a proxy has a host and a port only; special characters of a \
                               password must be percent-encoded";
const SOCKS4_PASSWORD: &str =
    "has a user name or password, which SOCKS 4 does not take: use socks5h, or leave them out";

/// The proxy that an [`HttpApi`](super::HttpApi) goes through: see
/// [`HttpApi::outbound_proxy`](super::HttpApi::outbound_proxy). Holds no user name and no password.
///
/// `Display` shows both fields: `http://proxy.example:3128 (from HTTPS_PROXY)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundProxy {
    /// Scheme, host and port, such as `http://proxy.example:3128`.
    pub address: String,
    /// The environment variable that names it, such as `HTTPS_PROXY`; `HttpApiBuilder::proxy` where the
    /// program does.
    pub named_by: &'static str,
}

impl fmt::Display for OutboundProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.address, self.named_by)
    }
}

/// A proxy with all that it takes to use it.
pub(super) struct Proxy {
    /// With user name and password.
    url: Url,
    pub(super) shown: OutboundProxy,
}

impl Proxy {
    fn read(text: &str, named_by: &'static str) -> Result<Self, ConfigError> {
        let url = parse(text).map_err(|rule| ConfigError::Proxy { named_by, rule })?;
        let port = url.port_or_known_default().unwrap_or_default();
        let address = format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default());
        Ok(Self { url, shown: OutboundProxy { address, named_by } })
    }

    fn has_credentials(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }

    fn is_socks(&self) -> bool {
        self.url.scheme().starts_with("socks")
    }
}

/// The address of a proxy as people and desktops write it.
fn parse(text: &str) -> Result<Url, &'static str> {
    let text = text.trim();
    // A URL parser leaves tabs and line breaks out, wherever they are.
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(UNREADABLE);
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = scheme.to_ascii_lowercase();
    let scheme = match scheme.as_str() {
        known @ ("http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") => known,
        // Desktop settings write it so. Names are the proxy's to resolve: this machine may not know them.
        "socks" => "socks5h",
        _ => return Err(UNKNOWN_SCHEME),
    };
    let mut url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| UNREADABLE)?;
    // Hosts of SOCKS URLs are not checked by the parser: what is no name is percent-encoded.
    if url.host_str().is_none_or(|host| host.is_empty() || host.contains('%')) {
        return Err(UNREADABLE);
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(NOT_ONLY_A_HOST);
    }
    if scheme.starts_with("socks4") && (!url.username().is_empty() || url.password().is_some()) {
        return Err(SOCKS4_PASSWORD);
    }
    if scheme.starts_with("socks") && url.port().is_none() {
        url.set_port(Some(1080)).map_err(|()| UNREADABLE)?;
    }
    // The HTTP library reads it a second time, by a grammar of its own, and would connect directly where
    // that fails.
    let read = Matcher::builder().all(url.as_str().to_owned()).build();
    match read.intercept(&Uri::from_static("https://host.invalid")) {
        Some(_) => Ok(url),
        None => Err(UNREADABLE),
    }
}

/// What an `HttpApi` is told about a proxy.
#[derive(Clone, Default)]
pub(super) enum ProxySetting {
    /// Whatever the environment names when the client is made.
    #[default]
    Environment,
    /// None at all.
    None,
    /// This one, for everything.
    Url(String),
}

/// Which way leads to a host.
#[derive(Clone)]
pub(super) struct ProxyRules(Arc<ProxyRulesInner>);

struct ProxyRulesInner {
    proxy: Option<Proxy>,
    /// Whether the exceptions below do not count: a program that names a proxy means it.
    for_all: bool,
    /// Knows which hosts are excepted, by curl's rules.
    exceptions: Matcher,
}

impl ProxyRules {
    /// # Errors
    /// [`ConfigError::Proxy`] where a proxy is named that can't be used.
    pub(super) fn of(setting: &ProxySetting) -> Result<Self, ConfigError> {
        match setting {
            ProxySetting::Environment => Self::from_environment(|name| std::env::var_os(name)),
            ProxySetting::None => Ok(Self::new(None, true, "")),
            ProxySetting::Url(url) => Ok(Self::new(Some(Proxy::read(url, BUILDER)?), true, "")),
        }
    }

    /// What the variables say that `lookup` finds.
    fn from_environment(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let Some((name, text)) = first(&VARIABLES, &lookup)? else {
            return Ok(Self::new(None, false, ""));
        };
        let proxy = Proxy::read(&text, name)?;
        let exceptions = first(&EXCEPTIONS, &lookup)?.map(|(_, text)| text).unwrap_or_default();
        Ok(Self::new(Some(proxy), false, &exceptions))
    }

    fn new(proxy: Option<Proxy>, for_all: bool, exceptions: &str) -> Self {
        let exceptions = Matcher::builder()
            // Any proxy: what it is asked is only whether there is one.
            .all("http://proxy.invalid".to_owned())
            .no(exceptions.to_owned())
            .build();
        Self(Arc::new(ProxyRulesInner { proxy, for_all, exceptions }))
    }

    /// The proxy on the way to `url`.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        let inner = &*self.0;
        let proxy = inner.proxy.as_ref()?;
        (inner.for_all || !is_loopback(url) && !inner.excepts(url)).then_some(proxy)
    }

    /// The same for reqwest; nothing where there is no proxy at all.
    pub(super) fn for_reqwest(&self) -> Option<reqwest::Proxy> {
        self.0.proxy.as_ref()?;
        let proxy_rules = self.clone();
        Some(reqwest::Proxy::custom(move |url| {
            proxy_rules.proxy_for(url).map(|proxy| proxy.url.clone())
        }))
    }
}

impl ProxyRulesInner {
    fn excepts(&self, url: &Url) -> bool {
        let host = &url[Position::BeforeHost..Position::AfterPort];
        let uri = format!("{}://{host}", url.scheme()).parse::<Uri>();
        // What can't be read goes through the proxy, as anything that is not excepted.
        uri.is_ok_and(|uri| self.exceptions.intercept(&uri).is_none())
    }
}

/// The first of these variables that says something, and what. Blank is as good as unset.
fn first(
    names: &[&'static str],
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<(&'static str, String)>, ConfigError> {
    for name in names {
        let Some(value) = lookup(name) else { continue };
        let text = value
            .into_string()
            .map_err(|_| ConfigError::Proxy { named_by: name, rule: NO_TEXT })?;
        if !text.trim().is_empty() {
            return Ok(Some((name, text)));
        }
    }
    Ok(None)
}
