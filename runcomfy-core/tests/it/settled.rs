//! Writes whose answer was lost: what the service has afterwards decides what is said and done.

use std::time::Duration;

use runcomfy_core::{
    Error, ErrorKind, RunComfyApi as _,
    client::Timeouts,
    deployment::{CreateDeployment, DeletedDeployment, UpdateDeployment, UpdatedDeployment},
    error::{Operation, Outcome},
    request::Cancellation,
    retry::RetryPolicy,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    canned::{Canned, Reply, TOKEN},
    endpoints::{d1, r1},
};

/// Ways to lose the answer to a call that may have arrived.
fn losses() -> Vec<Reply> {
    vec![
        Reply::Reset,
        Reply::Cut(Vec::new()),
        Reply::Cut(b"\x16\x03\x01 garbage\r\n\r\n".to_vec()),
        Reply::Stall(Vec::new()),
        Reply::with(500, &[], ""),
        Reply::with(502, &["Content-Type: text/html"], "<html>oops"),
        Reply::with(503, &[], ""),
        Reply::with(504, &[], ""),
        Reply::json(200, &json!({"id": "d1", "status": "x"})).cut_short(),
        Reply::with(200, &["Content-Type: text/html"], "<html>welcome"),
    ]
}

fn status(word: &str) -> Reply {
    Reply::json(200, &json!({"request_id": "r1", "status": word}))
}

fn deployment(fields: Value) -> Reply {
    let mut whole = json!({"id": "d1", "name": "cur"});
    whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Reply::json(200, &whole)
}

fn methods(server: &Canned) -> String {
    server.seen().iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>().join(" ")
}

/// What a call says after these answers, and which methods it took.
async fn delete(script: Vec<Reply>) -> (Result<DeletedDeployment, Error>, String) {
    let server = Canned::start(script).await;
    let deleted = server.api().delete_deployment(&d1()).await;
    (deleted, methods(&server))
}

async fn cancel(script: Vec<Reply>) -> (Result<Cancellation, Error>, String) {
    let server = Canned::start(script).await;
    let cancelled = server.api().cancel_request(&d1(), &r1()).await;
    (cancelled, methods(&server))
}

async fn pause(script: Vec<Reply>) -> (Result<UpdatedDeployment, Error>, String, Vec<Value>) {
    let server = Canned::start(script).await;
    let changes = UpdateDeployment::new().is_enabled(false).hardware("ADA_80_PLUS");
    let updated = server.api().update_deployment(&d1(), &changes).await;
    let sent = server.seen().into_iter().filter(|seen| seen.method == "PATCH");
    let sent = sent.map(|seen| seen.json()["name"].clone()).collect();
    (updated, methods(&server), sent)
}

