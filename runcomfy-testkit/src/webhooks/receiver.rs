//! Where a receiver is, and whether it may be called.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::options::WebhookOptions;

/// Whether the receiver is on this machine.
pub(super) fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether the options allow the receiver. Names are resolved, but may resolve differently for the call, so
/// this prevents mistakes, not attacks.
pub(super) async fn may_be_called(url: &Url, options: &WebhookOptions) -> bool {
    let scheme = match url.scheme() {
        "https" => true,
        "http" => options.allow_http,
        _ => false,
    };
    scheme && (options.allow_private || is_public(url).await)
}

async fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_public_address(address.into()),
        Some(Host::Ipv6(address)) => is_public_address(address.into()),
        Some(Host::Domain(name)) => {
            let port = url.port_or_known_default().unwrap_or_default();
            match tokio::net::lookup_host((name, port)).await {
                Ok(mut addresses) => addresses.all(|address| is_public_address(address.ip())),
                // The call will fail and be retried.
                Err(_) => true,
            }
        }
        None => false,
    }
}

fn is_public_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && b & 0b1100_0000 == 64;
    let protocols = (a, b, c) == (192, 0, 0);
    let benchmarks = a == 198 && b & 0b1111_1110 == 18;
    !(a == 0
        || a >= 224
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || shared
        || protocols
        || benchmarks)
}

/// Global unicast without ranges that embed IPv4 addresses or are reserved for documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let carries_v4 = a == 0x2002 || (a == 0x2001 && b == 0);
    a & 0xe000 == 0x2000 && !carries_v4 && (a, b) != (0x2001, 0xdb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_here_needs_no_proxy() {
        for here in
            ["http://localhost:1/a", "https://x.localhost", "http://127.9.9.9", "http://[::1]"]
        {
            assert!(is_here(&here.parse().unwrap()), "{here}");
        }
        for elsewhere in
            ["http://localhost.example", "http://128.0.0.1", "http://10.0.0.1", "http://[::2]"]
        {
            assert!(!is_here(&elsewhere.parse().unwrap()), "{elsewhere}");
        }
    }

    #[test]
    fn addresses_that_only_this_network_knows_are_not_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public_address(private.parse().unwrap()), "{private}");
        }
        for public in
            ["1.1.1.1", "100.128.0.1", "172.32.0.1", "198.20.0.1", "::ffff:8.8.8.8", "2606:4700::1"]
        {
            assert!(is_public_address(public.parse().unwrap()), "{public}");
        }
    }
}
