//! Tests of state files of format 1, in which runs have no prompt ids of their own.

use serde_json::to_vec;

use super::*;
use crate::{
    emulator::pool::Pool,
    store::{Record, Store},
};

const KEY: u64 = 7;

fn builder(state: &Path, server: &Replay) -> EmulatorBuilder {
    behind(FakeRunComfy::builder(), &[server]).one_account(KEY).state(state)
}

/// A state file of format 1 with a queued request. Its ids are derived from the account's key.
async fn waiting(folder: &Path) -> (Asked, Vec<Record>) {
    let state = folder.join("new");
    let mut server = Replay::of("invert");
    server.kill();
    let emulator = builder(&state, &server).start().await.unwrap();
    let request = Caller::of(&emulator).submit("invert").await;
    emulator.shutdown().await;
    let mut records = Vec::new();
    let store = Store::open(&state, |record| {
        records.push(record);
        Ok(())
    });
    drop(store.unwrap());
    (request, records)
}

#[tokio::test]
async fn a_run_that_was_handed_over_under_its_request_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let (request, mut records) = waiting(folder.path()).await;
    let server = held("invert", "executed");
    let pool = Pool::new(vec![server.url()], Vec::new(), impatient(), None, None).unwrap();
    let begun = json!({"request_id": request.id, "machine": pool.servers[0].number});
    let event = json!({"at": {"secs": 0, "nanos": 0}, "event": {"Begun": begun}});
    records.push(Record { account: KEY, event: to_vec(&event).unwrap() });
    let state = folder.path().join("old");
    Store::write_in_format(&state, 1, &records);
    // As the earlier version submitted it.
    let mut body = recorded("invert");
    body["prompt"] = body["workflow_api_json"].take();
    body["prompt_id"] = json!(request.id);
    body["client_id"] = json!(format!("runcomfy-emulator-{}", request.id));
    let url = server.url().join("prompt").unwrap();
    let post = request.caller.http.post(url).body(body.to_string());
    assert_eq!(post.send().await.unwrap().status(), 200);
    server.called("(held)", 1).await;

    let emulator = builder(&state, &server).start().await.unwrap();
    let request = Asked { caller: Caller::of(&emulator), ..request };
    request.is("in_progress").await;
    server.called("(connected)", 1).await;
    server.release();
    let result = request.succeeds().await;
    assert!(result["outputs"]["3"].is_object(), "{result}");
    assert_eq!(prompt_ids(&server), [request.id], "it is not run twice");
}

#[tokio::test]
async fn requests_keep_their_ids_and_new_ones_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (request, records) = waiting(folder.path()).await;
    let state = folder.path().join("old");
    Store::write_in_format(&state, 1, &records);
    let server = Replay::of("invert");
    server.add("invert");
    let emulator = builder(&state, &server).start().await.unwrap();
    let caller = Caller::of(&emulator);
    let next = caller.submit("invert").await;
    assert_ne!(next.id, request.id);
    Asked { caller: caller.clone(), ..request }.succeeds().await;
    next.succeeds().await;
}
