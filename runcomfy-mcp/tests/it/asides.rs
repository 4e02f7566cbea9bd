//! Resources, prompts and completions, through a real client.

use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, CompletionContext, GetPromptRequestParams,
    PaginatedRequestParams, ReadResourceRequestParams, Reference, ResourceContents,
};
use runcomfy_core::{
    Error, ErrorKind, MockRunComfyApi,
    deployment::{Deployment, HARDWARE},
    error::Operation,
};
use runcomfy_testkit::FakeRunComfy;
use serde_json::{Value, json};

use crate::harness::{Session, connect};

/// What the fake's first deployment is.
async fn first(session: &Session) -> String {
    let all = session.data("list_deployments", json!({})).await;
    all["deployments"][0]["id"].as_str().unwrap().to_owned()
}

async fn read(session: &Session, uri: &str) -> Result<(String, String), rmcp::ServiceError> {
    let read = session.client().read_resource(ReadResourceRequestParams::new(uri)).await?;
    let ResourceContents::TextResourceContents { text, mime_type, uri: told, .. } =
        read.contents.into_iter().next().unwrap()
    else {
        panic!("no text");
    };
    assert_eq!(told, uri);
    Ok((mime_type.unwrap(), text))
}

async fn code(session: &Session, uri: &str) -> i32 {
    match read(session, uri).await.unwrap_err() {
        rmcp::ServiceError::McpError(error) => {
            assert!(serde_json::to_string(&error).unwrap().len() < 2048);
            error.code.0
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_deployment_is_listed_and_can_be_read() {
    let session = connect(FakeRunComfy::builder().build()).await;
    let listed = session.client().list_all_resources().await.unwrap();
    assert!(listed.len() > 5, "{listed:?}");
    for resource in &listed {
        let (kind, text) = read(&session, &resource.uri).await.unwrap();
        assert_eq!(Some(kind.as_str()), resource.mime_type.as_deref());
        let described = resource.description.as_deref().is_some_and(|text| !text.is_empty());
        assert!(described, "{}", resource.uri);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["deployments"].is_array() || value["deployment"]["id"].is_string(), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployments_workflow_and_a_run_can_be_read_and_what_is_not_there_is_said_so() {
    let session = connect(FakeRunComfy::builder().build()).await;
    let id = first(&session).await;
    let base = format!("runcomfy://deployments/{id}");
    let (_, workflow) = read(&session, &format!("{base}/workflow")).await.unwrap();
    let workflow: Value = serde_json::from_str(&workflow).unwrap();
    assert!(workflow.as_object().unwrap().values().all(|node| node["class_type"].is_string()));
    let submit = json!({"deployment_id": id, "wait_for_completion": true});
    let run = session.data("submit_request", submit).await;
    let uri = format!("{base}/requests/{}", run["request_id"].as_str().unwrap());
    let (_, run) = read(&session, &uri).await.unwrap();
    let run: Value = serde_json::from_str(&run).unwrap();
    assert_eq!((&run["state"], &run["finished"]), (&json!("completed"), &json!(true)));
    assert!(run["output_urls"].as_array().is_some_and(|urls| !urls.is_empty()), "{run}");
    // This client speaks a revision in which what is missing has a code of its own.
    const MISSING: i32 = -32002;
    for uri in ["runcomfy://deployments/no-such", "runcomfy://deployments/../x", "https://evil/x"] {
        assert_eq!(code(&session, uri).await, MISSING, "{uri}");
    }
    let long = format!("runcomfy://deployments/{}", "x".repeat(1_000_000));
    assert_eq!(code(&session, &long).await, MISSING);
}

#[tokio::test(start_paused = true)]
async fn a_readme_that_is_not_there_does_not_cast_doubt_on_the_id() {
    let mut api = MockRunComfyApi::new();
    api.expect_get_deployment().returning(|id, _| Ok(Deployment::new(id.clone())));
    let session = connect(api).await;
    for part in ["readme", "workflow"] {
        let uri = format!("runcomfy://deployments/d1/{part}");
        let rmcp::ServiceError::McpError(error) = read(&session, &uri).await.unwrap_err() else {
            panic!("no answer");
        };
        let data = error.data.unwrap();
        let hint = data["hint"].as_str().unwrap();
        assert!(hint.contains("id is right") && !hint.contains("list_deployments"), "{hint}");
        assert_eq!((&data["kind"], &data["uri"]), (&json!("not_found"), &json!(uri)));
    }
}

#[tokio::test(start_paused = true)]
async fn many_deployments_are_listed_in_pages_and_completed_with_how_many_there_are() {
    let names: Vec<_> = (0..250).map(|number| format!("dep_{number}")).collect();
    let fake =
        names.iter().fold(FakeRunComfy::builder().empty(), |fake, name| fake.deployment(name));
    let session = connect(fake.build()).await;
    let first = session.client().list_resources(None).await.unwrap();
    assert_eq!((first.resources.len(), first.next_cursor.as_deref()), (101, Some("100")));
    let all = session.client().list_all_resources().await.unwrap();
    let uris: std::collections::HashSet<_> = all.iter().map(|resource| &resource.uri).collect();
    assert_eq!((all.len(), uris.len()), (251, 251));
    let odd = PaginatedRequestParams::default().with_cursor(Some("x".to_owned()));
    session.client().list_resources(Some(odd)).await.unwrap_err();
    let reference = Reference::for_resource("runcomfy://deployments/{deployment_id}");
    let argument = ArgumentInfo::new("deployment_id", "dep_");
    let asked = CompleteRequestParams::new(reference, argument);
    let completed = session.client().complete(asked).await.unwrap().completion;
    assert_eq!(
        (completed.values.len(), completed.total, completed.has_more),
        (100, Some(250), Some(true))
    );
}

#[tokio::test(start_paused = true)]
async fn a_readme_can_be_read() {
    let session = connect(FakeRunComfy::builder().build()).await;
    let uri = format!("runcomfy://deployments/{}/readme", first(&session).await);
    let (kind, text) = read(&session, &uri).await.unwrap();
    assert_eq!(kind, "text/markdown");
    assert!(text.starts_with('#'), "{text}");
}

#[tokio::test(start_paused = true)]
async fn without_runcomfy_there_is_still_something_to_see() {
    let api = FakeRunComfy::builder().build();
    let refused = || Error::new(Operation::ListDeployments, ErrorKind::Unauthenticated);
    api.next_call_fails(Operation::ListDeployments, refused());
    let session = connect(api.clone()).await;
    let listed = session.client().list_all_resources().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(session.client().list_all_resource_templates().await.unwrap().len(), 4);
    api.next_call_fails(Operation::ListDeployments, refused());
    let values = complete(&session, "generate", "deployment_id", "", json!({})).await;
    assert_eq!(values, [""; 0]);
    api.next_call_fails(Operation::ListDeployments, refused());
    assert_eq!(code(&session, "runcomfy://deployments").await, -32603);
}

#[tokio::test(start_paused = true)]
async fn prompts_are_listed_with_what_they_ask_for_and_say_what_was_filled_in() {
    let session = connect(FakeRunComfy::builder().build()).await;
    let prompts = session.client().list_all_prompts().await.unwrap();
    assert_eq!(prompts.len(), 4);
    for prompt in prompts {
        let arguments = prompt.arguments.unwrap();
        let filled = arguments.iter().map(|argument| (argument.name.clone(), json!("FILLED")));
        let get = GetPromptRequestParams::new(prompt.name).with_arguments(filled.collect());
        let got = session.client().get_prompt(get).await.unwrap();
        let text = &got.messages[0].content.as_text().unwrap().text;
        assert!(text.contains("FILLED") && text.len() < 2048, "{text}");
    }
    let unknown = session.client().get_prompt(GetPromptRequestParams::new("no_such")).await;
    assert!(unknown.is_err());
}

async fn complete(
    session: &Session,
    prompt: &str,
    argument: &str,
    typed: &str,
    known: Value,
) -> Vec<String> {
    let known = known.as_object().unwrap().iter();
    let known = known.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
    let request = CompleteRequestParams::new(
        Reference::for_prompt(prompt),
        ArgumentInfo::new(argument, typed),
    )
    .with_context(CompletionContext::with_arguments(known.collect()));
    session.client().complete(request).await.unwrap().completion.values
}

#[tokio::test(start_paused = true)]
async fn fields_are_completed_by_what_there_is_and_what_was_chosen_before() {
    let session = connect(FakeRunComfy::builder().build()).await;
    let id = first(&session).await;
    // By the name that people know it by.
    let named = complete(&session, "generate", "deployment_id", "TEXT-TO-IMAGE", json!({})).await;
    assert!(named.contains(&id) && named.len() < 5, "{named:?}");
    let nodes = complete(&session, "generate", "node_id", "", json!({"deployment_id": id})).await;
    assert!(nodes.contains(&"6".to_owned()), "{nodes:?}");
    let chosen = json!({"deployment_id": id, "node_id": "6"});
    assert_eq!(complete(&session, "generate", "input", "te", chosen).await, ["text"]);
    let hardware = complete(&session, "change_hardware", "hardware", "", json!({})).await;
    assert_eq!(hardware, HARDWARE);
    assert_eq!(
        complete(&session, "change_hardware", "hardware", "hopper", json!({})).await,
        ["HOPPER_141"]
    );
    for (prompt, argument) in [("no_such", "deployment_id"), ("generate", "no_such")] {
        assert_eq!(complete(&session, prompt, argument, "", json!({})).await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_without_its_workflow_says_where_that_can_be_read() {
    let session = connect(FakeRunComfy::builder().build()).await;
    let id = first(&session).await;
    let link = async |include: bool| {
        let arguments = json!({"deployment_id": id, "include_payload": include});
        let result = session.call("get_deployment", arguments).await;
        result.content.iter().find_map(|block| block.as_resource_link().cloned())
    };
    let shown = link(false).await.unwrap();
    let (kind, text) = read(&session, &shown.uri).await.unwrap();
    assert_eq!(Some(kind), shown.mime_type);
    assert!(text.contains("class_type"), "{text}");
    assert_eq!(link(true).await, None);
}
