//! At most once: calls that are made again.

mod delivered;
mod hangups;
#[cfg(feature = "redis")]
mod redis;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use runcomfy_core::{
    Error, ErrorKind,
    error::{Operation, Outcome},
};
use runcomfy_mcp::{
    AuthMode, RunComfyMcp, Settings,
    replay::{Entry, EntryState, ReplayKey, ReplayStore, StoreUnavailable},
};
use runcomfy_testkit::FakeRunComfy;
use serde_json::{Value, json};

use crate::{
    harness::{Session, connect, connect_server},
    over_http::Server,
};

const DEPLOYMENT: &str = "d";

fn fake() -> runcomfy_testkit::FakeBuilder {
    FakeRunComfy::builder().deployment(DEPLOYMENT).run_time(Duration::ZERO)
}

/// A submit of this text, under this key.
fn submit(key: Option<&str>, text: &str) -> Value {
    let mut arguments =
        json!({"deployment_id": DEPLOYMENT, "overrides": {"6": {"inputs": {"text": text}}}});
    if let Some(key) = key {
        arguments["idempotency_key"] = key.into();
    }
    arguments
}

fn creation(key: &str, name: &str) -> Value {
    json!({"name": name, "workflow_id": "w", "workflow_version": "v1", "idempotency_key": key})
}

/// A session on a server with this store.
async fn with_store(api: FakeRunComfy, store: impl ReplayStore + 'static) -> Session {
    let server = RunComfyMcp::new(AuthMode::One(Arc::new(api)), Settings::default());
    connect_server(server.with_replay_store(Arc::new(store), &[0; 32])).await
}

#[tokio::test]
async fn two_at_once_under_one_key_make_one_run_and_both_are_told_of_it() {
    let api = fake().build();
    let session = connect(api.clone()).await;
    let one = || session.data("submit_request", submit(Some("k"), "a cat"));
    let (a, b) = tokio::join!(one(), one());
    assert_eq!(api.runs_started(), 1);
    assert_eq!(a["request_id"], b["request_id"]);
    let replayed = [&a, &b].map(|reply| reply["replayed"] == true);
    assert_ne!(replayed[0], replayed[1], "one of them is the first");
}

#[tokio::test]
async fn a_creation_under_a_key_is_one_deployment() {
    let api = fake().build();
    let session = connect(api.clone()).await;
    let first = session.data("create_deployment", creation("k", "n")).await;
    let second = session.data("create_deployment", creation("k", "n")).await;
    assert_eq!(first["deployment"], second["deployment"]);
    assert_eq!(second["replayed"], true);
    assert_eq!(api.calls_of(Operation::CreateDeployment), 1);
}

#[tokio::test(start_paused = true)]
async fn how_long_to_wait_is_not_what_is_asked_for() {
    let api = fake().build();
    let session = connect(api.clone()).await;
    let first = session.data("submit_request", submit(Some("k"), "a cat")).await;
    let mut waiting = submit(Some("k"), "a cat");
    waiting["wait_for_completion"] = true.into();
    let second = session.data("submit_request", waiting).await;
    assert_eq!(second["request_id"], first["request_id"]);
    assert_eq!(second["state"], "succeeded");
    assert_eq!(api.runs_started(), 1);
}

#[tokio::test]
async fn a_wait_that_fails_still_says_that_the_run_is_an_earlier_calls() {
    let refused = Error::new(Operation::GetRequestStatus, ErrorKind::Unauthenticated);
    let api = fake().next_call_fails(Operation::GetRequestStatus, refused).build();
    let session = connect(api.clone()).await;
    let first = session.data("submit_request", submit(Some("k"), "a cat")).await;
    let mut waiting = submit(Some("k"), "a cat");
    waiting["wait_for_completion"] = true.into();
    let fault = session.fault("submit_request", waiting).await;
    assert_eq!((&fault["outcome"], &fault["replayed"]), (&json!("applied"), &json!(true)));
    assert_eq!(fault["request_id"], first["request_id"]);
}

#[tokio::test]
async fn a_key_with_other_arguments_is_a_conflict_and_nothing_is_sent() {
    let api = fake().build();
    let session = connect(api.clone()).await;
    session.data("submit_request", submit(Some("k"), "a cat")).await;
    let fault = session.fault("submit_request", submit(Some("k"), "a dog")).await;
    assert_eq!((&fault["kind"], &fault["outcome"]), (&json!("conflict"), &json!("not_sent")));
    assert_eq!(api.runs_started(), 1);
}

#[tokio::test]
async fn without_a_key_the_same_again_is_a_second_run() {
    let api = fake().build();
    let session = connect(api.clone()).await;
    let one = || session.data("submit_request", submit(None, "a cat"));
    let (first, second) = (one().await, one().await);
    assert_ne!(first["request_id"], second["request_id"]);
    assert_eq!(second.get("replayed"), None);
    let (third, fourth) = tokio::join!(one(), one());
    assert_ne!(third["request_id"], fourth["request_id"]);
    assert_eq!(api.runs_started(), 4);
}

