//! Tests of deliveries to a local receiver.

use std::time::Duration;

use runcomfy_core::DeploymentId;
use serde_json::json;
use tokio::net::TcpSocket;

use super::*;

mod receiver;
mod through_a_proxy;

use receiver::{Answer, Receiver, soon};

/// Delays of milliseconds.
fn quick() -> WebhookOptions {
    WebhookOptions {
        acknowledged_within: Duration::from_secs(5),
        first_delay: Duration::from_millis(5),
        longest_delay: Duration::from_millis(20),
        gives_up_after: Duration::from_secs(30),
        ..WebhookOptions::default()
    }
}

fn webhooks(options: WebhookOptions) -> Webhooks {
    Webhooks::new(options).unwrap()
}

fn delivery(request: &str, url: Url, payload: Value) -> Delivery {
    Delivery { request_id: RequestId::new(request).unwrap(), url, payload, settled: None }
}

/// Waits for these counters. Fails with the last ones.
async fn counts(webhooks: &Webhooks, wanted: impl Fn(&Counts) -> bool) -> Counts {
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    let reached = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            looks.tick().await;
            let counts = webhooks.counts();
            if wanted(&counts) {
                return counts;
            }
        }
    });
    reached.await.unwrap_or_else(|_| panic!("{:?}", webhooks.counts()))
}

#[tokio::test]
async fn a_receiver_gets_the_documented_payloads_in_order() {
    let mut receiver = Receiver::start([]).await;
    let webhooks = webhooks(quick());
    let (request, deployment) = (RequestId::new("R").unwrap(), DeploymentId::new("D").unwrap());
    let outputs = json!({"9": {"images": []}});
    let states = [
        WebhookState::InQueue,
        WebhookState::InProgress,
        WebhookState::Succeeded { created_at: "T1", finished_at: "T2", outputs: &outputs },
    ];
    let payloads = states.map(|state| payload(&request, &deployment, state));
    for payload in &payloads {
        webhooks.deliver(delivery("R", receiver.url("/hook?key=1"), payload.clone()));
    }
    for payload in payloads {
        let call = receiver.called().await;
        assert_eq!(call.target, "/hook?key=1");
        assert_eq!(call.headers["content-type"], "application/json");
        assert!(!call.headers.contains_key("authorization"));
        assert_eq!(call.body, payload.to_string());
    }
    let counts = counts(&webhooks, |counts| counts.waiting == 0).await;
    assert_eq!(counts, Counts { attempts: 3, delivered: 3, ..Counts::default() });
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_before_what_comes_after_it() {
    let no = Answer::Status(500);
    let elsewhere = Answer::Redirect("/elsewhere");
    let mut receiver =
        Receiver::start([no, elsewhere, Answer::Status(404), Answer::Status(204)]).await;
    let webhooks = webhooks(quick());
    for state in ["first", "second"] {
        webhooks.deliver(delivery("R", receiver.url("/"), json!(state)));
    }
    for expected in ["first", "first", "first", "first", "second"] {
        let call = receiver.called().await;
        assert_eq!((call.target.as_str(), call.body), ("/", json!(expected).to_string()));
    }
    let counts = counts(&webhooks, |counts| counts.waiting == 0).await;
    assert_eq!(counts, Counts { attempts: 5, delivered: 2, retried: 3, ..Counts::default() });
}

#[tokio::test]
async fn one_that_does_not_answer_in_time_is_called_again() {
    let mut receiver = Receiver::start([Answer::Never]).await;
    let acknowledged_within = Duration::from_millis(200);
    let webhooks = webhooks(WebhookOptions { acknowledged_within, ..quick() });
    webhooks.deliver(delivery("R", receiver.url("/"), json!(1)));
    receiver.called().await;
    receiver.called().await;
    counts(&webhooks, |counts| counts.delivered == 1).await;
}

#[tokio::test]
async fn one_that_is_not_there_yet_is_called_until_it_is() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap()).parse().unwrap();
    let webhooks = webhooks(quick());
    webhooks.deliver(delivery("R", url, json!(1)));
    // Bound but not listening, so connections are refused.
    counts(&webhooks, |counts| counts.retried >= 2).await;
    let mut receiver = Receiver::over(socket.listen(8).unwrap(), []);
    receiver.called().await;
    counts(&webhooks, |counts| counts.delivered == 1).await;
}

