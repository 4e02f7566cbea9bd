//! Outages over a socket: how many tries there are in all, and whose they are.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use runcomfy_core::{
    ErrorKind, HttpApi, RunComfyApi as _,
    client::{Attempt, Observer},
    error::Operation,
    retry::RetryPolicy,
};
use serde_json::json;

use crate::{
    canned::{Canned, Reply, TOKEN},
    endpoints::{d1, r1},
    refusals::fail,
};

fn api(server: &Canned, refill_per_second: u32) -> HttpApi {
    let mut retry = RetryPolicy::default();
    retry.base = Duration::from_millis(1);
    retry.budget.refill_per_second = refill_per_second;
    server.builder().retry(retry).token(TOKEN.parse().unwrap()).build().unwrap()
}

#[tokio::test]
async fn an_outage_is_not_amplified_and_the_error_says_when_to_come_back() {
    const CALLS: usize = 50;
    let server = Canned::start(vec![Reply::with(503, &[], ""); CALLS * 3]).await;
    let api = api(&server, 1);
    let mut last = None;
    for _ in 0..CALLS {
        // A handle for each call, as a server makes them.
        let api = api.with_token(TOKEN.parse().unwrap());
        last = Some(fail(&api, Operation::GetRequestStatus).await);
    }
    assert!(server.seen().len() <= CALLS * 12 / 10, "{}", server.seen().len());
    let last = last.unwrap();
    assert_eq!((last.kind(), last.attempts()), (ErrorKind::UpstreamUnavailable, 1));
    assert!(last.is_retryable());
    let wait = last.retry_after().unwrap();
    assert!((Duration::from_millis(1)..=Duration::from_secs(14)).contains(&wait), "{wait:?}");
}

#[tokio::test]
async fn another_caller_has_tries_of_their_own_and_successes_bring_them_back() {
    let down = || Reply::with(503, &[], "");
    let up = || Reply::json(200, &json!({"request_id": "r1", "status": "in_queue"}));
    let server = Canned::start(vec![down(); 9 + 3]).await;
    let one = api(&server, 0);
    let other = one.with_token("other".parse().unwrap());
    for tries in [3, 2, 1] {
        assert_eq!(fail(&one, Operation::GetRequestStatus).await.attempts(), tries);
    }
    assert_eq!(fail(&other, Operation::GetRequestStatus).await.attempts(), 3);
    let server = Canned::start(
        std::iter::repeat_with(down)
            .take(6)
            .chain(std::iter::repeat_with(up).take(14))
            .chain([down(), up()]),
    )
    .await;
    let one = api(&server, 0);
    for tries in [3, 2, 1] {
        assert_eq!(fail(&one, Operation::GetRequestStatus).await.attempts(), tries);
    }
    for _ in 0..15 {
        one.get_request_status(&d1(), &r1()).await.unwrap();
    }
}

/// Writes down what it is told.
#[derive(Default)]
struct Diary(Mutex<Vec<Entry>>);

/// What was asked for, which try it was, its status where it failed, and whether it was tried again.
type Entry = (Operation, u32, Option<u16>, bool);

impl Observer for Diary {
    fn on_attempt(&self, tried: &Attempt<'_>) {
        let status = tried.error.and_then(runcomfy_core::Error::status_code);
        let entry = (tried.operation, tried.attempt, status, tried.again);
        self.0.lock().unwrap().push(entry);
    }
}

#[tokio::test]
async fn each_try_is_told_of_and_what_retries_cost() {
    let up = Reply::json(200, &json!({"request_id": "r1", "status": "in_queue"}));
    let server = Canned::start([Reply::with(502, &[], ""), up, Reply::with(502, &[], "")]).await;
    let mut retry = RetryPolicy::default();
    retry.base = Duration::from_millis(1);
    let diary = Arc::new(Diary::default());
    let builder = server.builder().retry(retry).token(TOKEN.parse().unwrap());
    let api = builder.observer(Arc::clone(&diary) as Arc<dyn Observer>).build().unwrap();
    let full = api.retry_tokens();
    api.get_request_status(&d1(), &r1()).await.unwrap();
    assert!(api.retry_tokens() < full);
    fail(&api, Operation::SubmitRequest).await;
    let (status, submit) = (Operation::GetRequestStatus, Operation::SubmitRequest);
    assert_eq!(
        *diary.0.lock().unwrap(),
        [(status, 1, Some(502), true), (status, 2, None, false), (submit, 1, Some(502), false)]
    );
}
