//! Host policy: by which names the server may be reached, and from which web pages. It protects a server in a
//! private network from pages that use a visitor's browser to reach it (DNS rebinding).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderValue, StatusCode, Version,
    header::{HOST, ORIGIN},
    uri::Authority,
};
use tokio::time::Instant;

use crate::{
    refusal::refusal,
    request::{PeerAddr, single_header},
};

/// The host names and origins that are allowed.
#[derive(Debug)]
pub struct HostPolicy {
    hosts: Vec<(String, Option<u16>)>,
    /// Each with whether any port is allowed.
    origins: Vec<(String, bool)>,
    unknown_host: &'static str,
    /// When a request of another HTTP version was last logged.
    version_logged: Mutex<Option<Instant>>,
    /// The unknown host names that were logged.
    hosts_logged: Mutex<Vec<String>>,
}

/// The most common cause is nginx, most versions of which send HTTP/1.0 by default.
const WRONG_VERSION: &str = "send HTTP/1.1; the request has another version. A proxy in front of this server must send \
    HTTP/1.1 to it: in nginx, set `proxy_http_version 1.1;` and `proxy_set_header Connection \"\";`, and `proxy_buffering \
    off;` so that events are not delayed";

/// The shortest time between two warnings about the HTTP version, because a proxy causes one with each request.
const VERSION_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How many unknown host names are logged, and how much of each.
const MAX_HOSTS_LOGGED: usize = 32;
const MAX_CHARS_LOGGED: usize = 255;

impl HostPolicy {
    /// `hosts` are names with or without a port; a name without one allows every port. `origins` have the form
    /// `scheme://host:port`; `*` as port allows every port. `unknown_host` is the message for requests to another
    /// host: it should say how to allow it.
    #[must_use]
    pub fn new(hosts: &[String], origins: &[String], unknown_host: &'static str) -> Self {
        let host = |name: &String| match Authority::try_from(name.as_str()) {
            Ok(authority) => (authority.host().to_ascii_lowercase(), authority.port_u16()),
            Err(_) => (name.to_ascii_lowercase(), None),
        };
        let origin = |name: &String| match name.strip_suffix(":*") {
            Some(name) => (name.to_owned(), true),
            None => (name.clone(), false),
        };
        Self {
            hosts: hosts.iter().map(host).collect(),
            origins: origins.iter().map(origin).collect(),
            unknown_host,
            version_logged: Mutex::default(),
            hosts_logged: Mutex::default(),
        }
    }

    fn allows_host(&self, authority: &Authority) -> bool {
        self.hosts.iter().any(|(host, port)| {
            authority.host().eq_ignore_ascii_case(host)
                && port.is_none_or(|port| authority.port_u16() == Some(port))
        })
    }

    /// Whether pages of this origin may send requests.
    #[must_use]
    pub fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.origins.iter().any(|(name, any_port)| {
            let rest = origin.strip_prefix(name.as_str());
            rest.is_some_and(|rest| {
                let port = rest.strip_prefix(':');
                rest.is_empty()
                    || *any_port
                        && port.is_some_and(|port| {
                            !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
                        })
            })
        })
    }

    /// Why a request violates the policy, if it does: the status and message of the refusal.
    pub fn violation(&self, request: &Request) -> Option<(StatusCode, &'static str)> {
        if request.version() != Version::HTTP_11 {
            self.log_version(request);
            return Some((StatusCode::BAD_REQUEST, WRONG_VERSION));
        }
        let Some(host) = single_header(request.headers(), HOST) else {
            return Some((StatusCode::BAD_REQUEST, "send exactly one Host header"));
        };
        let Some(host) = host.to_str().ok().and_then(|host| Authority::try_from(host).ok()) else {
            return Some((StatusCode::BAD_REQUEST, "the Host header is not a host name"));
        };
        // A host in the request target takes precedence over the header (RFC 9112, 3.2.2), so both are checked.
        let target = request.uri().authority();
        if !self.allows_host(&host) || !target.is_none_or(|target| self.allows_host(target)) {
            self.log_host(host.as_str());
            return Some((StatusCode::FORBIDDEN, self.unknown_host));
        }
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let allowed = match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => self.allows_origin(origin),
            (Some(_), Some(_)) => false,
        };
        (!allowed).then_some((StatusCode::FORBIDDEN, "the origin of the web page is not allowed"))
    }

    fn log_version(&self, request: &Request) {
        let now = Instant::now();
        {
            let mut logged = self.version_logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.is_some_and(|at| now.duration_since(at) < VERSION_LOG_INTERVAL) {
                return;
            }
            *logged = Some(now);
        }
        let peer = request.extensions().get::<PeerAddr>().map(|peer| peer.0.ip().to_string());
        let version = request.version();
        tracing::warn!(peer, ?version, "refused a request that is not HTTP/1.1: {WRONG_VERSION}");
    }

    fn log_host(&self, name: &str) {
        let name: String = name.chars().take(MAX_CHARS_LOGGED).collect();
        let mut logged = self.hosts_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < MAX_HOSTS_LOGGED && !logged.contains(&name) {
            tracing::warn!(name, "refused a request: {}", self.unknown_host);
            logged.push(name);
        }
    }
}

