//! The person's word in a second round of the call, at whichever server it arrives.

use std::{sync::Arc, time::Duration};

use runcomfy_core::error::Operation;
use runcomfy_mcp::replay::MemoryStore;
use runcomfy_testkit::{FakeBuilder, FakeRunComfy};
use serde_json::{Value, json};

use crate::{
    modern::Replicas,
    over_http::{Server, settings},
};

fn fake() -> FakeBuilder {
    FakeRunComfy::builder().empty().deployment("dep_1").deployment("dep_2")
}

const YES: fn() -> Value = || json!({"action": "accept"});

/// A call, perhaps with what a round before it gave.
async fn call(
    replicas: &Replicas,
    replica: usize,
    token: &str,
    (tool, arguments): (&str, Value),
    round: Option<(&Value, Value)>,
) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments});
    if let Some((state, answer)) = round {
        params["requestState"] = state.clone();
        params["inputResponses"] = json!({"confirm": answer});
    }
    replicas.ask(replica, token, json!({"elicitation": {}}), "tools/call", params).await
}

fn deletion(id: &str) -> (&'static str, Value) {
    ("delete_deployment", json!({"deployment_id": id}))
}

fn deletions(replicas: &Replicas, token: &str) -> usize {
    replicas.emulator.account(token).map_or(0, |api| api.calls_of(Operation::DeleteDeployment))
}

#[tokio::test]
async fn a_question_asked_by_one_server_is_answered_at_another() {
    let replicas = Replicas::start(2, fake()).await;
    let asked = call(&replicas, 0, "alice", deletion("dep_1"), None).await;
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required", "{asked}");
    let question = &result["inputRequests"]["confirm"];
    assert_eq!(question["method"], "elicitation/create");
    let words = question["params"]["message"].as_str().unwrap();
    assert!(words.contains("dep_1") && words.len() < 300, "{words}");
    assert_eq!(deletions(&replicas, "alice"), 0);
    let state = &result["requestState"];
    let done = call(&replicas, 1, "alice", deletion("dep_1"), Some((state, YES()))).await;
    assert_eq!(done["result"]["structuredContent"]["ok"], true, "{done}");
    assert_eq!(deletions(&replicas, "alice"), 1);
}

#[tokio::test]
async fn a_state_is_good_for_its_caller_and_its_call_only() {
    let replicas = Replicas::start(1, fake()).await;
    let asked = call(&replicas, 0, "alice", deletion("dep_1"), None).await;
    let state = asked["result"]["requestState"].clone();
    let mut forged = state.as_str().unwrap().to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    let (forged, none) = (json!(forged), json!("made up"));
    let update = ("update_deployment", json!({"deployment_id": "dep_1"}));
    for (token, call_of, state) in [
        ("bob", deletion("dep_1"), &state),
        ("alice", deletion("dep_2"), &state),
        ("alice", update, &state),
        ("alice", deletion("dep_1"), &forged),
        ("alice", deletion("dep_1"), &none),
    ] {
        let answer = call(&replicas, 0, token, call_of.clone(), Some((state, YES()))).await;
        assert_eq!(answer["error"]["code"], -32602, "{token} {call_of:?}: {answer}");
        assert_eq!(answer["error"]["data"]["kind"], "state_refused", "{answer}");
        assert_eq!(deletions(&replicas, token), 0);
    }
}

#[tokio::test]
async fn a_no_is_a_no_and_what_is_no_answer_is_asked_again() {
    let replicas = Replicas::start(1, fake()).await;
    let asked = call(&replicas, 0, "alice", deletion("dep_1"), None).await;
    let state = &asked["result"]["requestState"];
    for no in [
        json!({"action": "decline"}),
        json!({"action": "cancel"}),
        json!({"action": "accept", "content": {"confirm": false}}),
    ] {
        let answer = call(&replicas, 0, "alice", deletion("dep_1"), Some((state, no))).await;
        assert_eq!(answer["result"]["structuredContent"]["kind"], "declined", "{answer}");
    }
    for odd in [json!(5), json!({"action": "maybe"}), Value::Null] {
        let answer = call(&replicas, 0, "alice", deletion("dep_1"), Some((state, odd))).await;
        assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    }
    assert_eq!(deletions(&replicas, "alice"), 0);
}

