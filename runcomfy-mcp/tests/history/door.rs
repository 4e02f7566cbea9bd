//! The two ways to the service: the library, and the MCP server over HTTP.

use std::{sync::Arc, time::Duration};

use runcomfy_core::{
    DeploymentId, Error, InferenceRequest, Overrides, RequestId, RunComfyApi,
    deployment::{CreateDeployment, UpdateDeployment},
    error::Outcome,
    id::WorkflowId,
    request::{Cancellation, RequestState},
};
use serde_json::{Value, json};

use crate::{
    history::{Answer, Asked, Claim, Told},
    line::{Gone, Line, Listens},
    world::{DEPLOYMENT, MARKED},
};

/// How a user calls.
pub(crate) enum Door {
    Library(Arc<dyn RunComfyApi>),
    Server(Line),
}

/// What was heard, before it is known whether it is true.
pub(crate) enum Heard {
    Done { id: Option<String>, replayed: bool, claim: Option<Claim> },
    Other(Told),
}

impl Door {
    /// Makes a call. The user who has no more patience goes away in the middle of it.
    pub(crate) async fn call(
        &mut self,
        asked: &Asked,
        listens: Listens,
        patience: Option<Duration>,
    ) -> Heard {
        let Some(patience) = patience else { return self.heard(asked, listens).await };
        match tokio::time::timeout(patience, self.heard(asked, listens)).await {
            Ok(heard) => heard,
            Err(_) => {
                if let Self::Server(line) = self {
                    line.hang_up();
                }
                Heard::Other(Told::Nothing)
            }
        }
    }

    async fn heard(&mut self, asked: &Asked, listens: Listens) -> Heard {
        match self {
            Self::Library(api) => ask(api.as_ref(), asked).await.unwrap_or_else(|error| {
                Heard::Other(Told::Failed {
                    kind: error.kind().as_str().to_owned(),
                    outcome: error.outcome(),
                    id: error.request_id().map(ToString::to_string),
                })
            }),
            Self::Server(line) => {
                let (tool, arguments) = tool(asked);
                match line.call(tool, &arguments, listens).await {
                    Ok(content) => content_of(asked, &content),
                    Err(Gone::BeforeTheCall) => Heard::Other(Told::Failed {
                        kind: "not_connected".to_owned(),
                        outcome: Outcome::NotSent,
                        id: None,
                    }),
                    Err(Gone::InTheCall) => Heard::Other(Told::Nothing),
                }
            }
        }
    }
}

async fn ask(api: &dyn RunComfyApi, asked: &Asked) -> Result<Heard, Error> {
    let runs = DeploymentId::new(DEPLOYMENT).unwrap();
    let id = |text: &str| DeploymentId::new(text).unwrap();
    let request = |text: &str| RequestId::new(text).unwrap();
    let mut claim = None;
    let done = match asked {
        Asked::Submit { marker, .. } => {
            let (node, input) = MARKED;
            let overrides = Overrides::new().set(node, input, marker.as_str());
            let request = InferenceRequest::new(runs).overrides(overrides);
            Some(api.submit_request(&request).await?.request_id.to_string())
        }
        Asked::Cancel { request_id } => {
            let said = api.cancel_request(&runs, &request(request_id)).await?;
            claim = cancelled(&said);
            None
        }
        Asked::Status { request_id } => {
            let status = api.get_request_status(&runs, &request(request_id)).await?;
            claim = claimed(status.state());
            None
        }
        Asked::Result { request_id } => {
            let result = api.get_request_result(&runs, &request(request_id)).await?;
            claim = claimed(result.state());
            None
        }
        Asked::Create { name, .. } => {
            let workflow = WorkflowId::new("workflow-1").unwrap();
            let request = CreateDeployment::new(name, workflow, "v1");
            Some(api.create_deployment(&request).await?.id.to_string())
        }
        Asked::Update { deployment_id, keep_warm } => {
            let changes = UpdateDeployment::new().keep_warm_duration_in_seconds(*keep_warm);
            api.update_deployment(&id(deployment_id), &changes).await?;
            None
        }
        Asked::Delete { deployment_id } => {
            api.delete_deployment(&id(deployment_id)).await?;
            None
        }
    };
    Ok(Heard::Done { id: done, replayed: false, claim })
}

