//! The proxy on the way out: it is used where one is named, named where it fails, and never gone around.

use std::{error::Error as _, net::SocketAddr, process::Command, time::Duration};

use runcomfy_core::{
    Error, ErrorKind, HttpApi, RunComfyApi as _, Token,
    client::{ConfigError, DownloadError, HttpApiBuilder, Timeouts},
    deployment::ListDeployments,
    error::{Operation, Outcome},
};
use serde_json::json;

use crate::{
    canned::{Canned, Reply, TOKEN, builder},
    proxy_server::{Manner, ProxyServer},
    refusals::fail,
};

/// Resolves nowhere: who gets there was led by a proxy.
const ELSEWHERE: &str = "https://api.invalid";

const UNAVAILABLE: ErrorKind = ErrorKind::ProxyUnavailable;
const UNUSABLE: ErrorKind = ErrorKind::ProxyUnusable;

/// Basic, of `user:SECRET@`.
const BASIC: &str = "Basic dXNlcjpTRUNSRVRA";

fn quick(url: &str) -> HttpApiBuilder {
    builder(url).timeouts(Timeouts::default()).token(Token::new(TOKEN).unwrap())
}

/// A client that does not wait for long where nothing comes.
fn impatient(url: &str) -> HttpApiBuilder {
    let mut timeouts = Timeouts::default();
    timeouts.connect = Duration::from_millis(100);
    quick(url).timeouts(timeouts)
}

/// What names the proxy can't be used here, where the environment is the same for all tests.
async fn lists_through(proxy: &str, target: &Canned) {
    let api = target.builder().token(Token::new(TOKEN).unwrap()).proxy(proxy).build().unwrap();
    api.list_deployments(&ListDeployments::all()).await.unwrap();
    assert_eq!(target.only().header("authorization"), Some(format!("Bearer {TOKEN}")));
}

async fn target() -> (Canned, SocketAddr) {
    let target = Canned::start([Reply::json(200, &json!([]))]).await;
    let address = target.url()[7..].parse().unwrap();
    (target, address)
}