#[track_caller]
fn is_open(error: &Error, operation: Operation, attempts: u32) {
    assert_eq!((error.operation(), error.attempts()), (operation, attempts), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert_eq!(error.deployment_id(), Some(&d1()), "{error}");
}

#[tokio::test]
async fn a_deployment_that_is_gone_after_a_lost_answer_is_deleted() {
    for loss in losses() {
        let (deleted, methods) = delete(vec![loss.clone(), Reply::with(404, &[], "")]).await;
        assert!(deleted.unwrap().already_deleted, "{loss:?}");
        assert_eq!(methods, "DELETE GET", "{loss:?}");
    }
    // Looked up too early: the second deletion finds what the first one did.
    let (deleted, methods) =
        delete(vec![Reply::Reset, deployment(json!({})), Reply::with(404, &[], "")]).await;
    assert!(deleted.unwrap().already_deleted);
    assert_eq!(methods, "DELETE GET DELETE");
}

#[tokio::test]
async fn a_deployment_that_is_still_there_is_deleted_again() {
    let there = || deployment(json!({}));
    let (deleted, methods) = delete(vec![Reply::Reset, there(), Reply::with(204, &[], "")]).await;
    assert!(!deleted.unwrap().already_deleted);
    assert_eq!(methods, "DELETE GET DELETE");

    let lost = || Reply::with(502, &[], "");
    let script = vec![lost(), there(), lost(), there(), lost(), there()];
    let (deleted, methods) = delete(script).await;
    let error = deleted.unwrap_err();
    is_open(&error, Operation::DeleteDeployment, 3);
    assert!(error.is_retryable(), "the caller may");
    assert_eq!(methods, "DELETE GET DELETE GET DELETE GET");
}

#[tokio::test]
async fn a_deployment_that_was_never_there_is_not_found() {
    for script in [vec![], vec![Reply::with(429, &["Retry-After: 0"], "")]] {
        let error = delete(script).await.0.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::Rejected));
    }
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_does_not_say_that_nothing_happened() {
    let forbidden = || Reply::with(403, &[], "");
    let (deleted, _) = delete(vec![Reply::Reset, deployment(json!({})), forbidden()]).await;
    let error = deleted.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    is_open(&error, Operation::DeleteDeployment, 2);
    let (cancelled, _) = cancel(vec![Reply::Reset, status("in_progress"), forbidden()]).await;
    is_open(&cancelled.unwrap_err(), Operation::CancelRequest, 2);
    let (updated, ..) =
        pause(vec![deployment(json!({})), Reply::Reset, deployment(json!({})), forbidden()]).await;
    is_open(&updated.unwrap_err(), Operation::UpdateDeployment, 2);
}

#[tokio::test]
async fn a_look_that_fails_leaves_it_open() {
    let down = || vec![Reply::with(500, &[], ""); 3];
    let after = |mut start: Vec<Reply>| {
        start.extend(down());
        start
    };
    let (deleted, methods) = delete(after(vec![Reply::Stall(Vec::new())])).await;
    let error = deleted.unwrap_err();
    is_open(&error, Operation::DeleteDeployment, 1);
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(methods, "DELETE GET GET GET");
    let (cancelled, _) = cancel(after(vec![Reply::Reset])).await;
    is_open(&cancelled.unwrap_err(), Operation::CancelRequest, 1);
    let (updated, ..) = pause(after(vec![deployment(json!({})), Reply::Reset])).await;
    is_open(&updated.unwrap_err(), Operation::UpdateDeployment, 1);
}

#[tokio::test]
async fn a_cancellation_says_what_the_service_said() {
    let check = async |reply: Value, accepted: Option<bool>| {
        let (cancelled, methods) = cancel(vec![Reply::json(202, &reply)]).await;
        let cancelled = cancelled.unwrap();
        assert_eq!((cancelled.accepted(), methods.as_str()), (accepted, "POST"), "{reply}");
        assert_eq!(cancelled.observed_status, None);
    };
    check(json!({"status": "completed", "outcome": "cancelled"}), Some(true)).await;
    check(json!({"status": "cancellation_requested"}), Some(true)).await;
    check(json!({"status": "completed", "outcome": "not_cancellable"}), Some(false)).await;
    // The run came to its end first, whatever that was.
    check(json!({"status": "completed"}), None).await;
}

#[tokio::test]
async fn the_runs_status_decides_where_the_answer_to_a_cancellation_is_lost() {
    for loss in losses() {
        for (word, accepted) in
            [("cancelled", Some(true)), ("canceled", Some(true)), ("completed", None)]
        {
            let (cancelled, methods) = cancel(vec![loss.clone(), status(word)]).await;
            let cancelled = cancelled.unwrap();
            assert_eq!(cancelled.accepted(), accepted, "{loss:?} {word}");
            assert_eq!(cancelled.observed_status.as_deref(), Some(word));
            assert_eq!(cancelled.request_id, Some(r1()));
            assert_eq!(methods, "POST GET");
        }
    }
}

