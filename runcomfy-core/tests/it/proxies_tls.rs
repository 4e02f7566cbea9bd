//! TLS by way of a proxy: end to end with the service, whoever stands in between.

use std::{net::SocketAddr, sync::atomic::Ordering};

use runcomfy_core::{
    Error, ErrorKind, HttpApi, InferenceRequest, RunComfyApi as _,
    error::{Operation, Outcome},
};

use crate::{
    canned::{TOKEN, builder},
    endpoints::{d1, r1},
    proxy_server::{Manner, ProxyServer},
    refusals::fail,
    tls::{Peer, Talk, leaf, trusted_by},
};

/// Resolves nowhere: who gets there was led by a proxy.
const NAME: &str = "api.invalid";

fn address(peer: &Peer) -> SocketAddr {
    peer.url.trim_start_matches("https://").parse().unwrap()
}

fn through(proxy: &str) -> HttpApi {
    let timeouts = runcomfy_core::client::Timeouts::default();
    let builder = builder(&format!("https://{NAME}")).timeouts(timeouts).proxy(proxy);
    builder.token(TOKEN.parse().unwrap()).build().unwrap()
}

fn open() -> Manner {
    Manner::Http { wants: None }
}

#[test]
fn calls_go_through_each_kind_of_proxy_with_tls_from_end_to_end() {
    let Some(key) = trusted_by(concat!(
        "proxies_tls::",
        "calls_go_through_each_kind_of_proxy_with_tls_from_end_to_end"
    )) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tls = |name: &str| Talk::tls(&leaf(name), Some(&key));
        let Talk::Tls(proxys_own) = tls("127.0.0.1") else { panic!() };
        let Talk::Tls(untrusted) = Talk::tls(&leaf("127.0.0.1"), None) else { panic!() };
        let ways = [
            ("http://", open(), None),
            ("https://", open(), Some(proxys_own)),
            ("socks5h://", Manner::Socks5 { wants: None }, None),
            ("socks4a://", Manner::Socks4Replies(90), None),
        ];
        for (start, manner, proxys_own) in ways {
            let connect = if start.starts_with("http") { "CONNECT " } else { "" };
            let connect = format!("{connect}{NAME}:443");
            let peer = Peer::start(tls(NAME)).await;
            let proxy = ProxyServer::over(manner, address(&peer), proxys_own).await;
            let api = through(&proxy.url(start));
            api.get_request_status(&d1(), &r1()).await.unwrap();
            api.submit_request(&InferenceRequest::new(d1())).await.unwrap();
            api.submit_request(&InferenceRequest::new(d1())).await.unwrap();
            // A paid call opens a connection of its own, there too.
            assert_eq!(proxy.asked(), [connect.as_str(); 3], "{start}");
            assert_eq!(peer.requests.load(Ordering::Relaxed), 3, "{start}");
        }

        let peer = Peer::start(tls(NAME)).await;
        let proxy = ProxyServer::over(open(), address(&peer), Some(untrusted)).await;
        let api = through(&proxy.url("https://"));
        let error = fail(&api, Operation::SubmitRequest).await;
        check(&api, &error, ErrorKind::ProxyUnusable, 1);
        assert_eq!(peer.connections.load(Ordering::Relaxed), 0);

        // The proxy does what it should: it is not the one to blame, but named.
        let peer = Peer::start(tls("another.invalid")).await;
        let proxy = ProxyServer::start(open(), address(&peer)).await;
        let api = through(&proxy.url("http://"));
        let error = fail(&api, Operation::SubmitRequest).await;
        check(&api, &error, ErrorKind::UpstreamTls, 1);
        assert_eq!(peer.requests.load(Ordering::Relaxed), 0);
    });
}

#[tokio::test]
async fn what_breaks_behind_a_proxy_that_lets_through_is_not_its_fault_but_names_it() {
    for (start, manner) in [("http://", open()), ("socks5h://", Manner::Socks5 { wants: None })] {
        for (talk, kind, tries) in [
            (Talk::End, ErrorKind::UpstreamUnavailable, 3),
            (Talk::Bytes(b"HTTP/1.1 400 No\r\n\r\n".to_vec()), ErrorKind::UpstreamTls, 1),
        ] {
            let peer = Peer::start(talk).await;
            let proxy = ProxyServer::start(manner.clone(), address(&peer)).await;
            let api = through(&proxy.url(start));
            check(&api, &fail(&api, Operation::SubmitRequest).await, kind, tries);
        }
    }
}

#[track_caller]
fn check(api: &HttpApi, error: &Error, kind: ErrorKind, tries: u32) {
    let got = (error.kind(), error.outcome(), error.attempts());
    assert_eq!(got, (kind, Outcome::NotSent, tries), "{error:?}");
    let shown = api.outbound_proxy().unwrap().to_string();
    assert!(error.message().is_some_and(|message| message.contains(&shown)), "{error}");
}
