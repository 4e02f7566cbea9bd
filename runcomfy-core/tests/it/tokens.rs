//! The token: whose it is, where it goes, and where it never shows.

use std::{
    error::Error as _,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use runcomfy_core::{
    ErrorKind, HttpApi, InferenceRequest, RunComfyApi, Token,
    client::ConfigError,
    deployment::ListDeployments,
    error::{Operation, Outcome},
    request::{ExtraData, Webhook},
};
use serde_json::json;

use crate::{
    canned::{Canned, Reply, TOKEN, builder},
    endpoints::d1,
    refusals::{fail, names},
};

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let server = Canned::start([]).await;
    let api = server.builder().build().unwrap();
    for operation in Operation::ALL.iter().copied() {
        let error = fail(&api, operation).await;
        assert_eq!(
            (error.kind(), error.outcome(), error.operation()),
            (ErrorKind::Unauthenticated, Outcome::NotSent, operation)
        );
        assert_eq!(error.deployment_id().is_some(), names(operation).0);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_placeholder_is_told_as_such_and_not_sent() {
    // Whoever connects there fails otherwise.
    let api = builder("https://api.invalid").build().unwrap();
    for text in ["${RUNCOMFY_API_KEY}", "<token>", "YOUR_API_KEY"] {
        let api = api.with_token(Token::new(text).unwrap());
        for operation in Operation::ALL.iter().copied() {
            let error = fail(&api, operation).await;
            assert_eq!(
                (error.kind(), error.outcome(), error.attempts(), error.is_retryable()),
                (ErrorKind::Unauthenticated, Outcome::NotSent, 1, false)
            );
            assert!(error.message().is_some_and(|message| message.contains("placeholder")));
        }
    }
    // On this machine any text may be one.
    let server = Canned::start([Reply::json(200, &json!([]))]).await;
    let api = server.builder().token(Token::new("<token>").unwrap()).build().unwrap();
    api.list_deployments(&ListDeployments::all()).await.unwrap();
    assert_eq!(server.only().header("authorization").as_deref(), Some("Bearer <token>"));
}

#[tokio::test]
async fn each_caller_acts_with_its_own_token() {
    let server = Canned::start(vec![Reply::json(200, &json!([])); 3]).await;
    let api = server.builder().build().unwrap();
    let (one, two) = (
        api.with_token(Token::new("token-one").unwrap()),
        api.with_token(Token::new("token-two").unwrap()),
    );
    for api in [&one, &two, &one] {
        api.list_deployments(&ListDeployments::all()).await.unwrap();
    }
    let sent: Vec<_> =
        server.seen().iter().map(|seen| seen.header("authorization").unwrap()).collect();
    assert_eq!(sent, ["Bearer token-one", "Bearer token-two", "Bearer token-one"]);
    assert_eq!(server.connections(), 1);
    assert_eq!(fail(&api, Operation::ListDeployments).await.kind(), ErrorKind::Unauthenticated);
}

/// Everything an error can show.
fn shown(error: &runcomfy_core::Error) -> String {
    let mut text =
        format!("{error} {error:?} {error:#?} {:?} {:?}", error.message(), error.detail());
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(" {inner} {inner:?}");
        cause = inner.source();
    }
    text
}

#[tokio::test]
async fn an_error_never_shows_the_token_even_where_the_service_repeats_it() {
    let echo = format!("Bearer {TOKEN} was refused");
    let faults = [
        Reply::json(401, &json!({"error_message": echo, "detail": [{"input": echo}]})),
        Reply::json(200, &json!({"error_code": 401_001, "message": echo})),
        Reply::with(401, &[], &echo),
        Reply::with(500, &["Content-Type: text/html"], format!("<html>{echo}")),
        Reply::with(302, &[&format!("Location: /?t={TOKEN}")], &echo),
        Reply::with(200, &[], &echo),
        Reply::Cut(format!("HTTP/1.1 200 {TOKEN}\r\nX: {TOKEN}\r\n\r").into_bytes()),
        Reply::Cut(format!("{TOKEN}\r\n\r\n").into_bytes()),
        Reply::Reset,
        Reply::Stall(Vec::new()),
    ];
    for fault in faults {
        for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
            let server = Canned::start(vec![fault.clone(); 3]).await;
            let text = shown(&fail(&server.api(), operation).await);
            assert!(!text.contains("SECRET"), "{fault:?} {text}");
        }
    }
}