#[tokio::test]
async fn another_token_finds_nothing_under_the_key() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for token in ["a", "b", "a"] {
        let all = server.call(token, "list_deployments", json!({})).await;
        let mut arguments = submit(Some("k"), "a cat");
        arguments["deployment_id"] = all["deployments"][0]["id"].clone();
        ids.push(server.call(token, "submit_request", arguments).await["request_id"].clone());
    }
    assert!(ids.iter().all(Value::is_string), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[2]);
}

#[tokio::test]
async fn what_may_have_happened_under_a_key_stays_unknown() {
    let lost =
        Error::new(Operation::SubmitRequest, ErrorKind::TimedOut).with_outcome(Outcome::Unknown);
    let api = fake().next_answer_lost(Operation::SubmitRequest, lost).build();
    let session = connect(api.clone()).await;
    let first = session.fault("submit_request", submit(Some("k"), "a cat")).await;
    assert_eq!(first["outcome"], "unknown");
    let again = session.fault("submit_request", submit(Some("k"), "a cat")).await;
    assert_eq!((&again["kind"], &again["outcome"]), (&json!("outcome_unknown"), &json!("unknown")));
    assert_eq!(api.submits_seen().len(), 1);
}

#[tokio::test]
async fn a_key_under_which_nothing_happened_is_free() {
    let refused = Error::new(Operation::SubmitRequest, ErrorKind::InvalidRequest)
        .with_outcome(Outcome::Rejected);
    let api = fake().next_call_fails(Operation::SubmitRequest, refused).build();
    let session = connect(api.clone()).await;
    session.fault("submit_request", submit(Some("k"), "a cat")).await;
    let second = session.data("submit_request", submit(Some("k"), "a cat")).await;
    assert_eq!(second.get("replayed"), None);
    assert_eq!(api.runs_started(), 1);
}

/// A store with a fault.
#[derive(Debug)]
enum Broken {
    /// Can't be asked.
    Away,
    /// Takes claims, and then nothing more.
    Full,
    /// Has a call that somebody began who is no more.
    Abandoned,
}

#[async_trait]
impl ReplayStore for Broken {
    async fn claim(
        &self,
        _: &ReplayKey,
        entry: &Entry,
        _: Duration,
    ) -> Result<Option<Entry>, StoreUnavailable> {
        match self {
            Self::Away => Err(StoreUnavailable("away".to_owned())),
            Self::Full => Ok(None),
            Self::Abandoned => Ok(Some(Entry {
                arguments: entry.arguments.clone(),
                state: EntryState::Running { until_unix_ms: 1 },
            })),
        }
    }

    async fn replace(&self, _: &ReplayKey, _: &Entry, _: Duration) -> Result<(), StoreUnavailable> {
        Err(StoreUnavailable("full".to_owned()))
    }

    async fn forget(&self, _: &ReplayKey) -> Result<(), StoreUnavailable> {
        Err(StoreUnavailable("full".to_owned()))
    }
}

#[tokio::test]
async fn without_the_store_a_keyed_call_is_not_sent_and_others_are() {
    let api = fake().build();
    let session = with_store(api.clone(), Broken::Away).await;
    let fault = session.fault("submit_request", submit(Some("k"), "a cat")).await;
    assert_eq!(
        (&fault["kind"], &fault["outcome"]),
        (&json!("replay_unavailable"), &json!("not_sent"))
    );
    assert_eq!(api.runs_started(), 0);
    session.data("submit_request", submit(None, "a cat")).await;
    assert_eq!(api.runs_started(), 1);
}

#[tokio::test]
async fn what_could_not_be_written_down_is_answered_and_said() {
    let api = fake().build();
    let session = with_store(api.clone(), Broken::Full).await;
    let reply = session.data("submit_request", submit(Some("k"), "a cat")).await;
    assert!(reply["request_id"].is_string() && reply["note"].is_string(), "{reply}");
}

#[tokio::test]
async fn a_call_whose_maker_is_no_more_is_not_made_again() {
    let api = fake().build();
    let session = with_store(api.clone(), Broken::Abandoned).await;
    let fault = session.fault("submit_request", submit(Some("k"), "a cat")).await;
    assert_eq!(fault["kind"], "outcome_unknown");
    assert_eq!(api.runs_started(), 0);
}

#[tokio::test]
async fn a_key_is_of_visible_ascii_and_not_too_long() {
    let session = connect(fake().build()).await;
    for key in ["a b", "é", "a\n", "null", "undefined", "None", &"k".repeat(129)] {
        let fault = session.fault("submit_request", submit(Some(key), "a cat")).await;
        assert_eq!(fault["kind"], "invalid_argument", "{key:?}");
        assert_eq!(fault["invalid_arguments"][0]["argument"], "idempotency_key", "{key:?}");
    }
    session.data("submit_request", submit(Some(&"k".repeat(128)), "a cat")).await;
}
