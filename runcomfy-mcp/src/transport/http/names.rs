//! By which names the server may be reached, and from which web pages: what keeps a page that a browser
//! happens to show from calling with its visitor's reach.

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
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
    },
    uri::Authority,
};
use tokio::time::Instant;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{HttpOptions, answer::refusal, connection::Peer};

/// The names and origins that are allowed.
#[derive(Debug)]
pub(super) struct Names {
    hosts: Vec<(String, Option<u16>)>,
    /// Each with whether any port will do.
    origins: Vec<(String, bool)>,
    /// When a request of another HTTP version was last written into the log.
    warned: Mutex<Option<Instant>>,
    /// The names of hosts that were written into the log.
    refused: Mutex<Vec<String>>,
}

/// What most versions of nginx send to a server by default is HTTP/1.0.
const OTHER_VERSION: &str = "send HTTP/1.1; the request has another version. A proxy in front of this server must speak \
    HTTP/1.1 to it: in nginx, set `proxy_http_version 1.1;` and `proxy_set_header Connection \"\";`, and `proxy_buffering \
    off;` so that events are not held back";

/// Most often a server that others come to by another name than this machine's own.
const OTHER_NAME: &str = "the server does not go by the name in the Host header; whoever runs it can allow it with \
    --allowed-host NAME";

/// How long after one warning about it the next one may be. Each request of a proxy's is a reason for one.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

impl Names {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let host = |name: &String| match Authority::try_from(name.as_str()) {
            Ok(authority) => (authority.host().to_ascii_lowercase(), authority.port_u16()),
            Err(_) => (name.to_ascii_lowercase(), None),
        };
        let origin = |name: &String| match name.strip_suffix(":*") {
            Some(name) => (name.to_owned(), true),
            None => (name.clone(), false),
        };
        Self {
            hosts: options.allowed_hosts.iter().map(host).collect(),
            origins: options.allowed_origins.iter().map(origin).collect(),
            warned: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    fn knows_host(&self, authority: &Authority) -> bool {
        self.hosts.iter().any(|(host, port)| {
            authority.host().eq_ignore_ascii_case(host)
                && port.is_none_or(|port| authority.port_u16() == Some(port))
        })
    }

    fn knows_origin(&self, origin: &HeaderValue) -> bool {
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

    /// Writes into the log that somebody, most likely the proxy in front, does not speak HTTP/1.1. Now and then.
    fn warn_of_version(&self, request: &Request) {
        let now = Instant::now();
        {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.is_some_and(|at| now.duration_since(at) < BETWEEN_WARNINGS) {
                return;
            }
            *warned = Some(now);
        }
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_string());
        let version = request.version();
        tracing::warn!(peer, ?version, "refused a request that is not HTTP/1.1: {OTHER_VERSION}");
    }

    /// Writes into the log that somebody comes by a name that is not allowed: each name once, the first few.
    fn warn_of_name(&self, name: &str) {
        const MOST: usize = 32;
        const LONGEST: usize = 255;
        let name: String = name.chars().take(LONGEST).collect();
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < MOST && !refused.contains(&name) {
            tracing::warn!(name, "refused a request: {OTHER_NAME}");
            refused.push(name);
        }
    }

    /// Why a request's names are not good enough, if they are not.
    fn objection(&self, request: &Request) -> Option<(StatusCode, &'static str)> {
        if request.version() != Version::HTTP_11 {
            self.warn_of_version(request);
            return Some((StatusCode::BAD_REQUEST, OTHER_VERSION));
        }
        let Some(host) = the_only(request.headers(), HOST) else {
            return Some((StatusCode::BAD_REQUEST, "send exactly one Host header"));
        };
        let Some(host) = host.to_str().ok().and_then(|host| Authority::try_from(host).ok()) else {
            return Some((StatusCode::BAD_REQUEST, "the Host header names no host"));
        };
        // A target with a host in it counts for more than the header.
        if !self.knows_host(&host) || !request.uri().authority().is_none_or(|a| self.knows_host(a))
        {
            self.warn_of_name(host.as_str());
            return Some((StatusCode::FORBIDDEN, OTHER_NAME));
        }
        let origins = request.headers().get_all(ORIGIN).iter();
        if request.headers().contains_key(ORIGIN)
            && (origins.count() > 1
                || !request.headers().get(ORIGIN).is_some_and(|o| self.knows_origin(o)))
        {
            return Some((StatusCode::FORBIDDEN, "pages of that origin may not call"));
        }
        None
    }
}

/// The value of a header that is there exactly once.
pub(super) fn the_only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// Turns away what is no POST, and what comes by a wrong name or from a wrong page, before anything else of
/// it is looked at.
pub(super) fn refused(names: &Names, request: &Request) -> Option<Response> {
    if ![Method::POST, Method::OPTIONS].contains(request.method()) {
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "POST messages here");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return Some(response);
    }
    names.objection(request).map(|(status, why)| refusal(status, why))
}

/// Whether a browser asks on behalf of a page.
pub(super) fn is_from_page(request: &Request) -> bool {
    request.method() == Method::OPTIONS || request.headers().contains_key(ORIGIN)
}

/// Turns away what comes by a wrong name or from a wrong page.
pub(super) async fn check_names(
    State(names): State<Arc<Names>>,
    request: Request,
    next: Next,
) -> Response {
    match names.objection(&request) {
        Some((status, why)) => refusal(status, why),
        None => next.run(request).await,
    }
}

/// Lets web pages of the allowed origins call from a browser.
pub(super) fn cors(names: Arc<Names>) -> CorsLayer {
    let mcp = |name: &'static str| HeaderName::from_static(name);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| names.knows_origin(origin)))
        .allow_methods([Method::POST])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            mcp("mcp-protocol-version"),
            mcp("mcp-method"),
            mcp("mcp-name"),
            mcp("mcp-session-id"),
            mcp("last-event-id"),
        ])
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
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

    #[tokio::test(start_paused = true)]
    async fn http_1_0_is_told_what_to_set_each_time_and_the_log_once_a_minute() {
        let names = Names::new(&HttpOptions::default());
        let log = Log::default();
        let warnings = || {
            let lines = log.0.lock().unwrap().clone();
            String::from_utf8(lines).unwrap().matches("proxy_http_version 1.1;").count()
        };
        let layer = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(layer);
        for minute in 1..3 {
            for _ in 0..100 {
                let request =
                    Request::post("/mcp").version(Version::HTTP_10).header(HOST, "localhost");
                let (status, told) =
                    names.objection(&request.body(Body::empty()).unwrap()).unwrap();
                assert_eq!(status, StatusCode::BAD_REQUEST);
                assert!(told.contains("proxy_http_version 1.1;"), "{told}");
            }
            assert_eq!(warnings(), minute);
            tokio::time::advance(BETWEEN_WARNINGS).await;
        }
    }
}
