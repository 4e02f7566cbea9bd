use proptest::prelude::*;

use super::*;

/// The proxy_rules of an environment that has these variables.
fn proxy_rules(variables: &[(&str, &str)]) -> Result<ProxyRules, ConfigError> {
    ProxyRules::from_environment(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    })
}

/// The proxy on the way to `target`, and what names it.
fn to(variables: &[(&str, &str)], target: &str) -> Option<String> {
    let proxy_rules =
        proxy_rules(variables).unwrap_or_else(|error| panic!("{variables:?}: {error}"));
    proxy_rules.proxy_for(&target.parse().unwrap()).map(|proxy| proxy.shown.to_string())
}

const TARGET: &str = "https://api.example";

#[track_caller]
fn check(variables: &[(&str, &str)], expected: Option<&str>) {
    assert_eq!(to(variables, TARGET).as_deref(), expected, "{variables:?}");
}

#[test]
fn the_first_variable_that_says_something_names_the_proxy() {
    check(&[], None);
    check(&[("HTTPS_PROXY", "http://a:1")], Some("http://a:1 (from HTTPS_PROXY)"));
    check(&[("https_proxy", "http://a:1")], Some("http://a:1 (from https_proxy)"));
    check(&[("ALL_PROXY", "http://a:1")], Some("http://a:1 (from ALL_PROXY)"));
    check(&[("all_proxy", "http://a:1")], Some("http://a:1 (from all_proxy)"));
    check(
        &[("all_proxy", "http://d:1"), ("ALL_PROXY", "http://c:1"), ("https_proxy", "http://b:1")],
        Some("http://b:1 (from https_proxy)"),
    );
    check(
        &[("https_proxy", "http://b:1"), ("HTTPS_PROXY", "http://a:1")],
        Some("http://a:1 (from HTTPS_PROXY)"),
    );
    // Blank is unset, in each place by itself.
    check(
        &[("HTTPS_PROXY", ""), ("https_proxy", " "), ("ALL_PROXY", "http://c:1")],
        Some("http://c:1 (from ALL_PROXY)"),
    );
    // What nobody asks for may be anything.
    check(
        &[("HTTPS_PROXY", "http://a:1"), ("ALL_PROXY", "ftp://b")],
        Some("http://a:1 (from HTTPS_PROXY)"),
    );
    check(&[("HTTP_PROXY", "not a url"), ("http_proxy", "ftp://x")], None);
}

#[test]
fn a_proxy_is_read_as_people_and_desktops_write_it() {
    let check = |text: &str, expected: &str| {
        assert_eq!(Proxy::read(text, "X").unwrap().shown.address, expected, "{text}");
    };
    check("http://a:3128", "http://a:3128");
    check("http://a:3128/", "http://a:3128");
    check(" http://a:3128\n", "http://a:3128");
    check("HTTP://A.Example", "http://a.example:80");
    check("https://a", "https://a:443");
    check("a.example:3128", "http://a.example:3128");
    check("localhost:3128", "http://localhost:3128");
    check("127.0.0.1:7890", "http://127.0.0.1:7890");
    check("[::1]:7890", "http://[::1]:7890");
    check("socks4://a", "socks4://a:1080");
    check("socks4a://a:9", "socks4a://a:9");
    check("socks5://127.0.0.1:7890", "socks5://127.0.0.1:7890");
    check("socks5h://[::1]", "socks5h://[::1]:1080");
    check("socks://127.0.0.1:7890/", "socks5h://127.0.0.1:7890");
    check("SOCKS5://a", "socks5://a:1080");
    check("http://user:SECRET@a:1", "http://a:1");
    check("user:SECRET@a:1", "http://a:1");
    check("socks5h://user:SE%40CRET@a", "socks5h://a:1080");
}

