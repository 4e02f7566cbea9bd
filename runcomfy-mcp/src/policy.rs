//! Checks what tools are asked for against what the operator allows.

use runcomfy_core::{instance::ProxyPath, internals::is_public};
use url::{Host, Url};

use crate::{
    config::{ProxyLevel, WebhookHosts},
    result::ToolError,
    validation::ArgumentFaults,
};

/// The least level at which a route may be called. ComfyUI serves each route a second time below
/// `api/`.
fn level_of(path: &ProxyPath) -> ProxyLevel {
    let route = path.as_str();
    let route = route.strip_prefix("api/").unwrap_or(route);
    let mut segments = route.split('/');
    match (segments.next(), segments.next()) {
        (Some("free" | "interrupt" | "queue" | "history"), None) => ProxyLevel::Safe,
        (Some("prompt"), None) | (Some("upload" | "userdata"), Some(_)) => ProxyLevel::Comfy,
        _ => ProxyLevel::Any,
    }
}

/// Refuses a route that the operator does not allow.
pub(crate) fn check_route(
    path: &ProxyPath,
    level: ProxyLevel,
    allow_manager: bool,
) -> Result<(), ToolError> {
    if path.is_manager_route() {
        return if allow_manager {
            Ok(())
        } else {
            Err(ToolError::denied(
                "ComfyUI-Manager's routes install code on the instance and restart it: this server does not call them",
                "Nothing was sent. Whoever runs the server can allow them with --allow-manager-routes.",
            ))
        };
    }
    let needed = level_of(path);
    if needed <= level {
        return Ok(());
    }
    Err(ToolError::denied(
        format!("this server calls the routes of level `{level}`, and this one is of `{needed}`"),
        format!(
            "Nothing was sent. Whoever runs the server can allow it with --proxy-level {needed}."
        ),
    ))
}

/// Reads an address that RunComfy may report to.
pub(crate) fn webhook(text: &str, hosts: &WebhookHosts) -> Result<Url, ToolError> {
    let fault = |rule: &str| ToolError::from(ArgumentFaults::one("webhook_url", rule));
    let url = Url::parse(text).map_err(|_| fault("must be a full https address"))?;
    let (true, Some(host)) = (url.scheme() == "https", url.host()) else {
        return Err(fault("must be a full https address"));
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(fault("must have no user, password or fragment"));
    }
    if !matches!(url.port(), None | Some(443 | 1024..)) {
        return Err(fault("must be at port 443, or one from 1024 on"));
    }
    if !is_public_host(&host) {
        return Err(fault("must be at a host of the internet at large: RunComfy reaches no other"));
    }
    let WebhookHosts::Only(allowed) = hosts else { return Ok(url) };
    let name = host.to_string();
    let name = name.trim_end_matches('.');
    if allowed.iter().any(|one| one.eq_ignore_ascii_case(name)) {
        return Ok(url);
    }
    Err(ToolError::denied(
        "this server has RunComfy report to hosts only that its operator has named",
        "Nothing was sent. Leave out webhook_url and follow the request with get_request_status; whoever runs the \
         server can allow a host with --webhook-host.",
    ))
}

