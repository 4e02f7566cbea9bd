//! Asking the person before what can't be undone, or costs around the clock: by way of the client where it
//! can ask, else as the operator's setting has it.

mod signer;

use std::{sync::Arc, time::Duration};

use rmcp::{
    RoleServer,
    model::{
        CallToolRequestParams, CancelledNotificationParam, ClientCapabilities, ClientResult,
        ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema,
        InputRequest, InputRequiredResult, JsonObject, ServerRequest,
    },
    service::{Peer, PeerRequestOptions, ServiceError},
};
use runcomfy_core::{
    DeploymentId, ErrorKind, Token,
    deployment::{Deployment, Include},
    internals::is_invisible,
};
use serde_json::Value;
use tokio::time::{Instant, interval_at, timeout};

pub use self::signer::InvalidSealingKeys;
pub(crate) use self::signer::RequestStateSigner;
use self::signer::{PendingConfirmation, VerifiedState};
use crate::{
    config::Confirm,
    pipeline::{
        idempotency::{Fingerprint, IdempotencyScope},
        request::CallContext,
        scope::CallScope,
    },
    protocol,
    result::ToolError,
};

/// How long a person has for an answer.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How long a deployment's name is looked for, which makes a question easier to understand.
const LOOK: Duration = Duration::from_secs(5);
/// How long a client may take to hear that a question is off.
const LEAVE: Duration = Duration::from_millis(500);
/// What the answer is called, in the round and in its form.
const CONFIRM: &str = "confirm";

/// What a person is asked.
pub(crate) struct Question {
    /// The deployment that the words may name.
    pub(crate) about: Option<DeploymentId>,
    /// Whether the call came with `confirm`.
    pub(crate) confirmed: bool,
    /// The question, from the deployment as it is where that is known. `None`: there is nothing to ask.
    pub(crate) words: Words,
}

type Words = Box<dyn FnOnce(Option<&Deployment>) -> Option<String> + Send>;

/// How a call gets the person's consent.
pub(crate) enum Confirmation {
    /// They have asked for it in so many words, on the command line.
    Given,
    /// In a second round of the same call.
    Pending(Box<PendingConfirmation>),
    /// By a question while the call goes on.
    Peer(Peer<RoleServer>),
    /// The client can't ask.
    Policy(Confirm),
}

impl Confirmation {
    /// The best that this client can do.
    ///
    /// # Errors
    /// The call brings a state that this server did not give, or gave for another call.
    pub(crate) fn of(
        request: &mut CallToolRequestParams,
        context: &CallContext,
        token: Option<&Token>,
        signer: &Arc<RequestStateSigner>,
        otherwise: Confirm,
    ) -> Result<Self, ToolError> {
        if context.confirmed {
            return Ok(Self::Given);
        }
        let can_ask = shows_forms(&context.client);
        if !protocol::is_modern(context.version.as_ref()) {
            return Ok(match &context.session {
                Some(peer) if can_ask => Self::Peer(peer.clone()),
                _ => Self::Policy(otherwise),
            });
        }
        let bound = bound(token, &request.name, request.arguments.as_ref());
        let state = request.request_state.take();
        let state = match state {
            Some(state) => signer.verify(&state, &bound).ok_or_else(ToolError::state_refused)?,
            None => VerifiedState::Nothing,
        };
        // After a look at the state: one that was tampered with is refused, whoever brings it.
        if !can_ask {
            return Ok(Self::Policy(otherwise));
        }
        let answer = request.input_responses.take().and_then(|mut all| all.remove(CONFIRM));
        Ok(Self::Pending(Box::new(PendingConfirmation {
            signer: Arc::clone(signer),
            bound,
            state,
            answer,
        })))
    }
}

/// A client that says nothing of modes shows forms.
fn shows_forms(client: &ClientCapabilities) -> bool {
    let modes = client.elicitation.as_ref();
    modes.is_some_and(|modes| modes.form.is_some() || modes.url.is_none())
}

/// Whose call it is, and which: an answer to one question is none to another.
fn bound(token: Option<&Token>, tool: &str, arguments: Option<&JsonObject>) -> Fingerprint {
    let token = token.map_or("", Token::expose);
    Fingerprint::of().text("confirm").text(token).text(tool).map(arguments).done()
}

/// Gets the person's consent: `None`. Or what to answer so that they are asked.
///
/// # Errors
/// They did not agree, or can't be asked and the operator wants that they are.
pub(crate) async fn confirm(
    scope: &mut CallScope,
    idempotency: &IdempotencyScope,
    method: Confirmation,
    question: Question,
) -> Result<Option<InputRequiredResult>, ToolError> {
    match method {
        Confirmation::Given | Confirmation::Policy(Confirm::Allow) => Ok(None),
        Confirmation::Policy(Confirm::Require) if question.confirmed => Ok(None),
        Confirmation::Policy(policy) => match words(scope, question).await? {
            None => Ok(None),
            Some(words) if policy == Confirm::Deny => Err(ToolError::denied(
                format!("this server does not do that for a client that can't ask: {words}"),
                "Nothing was changed. Do it in RunComfy's web app, or with a client that can show forms \
                 (elicitation); whoever runs the server decides.",
            )),
            Some(words) => Err(ToolError::needs_confirmation(&words)),
        },
        Confirmation::Peer(peer) => match words(scope, question).await? {
            None => Ok(None),
            Some(words) => elicit(scope, &peer, words).await.map(|()| None),
        },
        Confirmation::Pending(pending) => resume(scope, idempotency, *pending, question).await,
    }
}