#[tokio::test]
async fn one_that_never_acknowledges_is_given_up_and_the_next_state_told() {
    let mut receiver = Receiver::start([Answer::Status(500), Answer::Status(500)]).await;
    // Enough time for two attempts but not for three.
    let first_delay = Duration::from_millis(400);
    let webhooks = webhooks(WebhookOptions {
        first_delay,
        longest_delay: first_delay,
        gives_up_after: first_delay * 19 / 10,
        ..quick()
    });
    for state in [1, 2] {
        webhooks.deliver(delivery("R", receiver.url("/"), json!(state)));
    }
    for expected in ["1", "1", "2"] {
        assert_eq!(receiver.called().await.body, expected);
    }
    let counts = counts(&webhooks, |counts| counts.waiting == 0).await;
    let expected =
        Counts { attempts: 3, delivered: 1, retried: 1, given_up: 1, ..Counts::default() };
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn copies_are_sent_beside_their_original_even_if_it_took_two_attempts() {
    let mut receiver = Receiver::start([Answer::Status(503)]).await;
    let webhooks = webhooks(WebhookOptions { copies: 3, ..quick() });
    for state in [1, 2] {
        webhooks.deliver(delivery("R", receiver.url("/"), json!(state)));
    }
    for expected in ["1", "1", "1", "1", "2", "2", "2"] {
        assert_eq!(receiver.called().await.body, expected);
    }
    let counts = counts(&webhooks, |counts| counts.duplicates == 4).await;
    let expected =
        Counts { attempts: 7, delivered: 2, retried: 1, duplicates: 4, ..Counts::default() };
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn a_request_that_waits_holds_no_other_up() {
    let mut slow = Receiver::start([Answer::Never]).await;
    let mut receiver = Receiver::start([]).await;
    let webhooks = webhooks(quick());
    webhooks.deliver(delivery("slow", slow.url("/"), json!(0)));
    slow.called().await;
    for number in 0..20 {
        webhooks.deliver(delivery("quick", receiver.url("/"), json!(number)));
        webhooks.deliver(delivery("slow", slow.url("/"), json!(number)));
    }
    for number in 0..20 {
        assert_eq!(receiver.called().await.body, number.to_string());
    }
    assert_eq!(counts(&webhooks, |counts| counts.delivered == 20).await.attempts, 21);
}

#[tokio::test]
async fn never_more_receivers_are_called_at_once_than_asked_for() {
    let mut receiver = Receiver::start([Answer::WhenReleased; 3]).await;
    let webhooks = webhooks(WebhookOptions { at_once: 3, ..quick() });
    for number in 0..200 {
        webhooks.deliver(delivery(&format!("R{number}"), receiver.url("/"), json!(number)));
    }
    for _ in 0..3 {
        receiver.called().await;
    }
    receiver.release();
    let counts = counts(&webhooks, |counts| counts.delivered == 200).await;
    assert_eq!(counts.attempts, 200);
    assert_eq!(receiver.most_at_once(), 3);
}

#[tokio::test]
async fn one_that_waits_to_be_tried_again_holds_no_place() {
    let mut failing = Receiver::start([Answer::Status(500)]).await;
    let mut receiver = Receiver::start([]).await;
    let an_hour = Duration::from_secs(3600);
    let options =
        WebhookOptions { at_once: 1, first_delay: an_hour, longest_delay: an_hour, ..quick() };
    let webhooks = webhooks(WebhookOptions { gives_up_after: an_hour * 24, ..options });
    webhooks.deliver(delivery("R1", failing.url("/"), json!(1)));
    failing.called().await;
    webhooks.deliver(delivery("R2", receiver.url("/"), json!(2)));
    receiver.called().await;
}

#[tokio::test]
async fn an_answer_without_end_is_not_listened_to() {
    let mut receiver = Receiver::start([Answer::Endless, Answer::Stalled]).await;
    let webhooks = webhooks(quick());
    for state in [1, 2, 3] {
        webhooks.deliver(delivery("R", receiver.url("/"), json!(state)));
        assert_eq!(receiver.called().await.body, state.to_string());
    }
    assert_eq!(counts(&webhooks, |counts| counts.delivered == 3).await.attempts, 3);
    // The system's socket buffers hold more than what is read.
    assert!(receiver.sent() < 16 << 20, "{}", receiver.sent());
}

#[tokio::test]
async fn stopping_waits_for_no_receiver_and_no_retry() {
    let mut silent = Receiver::start([Answer::Never]).await;
    let failing = Receiver::start([Answer::Status(500)]).await;
    let webhooks = webhooks(WebhookOptions {
        acknowledged_within: Duration::from_secs(3600),
        first_delay: Duration::from_secs(3600),
        longest_delay: Duration::from_secs(3600),
        gives_up_after: Duration::MAX,
        ..quick()
    });
    webhooks.deliver(delivery("R1", silent.url("/"), json!(1)));
    webhooks.deliver(delivery("R2", failing.url("/"), json!(2)));
    silent.called().await;
    counts(&webhooks, |counts| counts.attempts == 2).await;
    soon(webhooks.stop()).await;
    webhooks.deliver(delivery("R3", failing.url("/"), json!(3)));
    soon(webhooks.stop()).await;
    assert_eq!(webhooks.counts(), Counts { attempts: 2, waiting: 3, ..Counts::default() });
}

#[tokio::test]
async fn the_last_handle_takes_the_deliveries_with_it() {
    let mut silent = Receiver::start([Answer::Never]).await;
    let acknowledged_within = Duration::from_secs(3600);
    let webhooks = webhooks(WebhookOptions { acknowledged_within, ..quick() });
    webhooks.deliver(delivery("R", silent.url("/"), json!(1)));
    silent.called().await;
    let tasks = webhooks.shared.tasks.clone();
    tasks.close();
    drop(webhooks.clone());
    assert_eq!(tasks.len(), 1);
    drop(webhooks);
    soon(tasks.wait()).await;
}

#[tokio::test]
async fn receivers_that_may_not_be_called_are_not() {
    let mut receiver = Receiver::start([]).await;
    let port = receiver.url("/").port().unwrap();
    let only_https = webhooks(WebhookOptions { allow_http: false, ..quick() });
    let only_public = webhooks(WebhookOptions { allow_private: false, ..quick() });
    only_https.deliver(delivery("R", receiver.url("/"), json!(1)));
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/").parse().unwrap();
        only_public.deliver(delivery("R", url, json!(1)));
    }
    let refused = |refused| Counts { refused, ..Counts::default() };
    assert_eq!(counts(&only_https, |counts| counts.waiting == 0).await, refused(1));
    assert_eq!(counts(&only_public, |counts| counts.waiting == 0).await, refused(3));
    // The first call is from the one that is allowed.
    let all = webhooks(quick());
    all.deliver(delivery("R", receiver.url("/"), json!("allowed")));
    assert_eq!(receiver.called().await.body, "\"allowed\"");
}
