//! Texts that others wrote: what is shown of them, and where one may lead RunComfy.

use runcomfy_core::internals::fuzz::assert_brief;
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::{config::WebhookHosts, policy, sanitize};

/// A text, and as JSON a result: what is shown has nothing that hides, and is no longer than it may be.
pub(super) fn clean(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let shown = sanitize::clean(&text);
    assert!(is_clean(&shown), "{shown:?}");
    assert_eq!(sanitize::clean(&shown), shown, "cleaned once more");
    // Nothing that can be seen goes, but for a terminal's commands.
    if !text.contains(['\u{1b}', '\u{9b}']) {
        let seen = |text: &str| text.chars().filter(|c| is_fit(*c)).collect::<String>();
        assert_eq!(seen(&text), seen(&shown), "{shown:?} of {text:?}");
    }
    let Ok(of_others) = serde_json::from_slice::<Value>(bytes) else { return };
    // What stands above is the server's own.
    let mut payload = Map::from_iter([("response".to_owned(), of_others)]);
    let before = payload.clone();
    let changes = sanitize::prepare(&mut payload);
    check("", &Value::Object(payload.clone()));
    let written = Value::Object(payload.clone()).to_string();
    assert!(written.len() <= sanitize::MAX_RESULT_BYTES);
    let touched = changes.removed > 0 || changes.truncated;
    assert!(touched || before == payload, "changed without a word: {written}");
}

fn is_fit(c: char) -> bool {
    // Said again in other words, so that a fault in one shows.
    let tags = 0xe0000..=0xe007f;
    let hides = "\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\
                 \u{2061}\u{2062}\u{2063}\u{2064}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}";
    let plain = !c.is_control() || c == '\n' || c == '\t';
    plain && !hides.contains(c) && !tags.contains(&u32::from(c))
}

/// Nothing hides in it: a joiner is behind a letter or emoji that may need it, and there is one.
fn is_clean(text: &str) -> bool {
    let joins = |c| matches!(c, '\u{200c}' | '\u{200d}');
    let mut before = ' ';
    text.chars().all(|c| {
        let last = std::mem::replace(&mut before, c);
        is_fit(c) || joins(c) && u32::from(last) > 0x7f && is_fit(last)
    })
}

/// Names and addresses of files aside, which lead elsewhere when they are changed, and are shown as data only.
fn check(key: &str, value: &Value) {
    match value {
        Value::String(text) => {
            let file = ["url", "filename", "subfolder"].contains(&key) || key.ends_with("_url");
            assert!(file || is_clean(text), "{key}: {text:?}");
        }
        Value::Array(items) => items.iter().for_each(|item| check(key, item)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            assert!(is_clean(key), "{key:?}");
            check(key, value);
        }),
        _ => {}
    }
}

/// An address to report to: what is taken leads to the internet at large, encrypted, and is what it looks
/// like.
pub(super) fn webhook(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let url = match policy::webhook(&text, &WebhookHosts::Public) {
        Ok(url) => url,
        Err(refused) => {
            let said = format!("{refused:?}");
            return assert_brief(&said, bytes);
        }
    };
    assert_eq!((url.scheme(), url.username(), url.password()), ("https", "", None), "{url}");
    assert_eq!(Url::parse(url.as_str()).as_ref(), Ok(&url), "reads otherwise when it is sent");
    assert!(matches!(url.port(), None | Some(1024..)), "{url}");
    match url.host() {
        Some(Host::Ipv4(address)) => {
            let wrong = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || matches!(address.octets(), [0 | 240.., ..] | [100, 64..=127, ..]);
            assert!(!wrong, "{url}");
        }
        Some(Host::Ipv6(address)) => {
            // Global unicast, and no address of the old kind within.
            let [first, ..] = address.segments();
            let wrong = first & 0xe000 != 0x2000 || first == 0x2002;
            assert!(!wrong && address.to_ipv4().is_none(), "{url}");
        }
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            assert!(name.contains('.') && name.is_ascii(), "{url}");
            let top = name.rsplit('.').next().unwrap_or_default();
            assert!(!["localhost", "internal", "local"].contains(&top), "{url}");
        }
        None => panic!("nowhere: {url}"),
    }
    // An operator who names hosts lets no other in.
    let named = WebhookHosts::Only(vec!["hooks.example.com".to_owned()]);
    if let Ok(url) = policy::webhook(&text, &named) {
        let host = url.host_str().unwrap_or_default();
        assert_eq!(host.trim_end_matches('.'), "hooks.example.com");
    }
}