async fn resume(
    scope: &CallScope,
    idempotency: &IdempotencyScope,
    mut pending: PendingConfirmation,
    question: Question,
) -> Result<Option<InputRequiredResult>, ToolError> {
    // A state that has grown old, or was an answer before, and what is no answer: asked again.
    if let Some(said) = pending.answer.take().and_then(|answer| serde_json::from_value(answer).ok())
        && let VerifiedState::Fresh { nonce } = &pending.state
    {
        // A no uses it up as well: it must not become a yes by being sent again. Kept for longer than it is
        // good for, as servers' clocks differ.
        let first = idempotency.first_time(nonce, PATIENCE * 2).await?;
        if !agrees(&said) {
            return Err(ToolError::declined());
        }
        if first {
            return Ok(None);
        }
    }
    let Some(words) = words(scope, question).await? else { return Ok(None) };
    let ask = InputRequest::Elicitation(ElicitRequest::new(form(words)?));
    let state = pending.signer.sign(&pending.bound, PATIENCE);
    Ok(Some(InputRequiredResult::new(Some([(CONFIRM.to_owned(), ask)].into()), Some(state))))
}

/// Asks while the call goes on, and says so, so that its client does not take it for dead.
async fn elicit(
    scope: &mut CallScope,
    peer: &Peer<RoleServer>,
    words: String,
) -> Result<(), ToolError> {
    scope.report_progress("the user is asked").await;
    let ask = ServerRequest::ElicitRequest(ElicitRequest::new(form(words)?));
    let mut options = PeerRequestOptions::no_options();
    options.timeout = Some(PATIENCE);
    let asked = peer.send_cancellable_request(ask, options).await.map_err(unanswered)?;
    let id = asked.id.clone();
    let mut said = std::pin::pin!(asked.await_response());
    let (began, every) = (Instant::now(), scope.settings.heartbeat);
    let mut heartbeat = interval_at(began + every, every);
    let said = loop {
        tokio::select! {
            said = &mut said => break said,
            () = scope.abandoned() => {
                // The question would stay on the screen of somebody who may no longer answer it.
                let over = CancelledNotificationParam::new(Some(id), None);
                let _ = timeout(LEAVE, peer.notify_cancelled(over)).await;
                return Err(ToolError::shutting_down());
            }
            _ = heartbeat.tick() => {
                scope.report_progress(&format!("the user is asked; {} s so far", began.elapsed().as_secs())).await;
            }
        }
    };
    match said.map_err(unanswered)? {
        ClientResult::ElicitResult(said) if agrees(&said) => Ok(()),
        _ => Err(ToolError::declined()),
    }
}

fn unanswered(error: ServiceError) -> ToolError {
    tracing::debug!(%error, "a question was not answered");
    ToolError::declined().with_message("the question to the user was not answered")
}

/// To accept is to agree: the form has no field. A client that fills in one of its own and says no there
/// means no.
fn agrees(said: &ElicitResult) -> bool {
    let content = said.content.as_ref();
    said.action == ElicitationAction::Accept
        && content.and_then(|content| content.get(CONFIRM)) != Some(&Value::Bool(false))
}

fn form(message: String) -> Result<ElicitRequestParams, ToolError> {
    // With a field, some clients want it ticked before they take the yes.
    let requested_schema = ElicitationSchema::builder().build().map_err(ToolError::internal)?;
    Ok(ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema })
}

async fn words(scope: &CallScope, question: Question) -> Result<Option<String>, ToolError> {
    let found = match &question.about {
        Some(id) => {
            let look = scope.api.get_deployment(id, Include::none());
            match timeout(LOOK, look).await {
                // What is not there need not be asked about.
                Ok(Err(error)) if error.kind() == ErrorKind::NotFound => return Err(error.into()),
                Ok(Err(error)) if error.kind() == ErrorKind::Unauthenticated => {
                    return Err(error.into());
                }
                found => found.ok().and_then(Result::ok),
            }
        }
        None => None,
    };
    Ok((question.words)(found.as_ref()))
}

/// A deployment as a person knows it, in a question of ours: its name is anybody's text.
pub(crate) fn named(id: &DeploymentId, deployment: Option<&Deployment>) -> String {
    const LONGEST: usize = 80;
    let name = deployment.and_then(|deployment| deployment.name.as_deref()).unwrap_or_default();
    let seen = name.chars().filter(|c| !c.is_control() && !is_invisible(*c)).take(LONGEST);
    match seen.collect::<String>() {
        name if name.is_empty() => format!("deployment {id}"),
        name => format!("deployment \"{name}\" ({id})"),
    }
}