/// No name is looked up: what it leads to may change until RunComfy asks, and is RunComfy's to check.
fn is_public_host(host: &Host<&str>) -> bool {
    const PRIVATE: [&str; 8] =
        ["localhost", "local", "internal", "intranet", "lan", "home", "localdomain", "arpa"];
    match host {
        Host::Ipv4(address) => is_public((*address).into()),
        Host::Ipv6(address) => is_public((*address).into()),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            // What has one label only is a name of somebody's own network.
            name.rsplit_once('.').is_some_and(|(rest, top)| {
                !rest.is_empty() && !PRIVATE.iter().any(|one| one.eq_ignore_ascii_case(top))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(text: &str) -> Result<Url, ToolError> {
        webhook(text, &WebhookHosts::Public)
    }

    #[test]
    fn a_webhook_is_a_plain_https_address() {
        for text in [
            "http://example.com/x",
            "ftp://example.com",
            "javascript:alert(1)",
            "https://",
            "example.com",
            "https://user@example.com",
            "https://user:pass@example.com",
            "https://example.com/#f",
            "https://example.com:80/",
            "https://example.com:1023/",
        ] {
            assert_eq!(public(text).unwrap_err().kind(), "invalid_argument", "{text}");
        }
    }

    #[test]
    fn a_webhook_is_not_within_anybodys_network() {
        for host in [
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "127.1",
            "017700000001",
            "[::1]",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "192.168.0.1",
            "224.0.0.1",
            "192.0.2.1",
            "localhost",
            "localhost.",
            "a.localhost",
            "printer.local",
            "metadata.google.internal",
            "METADATA.google.internal.",
            "intranet",
            "127.0.0.1.",
            "１２７.0.0.1",
        ] {
            let error = public(&format!("https://{host}/hook")).unwrap_err();
            assert_eq!(error.kind(), "invalid_argument", "{host}");
        }
    }

    #[test]
    fn a_webhook_at_a_public_name_is_taken_as_it_is() {
        for text in [
            "https://example.com/hook?sig=a%2Fb&x=1",
            "https://example.com:8443/",
            "https://1.1.1.1/",
            "https://xn--bcher-kva.example/",
        ] {
            assert_eq!(public(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn where_hosts_are_named_only_those_are_told() {
        let hosts = WebhookHosts::Only(vec!["hooks.example.com".to_owned()]);
        assert!(webhook("https://HOOKS.example.com./x", &hosts).is_ok());
        for text in ["https://example.com/", "https://hooks.example.com.evil.example/"] {
            assert_eq!(webhook(text, &hosts).unwrap_err().kind(), "policy_denied", "{text}");
        }
        let nowhere = WebhookHosts::Only(Vec::new());
        assert_eq!(webhook("https://example.com/", &nowhere).unwrap_err().kind(), "policy_denied");
    }

    #[test]
    fn each_route_has_its_level() {
        let check = |path: &str, level| {
            assert_eq!(level_of(&ProxyPath::new(path).unwrap()), level, "{path}");
        };
        for path in ["free", "api/free", "/api/interrupt", "queue", "history"] {
            check(path, ProxyLevel::Safe);
        }
        for path in ["prompt", "api/prompt", "upload/image", "api/userdata/x", "userdata/x/y"] {
            check(path, ProxyLevel::Comfy);
        }
        for path in
            ["Free", "free/x", "api/api/free", "v2/free", "internal/logs", "upload", "models"]
        {
            check(path, ProxyLevel::Any);
        }
    }

    #[test]
    fn the_managers_routes_are_closed_at_every_level_however_they_are_written() {
        for path in [
            "customnode/install/git_url",
            "Manager/Reboot",
            "api/api/customnode/install",
            "v2/customnode/install/pip",
            "api/v2/manager/queue/start",
            "snapshot/restore",
            "SNAPSHOT/remove",
        ] {
            let path = ProxyPath::new(path).unwrap();
            for level in [ProxyLevel::Safe, ProxyLevel::Comfy, ProxyLevel::Any] {
                let denied = check_route(&path, level, false).unwrap_err();
                assert_eq!(denied.kind(), "policy_denied", "{path} {level}");
            }
            assert!(check_route(&path, ProxyLevel::Safe, true).is_ok());
        }
    }

    proptest! {
        #[test]
        fn no_address_in_figures_leads_inside(bits in any::<u32>(), port in 1024_u16..) {
            let address = std::net::Ipv4Addr::from(bits);
            for text in [format!("https://{address}:{port}/"), format!("https://{bits}:{port}/")] {
                prop_assert_eq!(super::webhook(&text, &WebhookHosts::Public).is_ok(), is_public(address.into()));
            }
        }
    }
}