#[test]
fn what_names_no_usable_proxy_is_refused_by_its_variable_and_not_shown() {
    let check = |text: &str, expected: &'static str| {
        let error =
            proxy_rules(&[("all_proxy", text)]).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert_eq!(error, ConfigError::Proxy { named_by: "all_proxy", rule: expected }, "{text}");
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{text}");
    };
    for unreadable in [
        "not a url at all",
        "http://",
        "https://:3128",
        "http://user:SECRET@",
        "http://a:70000",
        "http://a:b",
        "http://a\tb:1",
        "http:a:3128",
        "${HTTPS_PROXY}",
        "%HTTPS_PROXY%",
        "http://user:SE/CRET@a:1",
        "socks5://",
        "socks5://:1080",
        "socks5://a b",
        "socks5://pröxy",
        "://a:1",
    ] {
        let expected = if unreadable.starts_with("://") { UNKNOWN_SCHEME } else { UNREADABLE };
        check(unreadable, expected);
    }
    for scheme in ["ftp://a:1", "socks6://a:1", "direct://", "file:///etc/proxy", "ws://a"] {
        check(scheme, UNKNOWN_SCHEME);
    }
    for more in [
        "http://a/proxy.pac",
        "http://a:1/?SECRET",
        "http://a:1#SECRET",
        "a:12/SECRET@b:1",
        "http://u:SE@CRET#@a:1",
    ] {
        check(more, NOT_ONLY_A_HOST);
    }
    check("socks4://user:SECRET@a", SOCKS4_PASSWORD);
    check("socks4a://user@a", SOCKS4_PASSWORD);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_named() {
    use std::os::unix::ffi::OsStringExt as _;
    let error = ProxyRules::from_environment(|_| Some(OsString::from_vec(vec![0xff]))).err();
    assert_eq!(error, Some(ConfigError::Proxy { named_by: "HTTPS_PROXY", rule: NO_TEXT }));
    let error = ProxyRules::from_environment(|name| match name {
        "ALL_PROXY" => Some("http://a:1".into()),
        "no_proxy" => Some(OsString::from_vec(vec![0xff])),
        _ => None,
    });
    let expected = ConfigError::Proxy { named_by: "no_proxy", rule: NO_TEXT };
    assert_eq!(error.err(), Some(expected));
}

#[test]
fn loopback_hosts_and_those_listed_are_reached_without_the_proxy_of_the_environment() {
    let check = |list: (&str, &str), target: &str, direct: bool| {
        let found = to(&[("ALL_PROXY", "http://a:1"), list], target);
        assert_eq!(found.is_none(), direct, "{list:?} {target}");
    };
    for here in ["http://localhost:1", "http://127.9.9.9:1", "http://[::1]", "https://localhost"] {
        check(("NO_PROXY", ""), here, true);
    }
    check(("NO_PROXY", ""), "https://localhost.example", false);
    for (list, direct) in [
        ("api.example", true),
        (".example", true),
        ("example", true),
        ("other, API.Example", true),
        ("*", true),
        ("pi.example", false),
        ("b.api.example", false),
        ("127.0.0.0/8", false),
    ] {
        check(("NO_PROXY", list), TARGET, direct);
        check(("no_proxy", list), TARGET, direct);
    }
    check(("NO_PROXY", "192.0.2.0/24"), "https://192.0.2.7:8443/x?y", true);
    check(("NO_PROXY", "2001:db8::/32"), "https://[2001:db8::1]", true);
    check(("NO_PROXY", "192.0.2.0/24"), "https://192.0.3.7", false);
}

#[test]
fn a_proxy_that_the_program_names_is_for_every_host() {
    let proxy_rules = ProxyRules::of(&ProxySetting::Url("a:1".into())).unwrap();
    for target in [TARGET, "http://127.0.0.1:9", "https://localhost"] {
        let shown = &proxy_rules.proxy_for(&target.parse().unwrap()).unwrap().shown;
        assert_eq!(shown.to_string(), "http://a:1 (from HttpApiBuilder::proxy)");
    }
    assert!(
        ProxyRules::of(&ProxySetting::None).unwrap().proxy_for(&TARGET.parse().unwrap()).is_none()
    );
    let error = ProxyRules::of(&ProxySetting::Url("ftp://SECRET".into())).err();
    let expected = ConfigError::Proxy { named_by: BUILDER, rule: UNKNOWN_SCHEME };
    assert_eq!(error, Some(expected));
}

proptest! {
    #[test]
    fn whatever_is_taken_is_a_proxy_for_the_http_library_too_and_hides_its_password(
        text in "(http|https|socks|socks4|socks5|socks5h|SOCKS5)://(u:SECRET@)?[a-z0-9.:%_\\[\\]-]{1,12}(:[0-9]{1,5})?/?|\\PC{0,24}",
    ) {
        if let Ok(proxy_rules) = proxy_rules(&[("HTTPS_PROXY", &text)])
            && let Some(proxy) = proxy_rules.proxy_for(&TARGET.parse().unwrap())
        {
            let read = Matcher::builder().all(proxy.url.as_str().to_owned()).build();
            prop_assert!(read.intercept(&Uri::from_static(TARGET)).is_some());
            prop_assert!(!proxy.shown.to_string().contains("SECRET"), "{}", proxy.shown);
        }
    }
}
