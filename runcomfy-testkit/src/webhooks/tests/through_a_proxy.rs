//! A proxy of the environment is not used for local receivers and not bypassed for others.

use std::process::Command;

use super::*;

/// Set in the child process that runs this test with a proxy in its environment.
const INSIDE: &str = "WEBHOOKS_BEHIND_A_PROXY";
const THIS_TEST: &str =
    "webhooks::tests::through_a_proxy::a_receiver_on_this_machine_is_called_directly";

#[test]
fn a_receiver_on_this_machine_is_called_directly() {
    if std::env::var_os(INSIDE).is_some() {
        return deliver_here();
    }
    // A port without a listener.
    const NO_PROXY_AT_ALL: &str = "http://127.0.0.1:9";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", THIS_TEST])
        .env(INSIDE, "1")
        .env("HTTP_PROXY", NO_PROXY_AT_ALL)
        .env("http_proxy", NO_PROXY_AT_ALL)
        .env("ALL_PROXY", NO_PROXY_AT_ALL)
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn deliver_here() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut receiver = Receiver::start([]).await;
        let webhooks = webhooks(quick());
        let mut by_name = receiver.url("/by-name");
        by_name.set_host(Some("localhost")).unwrap();
        webhooks.deliver(delivery("R", receiver.url("/by-number"), json!(1)));
        webhooks.deliver(delivery("R", by_name, json!(2)));
        for target in ["/by-number", "/by-name"] {
            assert_eq!(receiver.called().await.target, target);
        }
        let counts = counts(&webhooks, |counts| counts.waiting == 0).await;
        assert_eq!(counts, Counts { attempts: 2, delivered: 2, ..Counts::default() });
    });
}

#[test]
fn a_proxy_that_cant_be_read_is_not_gone_around() {
    const THIS_TEST: &str =
        "webhooks::tests::through_a_proxy::a_proxy_that_cant_be_read_is_not_gone_around";
    if std::env::var_os(INSIDE).is_some() {
        let clients = Clients::new(Duration::from_secs(5)).unwrap();
        assert!(clients.of(&"https://receiver.example".parse().unwrap()).is_none());
        return deliver_here();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", THIS_TEST])
        .env(INSIDE, "1")
        .env("HTTPS_PROXY", "not a url at all")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
