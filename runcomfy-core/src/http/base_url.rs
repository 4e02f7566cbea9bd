//! Addresses, built from a checked base and checked segments only.

use url::{Host, Url};

use crate::{deployment::Include, id::DeploymentId};

/// Where RunComfy's Serverless API is.
pub const DEFAULT_BASE_URL: &str = "https://api.runcomfy.net";

/// A setting that an [`HttpApi`](super::HttpApi) can't be built with. Names the rule, never the value, which may hold
/// credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The base URL is no URL.
    #[error("the base URL must be a URL such as {DEFAULT_BASE_URL}")]
    BaseUrlUnreadable,
    /// The base URL would send the token unencrypted.
    #[error("the base URL must be https; http is for localhost, 127.0.0.0/8 and [::1] only")]
    BaseUrlNotHttps,
    /// The base URL holds credentials.
    #[error("the base URL must not hold a user name or password")]
    BaseUrlWithUserInfo,
    /// The base URL has a path; the API's own begins at the root.
    #[error("the base URL must not have a path")]
    BaseUrlWithPath,
    /// The base URL has a query.
    #[error("the base URL must not have a query")]
    BaseUrlWithQuery,
    /// The base URL has a fragment.
    #[error("the base URL must not have a fragment")]
    BaseUrlWithFragment,
    /// The proxy that the environment or the program names can't be used.
    #[error("{named_by} {rule}")]
    #[non_exhaustive]
    Proxy {
        /// The environment variable that names it, such as `HTTPS_PROXY`; `HttpApiBuilder::proxy` where
        /// the program does.
        named_by: &'static str,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The user agent does not fit into a header.
    #[error("the user agent must be visible ASCII")]
    UserAgent,
}

/// The API's origin: https, or http on a loopback host; no credentials, path, query or fragment.
#[derive(Clone)]
pub(super) struct Base(Url);