#[tokio::test]
async fn an_error_shows_no_address() {
    let free = "http://127.0.0.1:1";
    let api = builder(free).token(Token::new(TOKEN).unwrap()).build().unwrap();
    let text = shown(&fail(&api, Operation::GetRequestStatus).await);
    assert!(!text.contains("/prod/") && !text.contains("SECRET"), "{text}");
}

#[tokio::test]
async fn keys_and_webhook_secrets_that_the_service_repeats_are_not_shown() {
    let told = "key comfyui-SECRET-0123456789 of https://hooks.example/x?sig=SECRET-0123&other=SECRET-4567";
    let body =
        json!({"message": told, "detail": [{"msg": "comfyui-SECRET-01… is wrong", "type": "x"}]});
    let server = Canned::start([Reply::json(400, &body)]).await;
    let api = server.builder().token(Token::new(TOKEN).unwrap()).build().unwrap();
    let mut request = InferenceRequest::new(d1());
    let keys = ExtraData::default().set("keys", json!({"of": ["comfyui-SECRET-0123456789"]}));
    request.extra_data = Some(keys);
    let hook = "https://hooks.example/x?sig=SECRET-0123&other=SECRET-4567";
    request.webhook = Some(Webhook::new(hook.parse().unwrap()));
    let error = api.submit_request(&request).await.unwrap_err();
    let text = shown(&error);
    assert!(text.contains("***") && !text.contains("SECRET"), "{text}");
}

/// Writes down every event's fields.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<String>>);

impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut heard = self.0.lock().unwrap();
        event.record(&mut |field: &tracing::field::Field, value: &dyn Debug| {
            *heard += &format!("{field}={value:?} ");
        });
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn logs_have_ids_and_no_token_body_or_query() {
    let listener = Listener::default();
    // With only one listener alive, tracing lets the thread that first passes a log line decide for all
    // threads whether anybody hears it; and that may be the thread of another test.
    let _second = tracing::Dispatch::new(Listener::default());
    let _listening = tracing::subscriber::set_default(listener.clone());
    let accepted = json!({"request_id": "r1", "note": "ANSWER"});
    let refused = json!({"message": format!("{TOKEN} REFUSAL")});
    let server = Canned::start([Reply::json(200, &accepted), Reply::json(401, &refused)]).await;
    let hook = "https://example.com/?HOOK".parse().unwrap();
    let request = InferenceRequest::new("d1".try_into().unwrap()).webhook(Webhook::new(hook));
    server.api().submit_request(&request).await.unwrap();
    fail(&server.api(), Operation::GetRequestStatus).await;
    let heard = listener.0.lock().unwrap().clone();
    assert!(heard.contains("submit_request") && heard.contains("\"r1\""), "{heard}");
    assert!(heard.contains("unauthenticated"), "{heard}");
    for word in ["SECRET", "ANSWER", "REFUSAL", "HOOK"] {
        assert!(!heard.contains(word), "{word}: {heard}");
    }
}

#[test]
fn debug_shows_the_base_url_and_no_token() {
    let builder = HttpApi::builder().token(Token::new(TOKEN).unwrap());
    assert!(!format!("{builder:?}").contains("SECRET"));
    let api = builder.build().unwrap();
    let text = format!("{api:?}");
    assert!(text.contains("https://api.runcomfy.net/"), "{text}");
    assert!(!text.contains("SECRET") && !text.contains("oken"), "{text}");

    let hostile = HttpApi::builder().base_url("https://user:SECRET@host");
    assert!(!format!("{hostile:?}").contains("SECRET"));
    assert_eq!(hostile.build().unwrap_err(), ConfigError::BaseUrlWithUserInfo);
}

#[test]
fn a_client_is_made_without_a_runtime_and_without_connecting() {
    let api = HttpApi::builder().build().unwrap();
    assert_eq!(api.base_url().as_str(), "https://api.runcomfy.net/");
}
