//! The person's word before what hurts.

use std::sync::Arc;

use rmcp::{
    ClientHandler, RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
        ElicitationAction, Implementation,
    },
    service::RequestContext,
};
use runcomfy_core::{DeploymentId, Operation, RunComfyApi, UpdateDeployment};
use runcomfy_mcp::{Callers, Confirm, RunComfyMcp, Settings};
use runcomfy_testkit::{FakeBuilder, FakeRunComfy};
use serde_json::{Value, json};

use crate::{
    harness::{connect, connect_with},
    modern::Replicas,
    over_http::settings,
};

fn fake() -> FakeBuilder {
    FakeRunComfy::builder().empty().deployment("dep_1").deployment("dep_2")
}

/// What hurts, and what was sent for it.
fn what_hurts() -> [(&'static str, Operation, Value); 5] {
    let warm = 24 * 60 * 60;
    let new = json!({"name": "n", "workflow_id": "w", "workflow_version": "v1"});
    let with = |key: &str, value: u64| {
        let mut arguments = new.clone();
        arguments[key] = json!(value);
        arguments
    };
    [
        ("delete_deployment", Operation::DeleteDeployment, json!({"deployment_id": "dep_1"})),
        ("create_deployment", Operation::CreateDeployment, with("min_instances", 1)),
        (
            "create_deployment",
            Operation::CreateDeployment,
            with("keep_warm_duration_in_seconds", warm),
        ),
        (
            "update_deployment",
            Operation::UpdateDeployment,
            json!({"deployment_id": "dep_1", "min_instances": 1}),
        ),
        (
            "update_deployment",
            Operation::UpdateDeployment,
            json!({"deployment_id": "dep_1", "keep_warm_duration_in_seconds": warm}),
        ),
    ]
}

fn policy(confirm: Confirm) -> Settings {
    let mut settings = settings();
    settings.confirm = Some(confirm);
    settings
}

#[tokio::test(start_paused = true)]
async fn where_the_operator_allows_it_nobody_is_asked() {
    for (tool, operation, arguments) in what_hurts() {
        let api = fake().build();
        let session = connect(api.clone()).await;
        session.call(tool, arguments).await;
        assert_eq!(api.calls_of(operation), 1, "{tool}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_is_required_nothing_is_sent_without_the_argument() {
    for (tool, operation, mut arguments) in what_hurts() {
        let api = fake().build();
        let session = connect_with(api.clone(), policy(Confirm::Require)).await;
        let fault = session.fault(tool, arguments.clone()).await;
        assert_eq!(fault["kind"], "confirmation_required", "{tool}: {fault}");
        assert_eq!(fault["outcome"], "not_sent");
        assert_eq!(api.calls_of(operation), 0, "{tool}");
        arguments["confirm"] = json!(true);
        session.call(tool, arguments).await;
        assert_eq!(api.calls_of(operation), 1, "{tool}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_is_denied_the_argument_does_not_help() {
    for (tool, operation, mut arguments) in what_hurts() {
        let api = fake().build();
        let session = connect_with(api.clone(), policy(Confirm::Deny)).await;
        arguments["confirm"] = json!(true);
        let fault = session.fault(tool, arguments).await;
        assert_eq!(fault["kind"], "policy_denied", "{tool}: {fault}");
        assert_eq!(api.calls_of(operation), 0, "{tool}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_hurt_is_never_asked_about() {
    let api = fake().build();
    let session = connect_with(api.clone(), policy(Confirm::Deny)).await;
    let new = json!({"name": "n", "workflow_id": "w", "workflow_version": "v1"});
    session.call("create_deployment", new).await;
    for change in [
        json!({"max_instances": 2}),
        json!({"is_enabled": false, "min_instances": 2}),
        json!({"is_enabled": true, "min_instances": 0}),
        json!({"keep_warm_duration_in_seconds": 3600}),
    ] {
        let mut arguments = change.clone();
        arguments["deployment_id"] = json!("dep_1");
        session.data("update_deployment", arguments).await;
    }
    assert_eq!(api.calls_of(Operation::CreateDeployment), 1);
}

#[tokio::test(start_paused = true)]
async fn to_resume_what_keeps_machines_on_hurts_too() {
    let api = fake().build();
    let id = DeploymentId::new("dep_1").unwrap();
    let mut warm = UpdateDeployment::new();
    (warm.min_instances, warm.is_enabled) = (Some(1), Some(false));
    api.update_deployment(&id, &warm).await.unwrap();
    let session = connect_with(api.clone(), policy(Confirm::Require)).await;
    let resume = |id: &str| json!({"deployment_id": id, "is_enabled": true});
    let fault = session.fault("update_deployment", resume("dep_1")).await;
    assert_eq!(fault["kind"], "confirmation_required", "{fault}");
    session.data("update_deployment", resume("dep_2")).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_need_not_be_asked_about() {
    let session = connect_with(fake().build(), policy(Confirm::Require)).await;
    let fault = session.fault("delete_deployment", json!({"deployment_id": "no_such"})).await;
    assert_eq!(fault["kind"], "not_found");
}

/// A client of an older revision whose person says this, where it can ask at all.
struct Person {
    says: Option<(ElicitationAction, Value)>,
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let builder = ClientCapabilities::builder();
        let capabilities = if self.says.is_some() {
            builder.enable_elicitation().build()
        } else {
            builder.build()
        };
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, rmcp::ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } = request
        else {
            panic!("no form");
        };
        assert!(message.contains("dep_1"), "{message}");
        assert_eq!(requested_schema.required.as_deref(), Some(&["confirm".to_owned()][..]));
        let (action, content) = self.says.clone().unwrap();
        Ok(ElicitResult::new(action).with_content(content))
    }
}

async fn delete_by(person: Person, confirm: bool) -> (FakeRunComfy, Value) {
    let api = fake().build();
    // Where a person can be asked, no setting stands for their word.
    let mut settings = Settings::default();
    settings.confirm = Some(Confirm::Allow);
    let server = RunComfyMcp::new(Callers::One(Arc::new(api.clone())), settings);
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { server.serve(far).await.unwrap().waiting().await });
    let client = person.serve(near).await.unwrap();
    let arguments = json!({"deployment_id": "dep_1", "confirm": confirm});
    let call = CallToolRequestParams::new("delete_deployment")
        .with_arguments(arguments.as_object().unwrap().clone());
    let result = client.call_tool(call).await.unwrap();
    (api, result.structured_content.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_person_behind_an_older_client_is_asked_and_their_word_counts() {
    let yes = (ElicitationAction::Accept, json!({"confirm": true}));
    let (api, answer) = delete_by(Person { says: Some(yes) }, false).await;
    assert_eq!((api.calls_of(Operation::DeleteDeployment), &answer["ok"]), (1, &json!(true)));
    for says in [
        (ElicitationAction::Accept, json!({"confirm": false})),
        (ElicitationAction::Accept, json!({})),
        (ElicitationAction::Accept, json!({"confirm": "true"})),
        (ElicitationAction::Decline, json!({"confirm": true})),
        (ElicitationAction::Cancel, Value::Null),
    ] {
        let (api, answer) = delete_by(Person { says: Some(says.clone()) }, true).await;
        assert_eq!(answer["kind"], "declined", "{says:?}");
        assert_eq!(api.calls_of(Operation::DeleteDeployment), 0, "{says:?}");
    }
}

const YES: fn() -> Value = || json!({"action": "accept", "content": {"confirm": true}});

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
        json!({"action": "accept"}),
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
async fn a_yes_counts_once() {
    let replicas = Replicas::start(1, fake()).await;
    let new =
        json!({"name": "n", "workflow_id": "w", "workflow_version": "v1", "min_instances": 1});
    let new = ("create_deployment", new);
    let asked = call(&replicas, 0, "alice", new.clone(), None).await;
    let state = &asked["result"]["requestState"];
    let first = call(&replicas, 0, "alice", new.clone(), Some((state, YES()))).await;
    assert_eq!(first["result"]["resultType"], "complete", "{first}");
    let again = call(&replicas, 0, "alice", new.clone(), Some((state, YES()))).await;
    assert_eq!(again["result"]["resultType"], "input_required", "{again}");
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
