//! The person's word before what hurts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rmcp::{
    ClientHandler, RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
        ElicitationAction, Implementation, ProgressNotificationParam,
    },
    service::{NotificationContext, RequestContext},
};
use runcomfy_core::{
    DeploymentId, Error, ErrorKind, RunComfyApi, deployment::UpdateDeployment, error::Operation,
};
use runcomfy_mcp::{AuthMode, Confirm, RunComfyMcp, Settings};
use runcomfy_testkit::{FakeBuilder, FakeRunComfy};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{connect, connect_with},
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
    settings.confirm = confirm;
    settings
}

#[tokio::test(start_paused = true)]
async fn where_the_operator_allows_it_nobody_is_asked() {
    for (tool, operation, arguments) in what_hurts() {
        let api = fake().build();
        let session = connect_with(api.clone(), policy(Confirm::Allow)).await;
        session.call(tool, arguments).await;
        assert_eq!(api.calls_of(operation), 1, "{tool}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_set_nothing_is_sent_without_the_argument() {
    for (tool, operation, mut arguments) in what_hurts() {
        let api = fake().build();
        let session = connect(api.clone()).await;
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
async fn what_is_resumed_is_asked_about_where_nobody_knows_what_it_keeps_on() {
    let api = fake().build();
    let gone = || Error::new(Operation::GetDeployment, ErrorKind::UpstreamUnavailable);
    api.next_call_fails(Operation::GetDeployment, gone());
    let session = connect_with(api.clone(), policy(Confirm::Deny)).await;
    let resume = json!({"deployment_id": "dep_1", "is_enabled": true});
    let fault = session.fault("update_deployment", resume).await;
    assert_eq!(fault["kind"], "policy_denied", "{fault}");
    assert_eq!(api.calls_of(Operation::UpdateDeployment), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_asked_about_where_more_is_kept_on_than_before() {
    let api = fake().build();
    let mut before = UpdateDeployment::new();
    (before.min_instances, before.max_instances) = (Some(3), Some(5));
    before.keep_warm_duration_in_seconds = Some(7200);
    api.update_deployment(&DeploymentId::new("dep_1").unwrap(), &before).await.unwrap();
    let session = connect_with(api.clone(), policy(Confirm::Deny)).await;
    for (change, asked) in [
        (json!({"hardware": "HOPPER_141"}), true),
        (json!({"hardware": "AMPERE_48"}), false),
        (json!({"min_instances": 4}), true),
        (json!({"keep_warm_duration_in_seconds": 7201}), true),
        (json!({"keep_warm_duration_in_seconds": 7200}), false),
        (json!({"min_instances": 3, "is_enabled": true}), false),
        (json!({"min_instances": 1}), false),
    ] {
        let mut arguments = change.clone();
        arguments["deployment_id"] = json!("dep_1");
        let answer = session.call("update_deployment", arguments).await;
        assert_eq!(answer.is_error, Some(asked), "{change}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_a_call_that_could_not_be_made() {
    let api = fake().build();
    let session = connect_with(api.clone(), policy(Confirm::Require)).await;
    let new = |name: &str, min: u64, key: &str| json!({"name": name, "workflow_id": "w", "workflow_version": "v1", "min_instances": min, "max_instances": 2, "idempotency_key": key});
    for arguments in [new("n", 5, "k"), new("a\u{200b}", 1, "k"), new("n", 1, "a key")] {
        let fault = session.fault("create_deployment", arguments.clone()).await;
        assert_eq!(fault["kind"], "invalid_argument", "{arguments}");
    }
    let change = json!({"deployment_id": "dep_1", "min_instances": 5, "max_instances": 2});
    assert_eq!(session.fault("update_deployment", change).await["kind"], "invalid_argument");
    assert_eq!(api.calls_of(Operation::GetDeployment), 0);
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
        assert!(requested_schema.properties.is_empty(), "to accept is the yes");
        let (action, content) = self.says.clone().unwrap();
        Ok(ElicitResult::new(action).with_content(content))
    }
}

async fn delete_by(person: Person, confirm: bool) -> (FakeRunComfy, Value) {
    let api = fake().build();
    // Where a person can be asked, no setting stands for their word.
    let mut settings = Settings::default();
    settings.confirm = Confirm::Allow;
    let server = RunComfyMcp::new(AuthMode::One(Arc::new(api.clone())), settings);
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
    for content in [json!({}), Value::Null, json!({"confirm": true})] {
        let yes = (ElicitationAction::Accept, content);
        let (api, answer) = delete_by(Person { says: Some(yes) }, false).await;
        assert_eq!((api.calls_of(Operation::DeleteDeployment), &answer["ok"]), (1, &json!(true)));
    }
    for says in [
        (ElicitationAction::Accept, json!({"confirm": false})),
        (ElicitationAction::Decline, json!({"confirm": true})),
        (ElicitationAction::Cancel, Value::Null),
    ] {
        let (api, answer) = delete_by(Person { says: Some(says.clone()) }, true).await;
        assert_eq!(answer["kind"], "declined", "{says:?}");
        assert_eq!(api.calls_of(Operation::DeleteDeployment), 0, "{says:?}");
    }
}

/// A client of an older revision whose person does not answer. Says what it heard meanwhile, and when the
/// question was taken back.
#[derive(Clone, Default)]
struct Undecided {
    heard: Arc<Mutex<Vec<String>>>,
    over: CancellationToken,
}

impl ClientHandler for Undecided {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(capabilities, Implementation::new("test", "1"))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, rmcp::ErrorData> {
        context.ct.cancelled().await;
        self.over.cancel();
        Ok(ElicitResult::new(ElicitationAction::Cancel))
    }

    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.heard.lock().unwrap().extend(progress.message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_person_thinks_is_not_silent_and_takes_its_question_back_when_it_ends() {
    let api = fake().build();
    let server = RunComfyMcp::new(AuthMode::One(Arc::new(api.clone())), Settings::default());
    let ending = server.clone();
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { server.serve(far).await.unwrap().waiting().await });
    let person = Undecided::default();
    let client = person.clone().serve(near).await.unwrap();
    let arguments = json!({"deployment_id": "dep_1"});
    let call = CallToolRequestParams::new("delete_deployment")
        .with_arguments(arguments.as_object().unwrap().clone());
    let end = async {
        let thinking = std::future::pending::<()>();
        tokio::time::timeout(Duration::from_secs(25), thinking).await.unwrap_err();
        ending.drain().await;
    };
    let (result, ()) = tokio::join!(client.call_tool(call), end);
    let answer = result.unwrap().structured_content.unwrap();
    assert_eq!(
        (&answer["kind"], &answer["outcome"]),
        (&json!("shutting_down"), &json!("not_sent"))
    );
    let heard = person.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 3, "at once and every ten seconds: {heard:?}");
    let over = person.over.cancelled();
    tokio::time::timeout(Duration::from_secs(10), over).await.expect("the question is taken back");
    assert_eq!(api.calls_of(Operation::DeleteDeployment), 0);
}
