//! Detects two URLs of one server, because a server must take one job at a time.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _},
};

use url::{Host, Url};

/// URLs with their resolved addresses.
pub(super) struct ServerAddresses<'a>(Vec<(&'a Url, ServerAddress)>);

/// Where a server listens, as far as its name can be resolved.
struct ServerAddress {
    addresses: HashSet<IpAddr>,
    port: Option<u16>,
    path: String,
    by_name: bool,
}

impl<'a> ServerAddresses<'a> {
    /// Resolves names only if there are several URLs.
    pub(super) fn of(urls: &'a [Url]) -> Self {
        let compared = if urls.len() > 1 { urls } else { &[] };
        Self(compared.iter().map(|url| (url, ServerAddress::of(url))).collect())
    }

    /// Two URLs of one server, without credentials.
    pub(super) fn first_duplicate(&self) -> Option<(Url, Url)> {
        self.0.iter().enumerate().find_map(|(count, (url, place))| {
            let earlier = self.0.iter().take(count);
            let same =
                earlier.into_iter().find(|(other, earlier)| other != url && place.is(earlier));
            same.map(|(other, _)| (without_credentials(other), without_credentials(url)))
        })
    }
}

fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail for URLs that cannot have credentials, which need no change.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

impl ServerAddress {
    fn of(url: &Url) -> Self {
        let port = url.port_or_known_default();
        let addresses: HashSet<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => HashSet::from([address.into()]),
            Some(Host::Ipv6(address)) => HashSet::from([address.to_canonical()]),
            Some(Host::Domain(name)) => {
                let found = (name, port.unwrap_or_default()).to_socket_addrs();
                found.into_iter().flatten().map(|found| found.ip().to_canonical()).collect()
            }
            None => HashSet::new(),
        };
        let here = |address: IpAddr| match address {
            // All of these are this machine.
            IpAddr::V4(v4) if v4.is_loopback() || v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        };
        Self {
            addresses: addresses.into_iter().map(here).collect(),
            port,
            path: url.path().trim_end_matches('/').to_owned(),
            by_name: matches!(url.host(), Some(Host::Domain(_))),
        }
    }

    fn is(&self, other: &Self) -> bool {
        let mut shared = self.addresses.intersection(&other.addresses).peekable();
        // One public address may serve several servers by name.
        let by_name_only = self.by_name && other.by_name && matches!(self.port, Some(80 | 443));
        self.port == other.port
            && self.path == other.path
            && shared.peek().is_some()
            && (!by_name_only || shared.any(IpAddr::is_loopback))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, same: bool) {
        let urls = [one.parse().unwrap(), other.parse().unwrap()];
        assert_eq!(ServerAddresses::of(&urls).first_duplicate().is_some(), same, "{one} {other}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let urls = ["http://me:secret@127.0.0.1:1", "http://me:secret@localhost:1"];
        let urls = urls.map(|url| url.parse().unwrap());
        let (one, other) = ServerAddresses::of(&urls).first_duplicate().unwrap();
        assert!(!format!("{one}{other}").contains("secret"), "{one} {other}");
    }

    #[test]
    fn names_of_one_server_are_told_from_names_of_two() {
        check("http://127.0.0.1:8188", "http://localhost:8188", true);
        check("http://localhost:8188/", "http://127.0.0.1:8188", true);
        check("http://127.0.0.1:8188", "http://0.0.0.0:8188", true);
        check("http://[::ffff:10.0.0.1]:8188", "http://10.0.0.1:8188", true);
        check("http://localhost", "http://127.0.0.1:80", true);
        check("http://127.0.0.1:8188", "http://localhost:8189", false);
        check("http://localhost:8188/a", "http://127.0.0.1:8188/b", false);
        check("http://10.0.0.1:8188", "http://10.0.0.2:8188", false);
        check("http://nowhere.invalid:8188", "http://nobody.invalid:8188", false);
    }
}