#[tokio::test]
async fn a_call_goes_through_the_proxy_that_the_program_names() {
    let socks5 = Manner::Socks5 { wants: None };
    let login = Manner::Socks5 { wants: Some(("user", "SECRET@")) };
    let basic = Manner::Http { wants: Some(BASIC) };
    let ways = [
        ("http://", Manner::Http { wants: None }),
        ("", Manner::Http { wants: None }),
        ("http://user:SECRET%40@", basic),
        ("socks5://", socks5.clone()),
        ("socks5h://", socks5.clone()),
        ("socks://", socks5),
        ("socks5h://user:SECRET%40@", login),
        ("socks4://", Manner::Socks4Replies(90)),
        ("socks4a://", Manner::Socks4Replies(90)),
    ];
    for (start, manner) in ways {
        let tunnels = !matches!(manner, Manner::Http { .. });
        let (target, address) = target().await;
        let proxy = ProxyServer::start(manner, address).await;
        lists_through(&proxy.url(start), &target).await;
        let expected = match tunnels {
            true => address.to_string(),
            false => format!("GET {}/prod/v2/deployments", target.url()),
        };
        assert_eq!(proxy.asked(), [expected], "{start}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_by_the_proxy_unless_it_is_one_that_leaves_that_to_this_machine() {
    for (start, manner) in
        [("socks5h://", Manner::Socks5 { wants: None }), ("socks4a://", Manner::Socks4Replies(90))]
    {
        let (_target, address) = target().await;
        let proxy = ProxyServer::start(manner, address).await;
        let api = quick(&format!("http://localhost:{}", address.port()));
        let api = api.proxy(&proxy.url(start)).build().unwrap();
        api.list_deployments(&ListDeployments::all()).await.unwrap();
        assert_eq!(proxy.asked(), [format!("localhost:{}", address.port())], "{start}");
    }
    for start in ["socks5://", "socks4://"] {
        let proxy = ProxyServer::start(Manner::Silent, target().await.1).await;
        let api = quick(ELSEWHERE).proxy(&proxy.url(start)).build().unwrap();
        let error = fail(&api, Operation::GetRequestStatus).await;
        check(&api, &error, UNAVAILABLE, start);
    }
}

/// What is said of a proxy that fails, and nothing else is.
#[track_caller]
fn check(api: &HttpApi, error: &Error, kind: ErrorKind, name: &str) {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(" {inner} {inner:?}");
        cause = inner.source();
    }
    let passing = kind == UNAVAILABLE;
    let tries = if passing { 3 } else { 1 };
    assert_eq!(
        (error.kind(), error.outcome(), error.attempts(), error.is_retryable()),
        (kind, Outcome::NotSent, tries, passing),
        "{name}: {text}"
    );
    let shown = api.outbound_proxy().unwrap().to_string();
    assert!(error.message().is_some_and(|message| message.contains(&shown)), "{name}: {text}");
    assert!(!text.contains("SECRET"), "{name}: {text}");
}

#[tokio::test]
async fn a_proxy_that_does_not_let_through_is_named_and_not_gone_around() {
    let http = |status: &'static str| Manner::Says(status.as_bytes());
    let wants = || Manner::Http { wants: Some(BASIC) };
    let login = || Manner::Socks5 { wants: Some(("user", "SECRET@")) };
    let cases = [
        ("http://", wants(), UNUSABLE),
        ("http://user:SECRET@", wants(), UNUSABLE),
        ("http://", http("HTTP/1.1 403 No\r\n\r\n"), UNAVAILABLE),
        ("http://", http("HTTP/1.1 502 Bad Gateway\r\n\r\n"), UNAVAILABLE),
        ("http://", http("HTTP/1.1 200"), UNAVAILABLE),
        ("http://", http("what?"), UNAVAILABLE),
        ("http://", http(""), UNAVAILABLE),
        ("http://", Manner::Silent, UNAVAILABLE),
        ("https://", http("HTTP/1.1 400 This is no TLS\r\n\r\n"), UNUSABLE),
        ("https://", Manner::Silent, UNAVAILABLE),
        ("socks5h://", login(), UNUSABLE),
        ("socks5h://user:SECRET@", login(), UNUSABLE),
        ("socks5h://user:SECRET@", Manner::Socks5 { wants: None }, UNUSABLE),
        ("socks5h://", Manner::Socks5Replies(1), UNAVAILABLE),
        ("socks5h://", Manner::Socks5Replies(2), UNUSABLE),
        ("socks5h://", Manner::Socks5Replies(3), UNAVAILABLE),
        ("socks5h://", Manner::Socks5Replies(4), UNAVAILABLE),
        ("socks5h://", Manner::Socks5Replies(5), UNAVAILABLE),
        ("socks5h://", Manner::Socks5Replies(6), UNAVAILABLE),
        ("socks5h://", Manner::Socks5Replies(7), UNUSABLE),
        ("socks5h://", Manner::Socks5Replies(8), UNUSABLE),
        ("socks5h://", http("HTTP/1.1 400 Bad Request\r\n\r\n"), UNUSABLE),
        ("socks5h://", http(""), UNAVAILABLE),
        ("socks5h://", Manner::Silent, UNAVAILABLE),
        ("socks4a://", Manner::Socks4Replies(91), UNAVAILABLE),
        ("socks4a://", Manner::Socks4Replies(93), UNUSABLE),
    ];
    for (number, (start, manner, kind)) in cases.into_iter().enumerate() {
        for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
            let (target, address) = target().await;
            let proxy = ProxyServer::start(manner.clone(), address).await;
            let silent = matches!(manner, Manner::Silent);
            let api = if silent { impatient(ELSEWHERE) } else { quick(ELSEWHERE) };
            let api = api.proxy(&proxy.url(start)).build().unwrap();
            let error = fail(&api, operation).await;
            check(&api, &error, kind, &format!("{number} {start}"));
            assert_eq!(target.connections(), 0, "{number} {start}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_and_not_gone_around() {
    for start in ["http://", "https://", "socks5h://", "socks4a://"] {
        for target in [ELSEWHERE.to_owned(), target().await.0.url()] {
            // Nothing listens on port 9, and the name is nobody's.
            for host in ["127.0.0.1:9", "proxy.invalid:1"] {
                let api = quick(&target).proxy(&format!("{start}{host}")).build().unwrap();
                let error = fail(&api, Operation::SubmitRequest).await;
                check(&api, &error, UNAVAILABLE, &format!("{start}{host} {target}"));
            }
        }
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_says_so_where_it_is_no_tunnel_too() {
    let (target, address) = target().await;
    let proxy = ProxyServer::start(Manner::Http { wants: Some(BASIC) }, address).await;
    let api = quick(&target.url()).proxy(&proxy.url("http://user:SECRET@")).build().unwrap();
    let error = fail(&api, Operation::SubmitRequest).await;
    check(&api, &error, UNUSABLE, "407");
    let error = api.download(&format!("{}/file", target.url()), 9).await.unwrap_err();
    assert!(matches!(error, DownloadError::Proxy { .. }), "{error:?}");
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_file_comes_through_the_proxy_or_not_at_all() {
    let files = Canned::start([Reply::with(200, &[], "file")]).await;
    let address = files.url()[7..].parse().unwrap();
    let url = format!("{}/file", files.url());
    let open = ProxyServer::start(Manner::Socks5 { wants: None }, address).await;
    let api = files.builder().proxy(&open.url("socks5h://")).build().unwrap();
    assert_eq!(api.download(&url, 9).await.unwrap().bytes, b"file");
    assert_eq!(open.asked(), [address.to_string()]);

    let closed = ProxyServer::start(Manner::Http { wants: Some(BASIC) }, address).await;
    let shown = |api: &HttpApi| api.outbound_proxy().unwrap().to_string();
    let api = quick(ELSEWHERE).proxy(&closed.url("http://user:SECRET@")).build().unwrap();
    let error = api.download("https://files.invalid/x?sig=SECRET", 9).await.unwrap_err();
    let DownloadError::Proxy { message, .. } = &error else { panic!("{error:?}") };
    assert!(
        message.contains(&shown(&api)) && !format!("{error:?}").contains("SECRET"),
        "{error:?}"
    );
    assert_eq!(closed.asked(), ["CONNECT files.invalid:443"]);
}

#[test]
fn a_proxy_that_the_program_names_and_that_cant_be_read_is_refused_when_the_client_is_made() {
    for url in ["", "not a url at all", "http://", "ftp://a", "http://u:SECRET#@a"] {
        let error = HttpApi::builder().proxy(url).build().unwrap_err();
        let ConfigError::Proxy { named_by: "HttpApiBuilder::proxy", .. } = error else {
            panic!("{error:?}")
        };
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    }
}

/// Runs this test once more, in a process that has these variables.
fn in_environment(test: &str, variables: &[(&str, &str)]) {
    let mut again = Command::new(std::env::current_exe().unwrap());
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        again.env_remove(name);
    }
    again.args(["--exact", &format!("proxies::{test}")]).env(INSIDE, "1");
    let output = again.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{variables:?} {text}");
}

/// Set in the process whose environment names a proxy.
const INSIDE: &str = "RUNCOMFY_TEST_BEHIND_A_PROXY";

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

#[test]
fn a_proxy_of_the_environment_that_cant_be_read_fails_what_would_need_it() {
    if !is_inside() {
        for unusable in ["not a url at all", "http://", "ftp://user:SECRET@a"] {
            in_environment(
                "a_proxy_of_the_environment_that_cant_be_read_fails_what_would_need_it",
                &[("HTTPS_PROXY", unusable)],
            );
        }
        return;
    }
    let error = HttpApi::builder().build().unwrap_err();
    assert!(matches!(error, ConfigError::Proxy { named_by: "HTTPS_PROXY", .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("SECRET"));
    HttpApi::builder().system_proxy(false).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Here no proxy is needed, but for files from elsewhere.
        let (target, _) = target().await;
        let api = target.api();
        assert_eq!(api.outbound_proxy(), None);
        api.list_deployments(&ListDeployments::all()).await.unwrap();
        let error = api.download("https://127.1.invalid/x", 9).await.unwrap_err();
        let DownloadError::Proxy { message, .. } = &error else { panic!("{error:?}") };
        assert!(message.contains("HTTPS_PROXY") && !message.contains("SECRET"), "{message}");
    });
}

#[test]
fn a_proxy_of_the_environment_is_used_but_for_this_machine() {
    if !is_inside() {
        in_environment(
            "a_proxy_of_the_environment_is_used_but_for_this_machine",
            &[("ALL_PROXY", "socks5h://127.0.0.1:9"), ("HTTP_PROXY", "http://127.0.0.1:9")],
        );
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let api = quick(ELSEWHERE).build().unwrap();
        assert_eq!(
            api.outbound_proxy().unwrap().to_string(),
            "socks5h://127.0.0.1:9 (from ALL_PROXY)"
        );
        check(&api, &fail(&api, Operation::SubmitRequest).await, UNAVAILABLE, "ALL_PROXY");
        let (target, _) = target().await;
        let api = target.api();
        assert_eq!(api.outbound_proxy(), None);
        api.list_deployments(&ListDeployments::all()).await.unwrap();
        // Without it the name is looked up here, where nobody knows it.
        let api = quick(ELSEWHERE).system_proxy(false).build().unwrap();
        assert_eq!(api.outbound_proxy(), None);
        let error = fail(&api, Operation::SubmitRequest).await;
        assert_eq!(error.kind(), ErrorKind::UpstreamUnavailable);
    });
}

#[test]
fn a_proxy_for_http_alone_is_not_used_for_this_machine() {
    if !is_inside() {
        in_environment(
            "a_proxy_for_http_alone_is_not_used_for_this_machine",
            &[("HTTP_PROXY", "http://127.0.0.1:9"), ("http_proxy", "http://127.0.0.1:9")],
        );
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (target, _) = target().await;
        target.api().list_deployments(&ListDeployments::all()).await.unwrap();
    });
}