/// That a cancellation was taken on says nothing of its success; what was seen afterwards does.
fn cancelled(said: &Cancellation) -> Option<Claim> {
    match &said.observed_status {
        Some(word) => claimed(RequestState::of(Some(word))),
        None => (said.accepted() == Some(false)).then_some(Claim::NotCancellable),
    }
}

fn claimed(state: RequestState) -> Option<Claim> {
    match state {
        RequestState::Succeeded => Some(Claim::Succeeded),
        RequestState::Failed => Some(Claim::Failed),
        RequestState::Cancelled => Some(Claim::Cancelled),
        RequestState::Completed => Some(Claim::Completed),
        _ => None,
    }
}

fn tool(asked: &Asked) -> (&'static str, Value) {
    let run = |id: &str| json!({"deployment_id": DEPLOYMENT, "request_id": id});
    let (tool, mut arguments) = match asked {
        Asked::Submit { marker, wait, .. } => {
            let (node, input) = MARKED;
            let overrides = json!({node: {"inputs": {input: marker}}});
            let mut arguments = json!({"deployment_id": DEPLOYMENT, "overrides": overrides});
            if *wait {
                arguments["wait_for_completion"] = json!(true);
                arguments["timeout_seconds"] = json!(1);
            }
            ("submit_request", arguments)
        }
        Asked::Cancel { request_id } => ("cancel_request", run(request_id)),
        Asked::Status { request_id } => ("get_request_status", run(request_id)),
        Asked::Result { request_id } => ("get_request_result", run(request_id)),
        Asked::Create { name, .. } => (
            "create_deployment",
            json!({"name": name, "workflow_id": "workflow-1", "workflow_version": "v1"}),
        ),
        Asked::Update { deployment_id, keep_warm } => (
            "update_deployment",
            json!({"deployment_id": deployment_id, "keep_warm_duration_in_seconds": keep_warm}),
        ),
        Asked::Delete { deployment_id } => {
            ("delete_deployment", json!({"deployment_id": deployment_id, "confirm": true}))
        }
    };
    if let Some((_, Some(key))) = asked.paid() {
        arguments["idempotency_key"] = json!(key);
    }
    (tool, arguments)
}

/// What an answer's structured content says.
fn content_of(asked: &Asked, content: &Value) -> Heard {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    if content["ok"] != json!(true) {
        // An answer without an outcome tells as little as none.
        let outcome = content["outcome"].as_str().and_then(|word| word.parse().ok());
        if outcome == Some(Outcome::Applied) && content["replayed"] == json!(true) {
            // The wait failed, for a run that is an earlier call's.
            return Heard::Done { id: word(&content["request_id"]), replayed: true, claim: None };
        }
        return Heard::Other(Told::Failed {
            kind: word(&content["kind"]).unwrap_or_default(),
            outcome: outcome.unwrap_or(Outcome::Unknown),
            id: word(&content["request_id"]),
        });
    }
    let state = || claimed(RequestState::of(content["state"].as_str()));
    let (id, claim) = match asked {
        Asked::Submit { .. } => (word(&content["request_id"]), state()),
        Asked::Status { .. } | Asked::Result { .. } => (None, state()),
        Asked::Cancel { .. } => {
            let claim = match content["cancel"]["observed_status"].as_str() {
                Some(word) => claimed(RequestState::of(Some(word))),
                None => (content["accepted"] == json!(false)).then_some(Claim::NotCancellable),
            };
            (None, claim)
        }
        Asked::Create { .. } => (word(&content["deployment"]["id"]), None),
        Asked::Update { .. } | Asked::Delete { .. } => (None, None),
    };
    Heard::Done { id, replayed: content["replayed"] == json!(true), claim }
}

impl Heard {
    /// As it goes into the history, once the claim is held against the truth.
    pub(crate) fn told(self, truth: Option<crate::history::Truth>) -> Told {
        match self {
            Self::Done { id, replayed, claim } => {
                Told::Done(Answer { id, replayed, seen: claim.zip(truth) })
            }
            Self::Other(told) => told,
        }
    }
}