#[tokio::test]
async fn a_run_that_goes_on_after_a_lost_answer_is_cancelled_again() {
    let running = || status("in_progress");
    let taken_on = Reply::json(202, &json!({"status": "cancellation_requested"}));
    let (cancelled, methods) = cancel(vec![Reply::Reset, running(), taken_on]).await;
    assert_eq!(cancelled.unwrap().accepted(), Some(true));
    assert_eq!(methods, "POST GET POST");

    // What the second is told may be the first one's doing.
    let refused = Reply::json(200, &json!({"status": "completed", "outcome": "not_cancellable"}));
    for (word, accepted) in [("cancelled", Some(true)), ("completed", None), ("in_progress", None)]
    {
        let script = vec![Reply::Reset, running(), refused.clone(), status(word)];
        let (cancelled, methods) = cancel(script).await;
        let cancelled = cancelled.unwrap();
        assert_eq!(cancelled.accepted(), accepted, "{word}");
        assert_eq!(cancelled.outcome.as_deref(), Some("not_cancellable"));
        assert_eq!(methods, "POST GET POST GET");
    }

    let script = vec![[Reply::Reset, running()]; 3].concat();
    let (cancelled, methods) = cancel(script).await;
    is_open(&cancelled.unwrap_err(), Operation::CancelRequest, 3);
    assert_eq!(methods, "POST GET POST GET POST GET");
}

#[tokio::test]
async fn a_run_that_is_not_there_is_not_found_and_a_second_cancellation_is_fine() {
    let error = cancel(vec![]).await.0.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::Rejected));

    let cancelled = Reply::json(202, &json!({"status": "completed", "outcome": "cancelled"}));
    let server = Canned::start(vec![cancelled; 2]).await;
    for _ in 0..2 {
        let cancelled = server.api().cancel_request(&d1(), &r1()).await.unwrap();
        assert_eq!(cancelled.accepted(), Some(true));
    }
}

#[tokio::test]
async fn an_update_that_shows_after_a_lost_answer_was_applied() {
    let made = || deployment(json!({"is_enabled": false, "hardware": ["ADA_80_PLUS"]}));
    for loss in losses() {
        let (updated, methods, _) = pause(vec![deployment(json!({})), loss.clone(), made()]).await;
        let updated = updated.unwrap();
        assert!(updated.found_applied && !updated.name_race_possible, "{loss:?}");
        assert_eq!(updated.deployment.is_enabled, Some(false));
        assert_eq!(methods, "GET PATCH GET", "{loss:?}");
    }
}

#[tokio::test]
async fn an_update_that_does_not_show_is_sent_once_more() {
    let before = || deployment(json!({"is_enabled": true, "hardware": ["AMPERE_48"]}));
    let made = || deployment(json!({"is_enabled": false, "hardware": ["ADA_80_PLUS"]}));
    // One field of two is not enough; one that is not told is not known to be so.
    for half in
        [json!({"is_enabled": false, "hardware": ["AMPERE_48"]}), json!({"is_enabled": false})]
    {
        let script = vec![before(), Reply::Reset, deployment(half), made()];
        let (updated, methods, _) = pause(script).await;
        assert!(!updated.unwrap().found_applied);
        assert_eq!(methods, "GET PATCH GET PATCH");
    }
    let script = vec![before(), Reply::Reset, before(), Reply::Reset, made()];
    let (updated, methods, _) = pause(script).await;
    assert!(updated.unwrap().found_applied);
    assert_eq!(methods, "GET PATCH GET PATCH GET");

    let script = vec![before(), Reply::Reset, before(), Reply::Reset, before(), made()];
    let (updated, methods, _) = pause(script).await;
    let error = updated.unwrap_err();
    is_open(&error, Operation::UpdateDeployment, 2);
    assert!(error.is_retryable(), "the caller may");
    assert_eq!(methods, "GET PATCH GET PATCH GET");
}