#[tokio::test]
async fn a_no_does_not_become_a_yes_by_being_sent_again() {
    let replicas = Replicas::start(1, fake()).await;
    let asked = call(&replicas, 0, "alice", deletion("dep_1"), None).await;
    let state = &asked["result"]["requestState"];
    let no = json!({"action": "decline"});
    call(&replicas, 0, "alice", deletion("dep_1"), Some((state, no))).await;
    let answer = call(&replicas, 0, "alice", deletion("dep_1"), Some((state, YES()))).await;
    assert_eq!(answer["result"]["resultType"], "input_required", "{answer}");
    assert_eq!(deletions(&replicas, "alice"), 0);
}

#[tokio::test]
async fn a_yes_counts_once_at_whichever_server_it_arrives() {
    let store = Arc::new(MemoryStore::default());
    let replicas = Replicas::start_sharing(2, fake(), settings(), store).await;
    let new =
        json!({"name": "n", "workflow_id": "w", "workflow_version": "v1", "min_instances": 1});
    let new = ("create_deployment", new);
    let asked = call(&replicas, 0, "alice", new.clone(), None).await;
    let state = &asked["result"]["requestState"];
    let first = call(&replicas, 0, "alice", new.clone(), Some((state, YES()))).await;
    assert_eq!(first["result"]["resultType"], "complete", "{first}");
    for replica in [0, 1] {
        let again = call(&replicas, replica, "alice", new.clone(), Some((state, YES()))).await;
        assert_eq!(again["result"]["resultType"], "input_required", "{again}");
    }
    let api = replicas.emulator.account("alice").unwrap();
    assert_eq!(api.calls_of(Operation::CreateDeployment), 1);
}

#[tokio::test]
async fn a_client_that_cannot_ask_needs_the_argument_over_http() {
    let replicas = Replicas::start(1, fake()).await;
    for capabilities in [json!({}), json!({"elicitation": {"url": {}}})] {
        let params = json!({"name": "delete_deployment", "arguments": {"deployment_id": "dep_1"}});
        let answer = replicas.ask(0, "alice", capabilities, "tools/call", params).await;
        let data = &answer["result"]["structuredContent"];
        assert_eq!(data["kind"], "confirmation_required", "{answer}");
    }
    assert_eq!(deletions(&replicas, "alice"), 0);
}

#[tokio::test]
async fn a_state_that_was_tampered_with_is_refused_whoever_brings_it() {
    let replicas = Replicas::start(1, fake()).await;
    let params = json!({
        "name": "delete_deployment", "arguments": {"deployment_id": "dep_1", "confirm": true}, "requestState": "zzz",
    });
    let answer = replicas.ask(0, "alice", json!({}), "tools/call", params).await;
    assert_eq!(answer["error"]["data"]["kind"], "state_refused", "{answer}");
    assert_eq!(deletions(&replicas, "alice"), 0);
}

#[tokio::test]
async fn an_older_client_over_http_is_not_asked_whatever_it_declares() {
    let server = Server::start().await;
    let all = server.call("alice", "list_deployments", json!({})).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "delete_deployment", "arguments": {"deployment_id": all["deployments"][0]["id"]},
        "_meta": {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}},
    }});
    let answer = server.post(&["Authorization: Bearer alice"], &message);
    let answer =
        tokio::time::timeout(Duration::from_secs(30), answer).await.expect("nobody is asked");
    let data = &answer.message()["result"]["structuredContent"];
    assert_eq!(data["kind"], "confirmation_required", "{data}");
}