/// Middleware that refuses requests that violate the policy.
pub async fn enforce_host_policy(
    State(policy): State<Arc<HostPolicy>>,
    request: Request,
    next: Next,
) -> Response {
    match policy.violation(&request) {
        Some((status, message)) => refusal(status, message),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn policy() -> HostPolicy {
        let all = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let (hosts, origins) = (
            all(&["localhost", "[::1]", "example.com:8443"]),
            all(&["https://example.com", "http://localhost:*"]),
        );
        HostPolicy::new(&hosts, &origins, "unknown host")
    }

    fn status(uri: &str, host: &str, origins: &[&str]) -> Option<u16> {
        let mut request = Request::get(uri).header(HOST, host);
        for origin in origins {
            request = request.header(ORIGIN, *origin);
        }
        let request = request.body(Body::empty()).unwrap();
        policy().violation(&request).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_requests_to_allowed_hosts_are_served() {
        for host in ["localhost", "LocalHost:8000", "[::1]:1", "example.com:8443"] {
            assert_eq!(status("/", host, &[]), None, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "example.com", "example.com:443"] {
            assert_eq!(status("/", host, &[]), Some(403), "{host}");
        }
        assert_eq!(status("/", "a b", &[]), Some(400));
        assert_eq!(status("http://localhost/", "localhost", &[]), None);
        assert_eq!(status("http://evil.example/", "localhost", &[]), Some(403));
    }

    #[test]
    fn only_one_allowed_origin_is_served() {
        for origin in ["https://example.com", "http://localhost", "http://localhost:3000"] {
            assert_eq!(status("/", "localhost", &[origin]), None, "{origin}");
        }
        for origin in [
            "https://example.com:444",
            "https://example.com.evil.example",
            "http://localhost:",
            "http://localhost:3000x",
            "null",
        ] {
            assert_eq!(status("/", "localhost", &[origin]), Some(403), "{origin}");
        }
        let twice = ["https://example.com", "https://example.com"];
        assert_eq!(status("/", "localhost", &twice), Some(403));
    }

    #[tokio::test(start_paused = true)]
    async fn http_1_0_is_refused_with_the_proxy_settings_each_time_and_logged_once_a_minute() {
        let (policy, log) = (policy(), Log::default());
        let warnings = || {
            let lines = log.0.lock().unwrap().clone();
            String::from_utf8(lines).unwrap().matches("proxy_http_version 1.1;").count()
        };
        let layer = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(layer);
        for minute in 1..3 {
            for _ in 0..100 {
                let request =
                    Request::post("/").version(Version::HTTP_10).header(HOST, "localhost");
                let (status, message) =
                    policy.violation(&request.body(Body::empty()).unwrap()).unwrap();
                assert_eq!(status, StatusCode::BAD_REQUEST);
                assert!(message.contains("proxy_http_version 1.1;"), "{message}");
            }
            assert_eq!(warnings(), minute);
            tokio::time::advance(VERSION_LOG_INTERVAL).await;
        }
    }
}