impl Base {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let url = Url::parse(text).map_err(|_| ConfigError::BaseUrlUnreadable)?;
        let encrypted = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url),
            _ => false,
        };
        if !encrypted {
            Err(ConfigError::BaseUrlNotHttps)
        } else if !url.username().is_empty() || url.password().is_some() {
            Err(ConfigError::BaseUrlWithUserInfo)
        } else if url.path() != "/" {
            Err(ConfigError::BaseUrlWithPath)
        } else if url.query().is_some() {
            Err(ConfigError::BaseUrlWithQuery)
        } else if url.fragment().is_some() {
            Err(ConfigError::BaseUrlWithFragment)
        } else {
            Ok(Self(url))
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is unencrypted, which only a loopback host may be.
    pub(super) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether it is this machine.
    pub(super) fn is_local(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The address of `segments` below the base. They come from the grammars of ids and paths, which
    /// have no segment that means anything to a URL.
    pub(super) fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        // Fails only for URLs without a host, which `parse` does not let through.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Whether a file may be fetched from here: https, or http where both this and the base are loopback.
    pub(super) fn may_download(&self, url: &Url) -> bool {
        let scheme = match url.scheme() {
            "https" => true,
            "http" => self.is_plain() && is_loopback(url),
            _ => false,
        };
        scheme && url.username().is_empty() && url.password().is_none()
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Adds what to list, each as a key of its own: `includes=payload&includes=readme&ids=a&ids=b`.
pub(super) fn with_list_query(mut url: Url, include: Include, ids: &[DeploymentId]) -> Url {
    let includes = [("payload", include.payload), ("readme", include.readme)];
    let wanted = includes.iter().filter(|(_, wanted)| *wanted).map(|(part, _)| ("includes", *part));
    let pairs: Vec<_> = wanted.chain(ids.iter().map(|id| ("ids", id.as_str()))).collect();
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        id::{InstanceId, RequestId},
        instance::ProxyPath,
    };

    #[track_caller]
    fn check(base: &str, expected: Result<&str, ConfigError>) {
        let parsed = Base::parse(base);
        assert_eq!(
            parsed.as_ref().map(|base| base.url().as_str()).map_err(|e| *e),
            expected,
            "{base}"
        );
    }

    #[test]
    fn a_base_is_https_or_loopback_http_and_nothing_but_an_origin() {
        check("https://api.runcomfy.net", Ok("https://api.runcomfy.net/"));
        check("https://api.runcomfy.net:8443/", Ok("https://api.runcomfy.net:8443/"));
        check("http://localhost:9000", Ok("http://localhost:9000/"));
        check("http://127.3.2.1", Ok("http://127.3.2.1/"));
        check("http://[::1]:1", Ok("http://[::1]:1/"));
        for plain in [
            "http://api.runcomfy.net",
            "http://localhost.evil.com",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://[::ffff:127.0.0.1]",
            "ftp://localhost",
            "file:///etc/passwd",
            "data:text/plain,x",
        ] {
            check(plain, Err(ConfigError::BaseUrlNotHttps));
        }
        for unreadable in ["", "api.runcomfy.net", "https://", "https://a b", "//host"] {
            check(unreadable, Err(ConfigError::BaseUrlUnreadable));
        }
        check("https://user@host", Err(ConfigError::BaseUrlWithUserInfo));
        check("https://:SECRET@host", Err(ConfigError::BaseUrlWithUserInfo));
        check("https://host/prod/v2", Err(ConfigError::BaseUrlWithPath));
        check("https://host/?a=b", Err(ConfigError::BaseUrlWithQuery));
        check("https://host/?", Err(ConfigError::BaseUrlWithQuery));
        check("https://host/#x", Err(ConfigError::BaseUrlWithFragment));
    }

    #[test]
    fn a_refused_base_is_not_repeated() {
        let error = Base::parse("https://user:SECRET@host/").err().unwrap();
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    }

    #[test]
    fn files_come_over_https_or_from_the_loopback_of_a_loopback_base() {
        let check = |base: &str, file: &str, allowed: bool| {
            let base = Base::parse(base).ok().unwrap();
            assert_eq!(base.may_download(&Url::parse(file).unwrap()), allowed, "{file}");
        };
        check("https://api.runcomfy.net", "https://storage.example/x?sig=1", true);
        check("https://api.runcomfy.net", "http://storage.example/x", false);
        check("https://api.runcomfy.net", "http://127.0.0.1/x", false);
        check("https://api.runcomfy.net", "https://user:pass@storage.example/x", false);
        check("https://api.runcomfy.net", "javascript:alert(1)", false);
        check("https://api.runcomfy.net", "file:///etc/passwd", false);
        check("http://127.0.0.1:9000", "http://127.0.0.1:9000/x", true);
        check("http://127.0.0.1:9000", "http://storage.example/x", false);
        check("http://127.0.0.1:9000", "https://storage.example/x", true);
    }

    proptest! {
        #[test]
        fn a_built_address_keeps_its_origin_and_has_exactly_the_segments(
            deployment in "[A-Za-z0-9_-]{1,128}|.{0,20}",
            request in "[A-Za-z0-9_-]{1,128}|.{0,20}",
            instance in "[A-Za-z0-9_-]{1,128}|.{0,20}",
            path in "[a-z]{1,9}(/[a-zA-Z0-9._~-]{1,9}){0,15}|.{0,20}",
        ) {
            let base = Base::parse("https://api.example:8443").ok().unwrap();
            let (Ok(deployment), Ok(request), Ok(instance), Ok(path)) = (
                DeploymentId::new(deployment),
                RequestId::new(request),
                InstanceId::new(instance),
                ProxyPath::new(&path),
            ) else {
                return Ok(());
            };
            let mut segments = vec!["prod", "v2", deployment.as_str(), request.as_str(), instance.as_str()];
            segments.extend(path.as_str().split('/'));
            let url = base.join(segments.iter().copied());
            // Read back from the text: that is what goes out.
            let url = Url::parse(url.as_str()).unwrap();
            prop_assert_eq!(url.origin(), base.url().origin());
            prop_assert_eq!(url.path_segments().unwrap().collect::<Vec<_>>(), segments);
            prop_assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
        }
    }
}