#[tokio::test]
async fn a_rename_seen_after_a_lost_answer_is_kept_and_told() {
    let theirs = |made: bool| {
        let hardware = if made { "ADA_80_PLUS" } else { "AMPERE_48" };
        deployment(json!({"name": "theirs", "is_enabled": !made, "hardware": [hardware]}))
    };
    let (updated, _, names) = pause(vec![deployment(json!({})), Reply::Reset, theirs(true)]).await;
    assert!(updated.unwrap().name_race_possible);
    assert_eq!(names, ["cur"]);

    let script = vec![deployment(json!({})), Reply::Reset, theirs(false), theirs(true)];
    let (updated, _, names) = pause(script).await;
    assert!(updated.unwrap().name_race_possible);
    assert_eq!(names, ["cur", "theirs"]);
}

#[tokio::test]
async fn a_rename_that_does_not_show_is_sent_once_more_under_the_wanted_name() {
    let server =
        Canned::start([Reply::Reset, deployment(json!({})), deployment(json!({"name": "mine"}))])
            .await;
    let rename = UpdateDeployment::new().name("mine");
    let updated = server.api().update_deployment(&d1(), &rename).await.unwrap();
    assert!(!updated.name_race_possible && !updated.found_applied);
    assert_eq!(methods(&server), "PATCH GET PATCH");
    assert_eq!(server.seen()[2].json()["name"], "mine");
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_lists_its_namesakes_and_is_not_repeated() {
    let request = CreateDeployment::new("mine", "w1".try_into().unwrap(), "v1");
    let list = json!([
        {"id": "d1", "name": "mine", "workflow_id": "w1", "created_at": "2026-11-23T10:00:00Z"},
        {"id": "d2", "name": "other", "workflow_id": "w1"},
        {"id": "d3", "name": "mine", "workflow_id": "w2"},
        {"id": "d4", "name": "mine"},
    ]);
    let namesakes = json!({"deployments_of_that_name": [
        {"deployment_id": "d1", "created_at": "2026-11-23T10:00:00Z"},
        {"deployment_id": "d4", "created_at": null},
    ]});
    for loss in losses() {
        let server = Canned::start([loss.clone(), Reply::json(200, &list)]).await;
        let error = server.api().create_deployment(&request).await.unwrap_err();
        assert_eq!((error.outcome(), error.attempts()), (Outcome::Unknown, 1), "{loss:?}");
        assert_eq!(error.operation(), Operation::CreateDeployment);
        assert!(!error.is_retryable());
        assert_eq!(error.detail(), Some(&namesakes), "{loss:?}");
        assert_eq!(methods(&server), "POST GET", "{loss:?}");
    }
    // Where the list can't be had either, the error is the creation's.
    let server = Canned::start([Reply::Stall(Vec::new()), Reply::with(403, &[], "")]).await;
    let error = server.api().create_deployment(&request).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::TimedOut, Outcome::Unknown));
    assert_eq!(error.detail(), None);
}

#[tokio::test]
async fn looking_and_repeating_stay_within_the_one_deadline() {
    let silence = || Reply::Stall(Vec::new());
    // The writes take all the time, or the look does.
    for (script, writes) in
        [(vec![[silence(), deployment(json!({}))]; 9].concat(), 3), (vec![silence(); 9], 1)]
    {
        let mut timeouts = Timeouts::default();
        (timeouts.write_attempt, timeouts.write_total) =
            (Duration::from_millis(200), Duration::from_millis(500));
        let server = Canned::start(script).await;
        let mut retry = RetryPolicy::default();
        (retry.attempts, retry.base) = (9, Duration::from_millis(1));
        let api = server.builder().timeouts(timeouts).retry(retry).token(TOKEN.parse().unwrap());
        let start = Instant::now();
        let error = api.build().unwrap().delete_deployment(&d1()).await.unwrap_err();
        is_open(&error, Operation::DeleteDeployment, writes);
        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn without_retries_a_write_is_looked_up_and_not_sent_again() {
    let server = Canned::start([Reply::Reset, deployment(json!({}))]).await;
    let api = server.builder().retry(RetryPolicy::never()).token(TOKEN.parse().unwrap());
    let error = api.build().unwrap().delete_deployment(&d1()).await.unwrap_err();
    is_open(&error, Operation::DeleteDeployment, 1);
    assert_eq!(methods(&server), "DELETE GET");
}
