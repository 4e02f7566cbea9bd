//! Checks the `Host` header.
//!
//! An emulator on a loopback address accepts only loopback names and its public name. Otherwise a web page
//! could use DNS rebinding to call the emulator, which does not authenticate callers.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header, uri::Authority};
use url::Url;

pub(super) enum Hosts {
    /// Listens on other interfaces, whose names are unknown.
    Any,
    /// Listens on loopback; accepts loopback names and the public name.
    Local { public: Option<String> },
}

impl Hosts {
    pub(super) fn of(listens: SocketAddr, public: &Url) -> Self {
        if listens.ip().is_loopback() {
            Self::Local { public: public.host_str().map(str::to_ascii_lowercase) }
        } else {
            Self::Any
        }
    }

    /// Whether the request's host is accepted.
    pub(super) fn answers(&self, headers: &HeaderMap) -> bool {
        let Self::Local { public } = self else { return true };
        // HTTP/1.0 requests have no `Host`, and no browser sends them.
        let Some(host) = headers.get(header::HOST) else { return true };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let Some(authority) = authority else { return false };
        let host = authority.host().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.ends_with(".localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || public.as_deref() == Some(&host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listens: &str, public: &str, host: &str, expected: bool) {
        let hosts = Hosts::of(listens.parse().unwrap(), &Url::parse(public).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        assert_eq!(hosts.answers(&headers), expected, "{listens} {public} {host}");
    }

    #[test]
    fn one_on_loopback_answers_to_loopback_and_to_its_public_name() {
        let (local, open, own) = ("127.0.0.1:9000", "0.0.0.0:9000", "http://127.0.0.1:9000/");
        for host in [
            "127.0.0.1:9000",
            "localhost:9000",
            "LOCALHOST",
            "[::1]:9000",
            "127.8.8.8",
            "a.localhost",
        ] {
            check(local, own, host, true);
        }
        for host in [
            "evil.example",
            "evil.example:9000",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "",
        ] {
            check(local, own, host, false);
        }
        check(local, "https://emulator.example/", "Emulator.example", true);
        check(local, "https://emulator.example/", "evil.example", false);
        check(open, own, "host.docker.internal:9000", true);
    }
}
