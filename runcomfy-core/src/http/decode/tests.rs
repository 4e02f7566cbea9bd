//! Tables: what each response is read as.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{from_str, json};

use super::*;
use crate::{
    error::{MAX_MESSAGE_BYTES, Operation, Outcome},
    request::RequestState,
};

const TOKEN: &str = "rc_SECRET_0123456789";

fn context(operation: Operation) -> DecodeContext<'static> {
    DecodeContext { operation, secrets: &[TOKEN] }
}

fn answer(status: u16, body: &str) -> RawResponse {
    RawResponse {
        status,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.as_bytes().to_vec().into(),
        non_finite: None,
    }
}

fn asked() -> RequestId {
    RequestId::new("r1").unwrap()
}

/// What a status answer fails with.
fn refusal(status: u16, body: &str) -> Error {
    super::status(&context(Operation::GetRequestStatus), answer(status, body), &asked())
        .expect_err(body)
}

#[track_caller]
fn check_kind(status: u16, body: &str, kind: ErrorKind, outcome: Outcome) {
    let error = refusal(status, body);
    assert_eq!((error.kind(), error.outcome()), (kind, outcome), "HTTP {status} {body}");
    assert_eq!(error.status_code(), Some(status));
}

#[test]
fn a_status_without_a_code_decides_the_kind_and_the_outcome() {
    use ErrorKind::*;
    for (status, kind) in [
        (400, InvalidRequest),
        (401, Unauthenticated),
        (402, InsufficientFunds),
        (403, PermissionDenied),
        (404, NotFound),
        (405, Refused),
        (406, Refused),
        (409, Conflict),
        (410, NotFound),
        (413, InvalidRequest),
        (415, InvalidRequest),
        (418, Refused),
        (422, InvalidRequest),
        (425, RateLimited),
        (429, RateLimited),
    ] {
        check_kind(status, "", kind, Outcome::Rejected);
    }
    // Somebody on the way gave up on a request that may have gone through.
    check_kind(408, "", TimedOut, Outcome::Unknown);
    check_kind(499, "", Refused, Outcome::Unknown);
    for status in [500, 501, 502, 503, 504, 599] {
        check_kind(status, "", UpstreamUnavailable, Outcome::Unknown);
    }
    for status in [101, 103, 300, 301, 302, 303, 304, 307, 308, 600, 999] {
        check_kind(status, "", UpstreamProtocol, Outcome::Unknown);
    }
}

#[test]
fn a_503_that_names_a_time_was_refused() {
    let mut busy = answer(503, "");
    busy.retry_after = Some(Duration::from_secs(2));
    let error = submission(&context(Operation::SubmitRequest), busy).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Rejected);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
    assert!(error.is_retryable());
}

#[test]
fn a_503_that_names_a_time_but_hides_an_internal_error_may_have_gone_through() {
    for body in [r#"{"error_code": 500001}"#, r#"{"error_code": 77}"#, r#"{"request_id": "r7"}"#] {
        let mut busy = answer(503, body);
        busy.retry_after = Some(Duration::ZERO);
        let error = submission(&context(Operation::SubmitRequest), busy).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{body}");
        assert!(!error.is_retryable(), "{body}");
    }
}

#[test]
fn an_error_that_names_what_was_made_may_have_made_it() {
    let check = |operation, body: &str| {
        let error = context(operation).check(&answer(200, body)).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{operation:?} {body}");
    };
    let submit = r#"{"error_code": 10002, "request_id": "r7"}"#;
    check(Operation::SubmitRequest, submit);
    check(Operation::CreateDeployment, r#"{"error_code": 422001, "id": "d7"}"#);
    let error = submission(&context(Operation::SubmitRequest), answer(200, submit)).unwrap_err();
    assert_eq!(error.request_id().map(RequestId::as_str), Some("r7"));
}

#[test]
fn a_result_that_is_not_ready_is_an_answer_without_a_state() {
    let body = r#"{"error_code": 400005, "error_message": "not ready"}"#;
    let read = result(&context(Operation::GetRequestResult), answer(400, body), &asked()).unwrap();
    assert_eq!((read.request_id.as_ref(), read.is_final()), (Some(&asked()), false));
}

#[test]
fn a_failed_run_is_an_answer_even_beside_a_code() {
    let body = r#"{"request_id": "r1", "status": "failed", "error_code": 11011, "error": "boom"}"#;
    let read = result(&context(Operation::GetRequestResult), answer(200, body), &asked()).unwrap();
    assert_eq!(read.state(), RequestState::Failed);
}

#[test]
fn faults_are_listed_without_the_callers_values() {
    let faults: Vec<_> = (0..30)
        .map(|n| json!({"loc": ["body", n], "msg": "wrong", "type": "t", "input": "CANARY".repeat(500)}))
        .collect();
    let error = refusal(422, &json!({ "detail": faults }).to_string());
    let kept = error.detail().unwrap().as_array().unwrap();
    assert_eq!(
        (kept.len(), &kept[1]),
        (20, &json!({"loc": ["body", 1], "msg": "wrong", "type": "t"}))
    );
    assert_eq!(error.message(), Some("body.0: wrong"));
}

#[test]
fn a_deployment_without_a_usable_id_does_not_hide_the_others() {
    let list = json!([{"id": "../x"}, {"id": "d1"}, {"name": "none"}]).to_string();
    let read = deployments(&context(Operation::ListDeployments), answer(200, &list)).unwrap();
    assert_eq!(read.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["d1"]);
}

#[test]
fn a_known_code_decides_the_kind_whatever_the_status() {
    use ErrorKind::*;
    for (code, kind) in [
        (10_001, InsufficientFunds),
        (10_002, DeploymentDisabled),
        (10_003, NotFound),
        (401_001, Unauthenticated),
        (403_003, PermissionDenied),
        (404_001, NotFound),
        (422_001, InvalidRequest),
    ] {
        for status in [200, 202, 400, 500] {
            let body = json!({"error_code": code, "error_message": "no"}).to_string();
            check_kind(status, &body, kind, Outcome::Rejected);
        }
    }
    // An internal error may come halfway through: a submit must not be repeated for it.
    for code in [500_001, 11_007] {
        for status in [200, 400, 500, 503] {
            let body = json!({"error_code": code}).to_string();
            check_kind(status, &body, UpstreamUnavailable, Outcome::Unknown);
        }
    }
    // Nobody documents what has happened by then.
    check_kind(200, r#"{"error_code": 12345}"#, Refused, Outcome::Unknown);
    check_kind(422, r#"{"error_code": 12345}"#, InvalidRequest, Outcome::Rejected);
    check_kind(502, r#"{"error_code": 12345}"#, UpstreamUnavailable, Outcome::Unknown);
}

#[test]
fn a_good_status_hides_an_error_only_behind_a_code_or_a_lone_message() {
    let check = |body: &str, code: Option<Option<i64>>| {
        let read = status(&context(Operation::GetRequestStatus), answer(200, body), &asked());
        match code {
            Some(code) => {
                let error = read.expect_err(body);
                assert_eq!(error.error_code(), code, "{body}");
            }
            None => assert_eq!(read.unwrap().request_id, Some(asked()), "{body}"),
        }
    };
    check(r#"{"error_code": 10002}"#, Some(Some(10_002)));
    check(r#"{"error_code": "10002", "request_id": "r1"}"#, Some(Some(10_002)));
    check(r#"{"error_code": " 422001 "}"#, Some(Some(422_001)));
    check(r#"{"error_code": "DISABLED"}"#, Some(None));
    check(r#"{"error_code": 0, "error_message": "paused"}"#, Some(None));
    check(r#"{"error_message": "paused"}"#, Some(None));
    check(r#"{"error_code": 0, "status": "in_queue"}"#, None);
    check(r#"{"error_code": 0.0, "status": "in_queue"}"#, None);
    check(r#"{"error_code": false, "status": "in_queue"}"#, None);
    check(r#"{"error_code": 1e300, "status": "in_queue"}"#, Some(None));
    check(r#"{"error_code": "0", "status": "in_queue"}"#, None);
    check(r#"{"error_code": null, "error_message": null, "status": "in_queue"}"#, None);
    check(r#"{"error_code": 0, "error_message": "", "status": "in_queue"}"#, None);
    check(r#"{"error_message": "was slow", "status": "in_progress"}"#, None);
}

#[test]
fn the_message_is_the_most_particular_text_there_is() {
    let check = |status: u16, body: &str, message: Option<&str>| {
        assert_eq!(refusal(status, body).message(), message, "{body}");
    };
    check(422, r#"{"detail":"d","error":"e","message":"m","error_message":"em"}"#, Some("em"));
    check(422, r#"{"detail":"d","error":"e","message":"m","error_message":" "}"#, Some("m"));
    check(422, r#"{"detail":"d","error":"e","message":null}"#, Some("e"));
    check(400, r#"{"error":{"type":"t","message":"no prompt"}}"#, Some("no prompt"));
    check(422, r#"{"detail":"d"}"#, Some("d"));
    check(422, r#"{"detail":[{"msg":"x"}]}"#, Some("Unprocessable Entity"));
    check(403, r#"{"message":"Forbidden"}"#, Some("Forbidden"));
    check(401, "Unauthorized", Some("Unauthorized"));
    check(401, r#""Unauthorized""#, Some("Unauthorized"));
    check(502, "", Some("Bad Gateway"));
    check(502, "  \n", Some("Bad Gateway"));
    check(502, "[1, 2]", Some("Bad Gateway"));
    check(599, "", None);
    check(200, r#"{"error_code": 10002}"#, None);
    check(422, r#"{"error_message": "cut off at the li"#, Some("Unprocessable Entity"));
    check(302, "https://evil.example", Some("a redirect, which is not followed"));
}

#[test]
fn a_page_for_people_is_never_a_message() {
    for body in
        ["<!DOCTYPE html><p>SECRET", "\n <html>SECRET</html>", "\u{feff}<!doctype HTML>SECRET"]
    {
        for status in [200, 404, 502] {
            let message = refusal(status, body).message().unwrap().to_owned();
            assert_eq!(message, "an HTML page instead of JSON");
        }
    }
    let mut page = answer(503, "Sorry, SECRET");
    page.content_type = Some("Text/HTML; charset=utf-8".to_owned());
    let error = deployments(&context(Operation::ListDeployments), page).unwrap_err();
    assert!(!error.to_string().contains("SECRET"));
}

#[test]
fn details_are_kept_and_bounded() {
    let error = refusal(422, r#"{"error_code":422001,"detail":[{"loc":["body"],"msg":"x"}]}"#);
    assert_eq!(error.detail(), Some(&json!([{"loc": ["body"], "msg": "x"}])));
    assert_eq!(refusal(404, r#"{"detail":"Not Found"}"#).detail(), Some(&json!("Not Found")));
    assert_eq!(refusal(422, r#"{"detail":[]}"#).detail(), None);
    let comfy = r#"{"error":{"message":"m"},"node_errors":{"6":{"errors":[1]}}}"#;
    assert_eq!(refusal(400, comfy).detail(), Some(&json!({"6": {"errors": [1]}})));
    let many = json!({"detail": vec![json!({"msg": "x"}); 500]}).to_string();
    assert_eq!(refusal(422, &many).detail().unwrap().as_array().unwrap().len(), 20);
}

#[test]
fn a_token_that_the_service_repeats_is_made_unreadable() {
    let strewn: String = TOKEN.chars().flat_map(|c| [c, '\u{200b}']).collect();
    let long = format!("{}{TOKEN}", "x".repeat(MAX_MESSAGE_BYTES - 8));
    for said in [format!("Bearer {TOKEN} is bad"), strewn.clone(), long] {
        for body in [
            json!({"error_message": said}).to_string(),
            json!({"message": "m", "detail": [{"input": {&said: [&said]}}]}).to_string(),
            said.clone(),
        ] {
            let error = refusal(401, &body);
            let shown = format!("{error} {error:?} {:?} {:?}", error.message(), error.detail());
            let visible: String =
                shown.chars().filter(|c| !crate::text::is_invisible(*c)).collect();
            assert!(!visible.contains("SECRET"), "{visible}");
        }
    }
}

#[test]
fn a_list_comes_bare_or_wrapped_and_its_payloads_stay_text() {
    let payload = r#"{ "workflow_api_json" : {"6":{"inputs":{"seed":18446744073709551615,"cfg":7.0}}} , "x":123456789012345678901234567890 }"#;
    let one = format!(r#"{{"id":"d1","name":"n","payload":{payload},"new":[1]}}"#);
    for body in [
        format!("[{one}]"),
        format!(r#" {{"next":null,"deployments":[{one}]}}"#),
        format!("\u{feff}[{one}]"),
    ] {
        let list = deployments(&context(Operation::ListDeployments), answer(200, &body)).unwrap();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].payload.as_ref().unwrap().as_json().as_str(), payload);
        assert_eq!(list[0].extra["new"], json!([1]));
    }
    let empty = deployments(&context(Operation::ListDeployments), answer(200, "[]")).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn an_answer_that_makes_no_sense_leaves_the_outcome_open() {
    let deep = "[".repeat(10_000);
    for body in ["", "null", "{}", "[]", "7", "\"x\"", "{\"id\":", "<html>", "\u{0}", &deep] {
        let check = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::UpstreamProtocol, "{body:.20}");
            assert_eq!(error.outcome(), Outcome::Unknown, "{body:.20}");
        };
        check(submission(&context(Operation::SubmitRequest), answer(200, body)).unwrap_err());
        check(deployment(&context(Operation::CreateDeployment), answer(201, body)).unwrap_err());
        check(deployment(&context(Operation::UpdateDeployment), answer(200, body)).unwrap_err());
        check(refusal(200, body));
        let of_result = result(&context(Operation::GetRequestResult), answer(200, body), &asked());
        check(of_result.unwrap_err());
        if body != "[]" {
            check(
                deployments(&context(Operation::ListDeployments), answer(200, body)).unwrap_err(),
            );
        }
    }
    let bad_id = r#"{"request_id":"../x"}"#;
    let error = submission(&context(Operation::SubmitRequest), answer(200, bad_id)).unwrap_err();
    assert!(!error.is_retryable());
}

#[test]
fn an_answer_is_the_asked_runs_or_refused() {
    let check = |body: &str, id: Option<&str>| {
        let read = [
            status(&context(Operation::GetRequestStatus), answer(200, body), &asked())
                .map(|status| json!(status)),
            result(&context(Operation::GetRequestResult), answer(200, body), &asked())
                .map(|result| json!(result)),
            cancellation(&context(Operation::CancelRequest), answer(200, body), &asked())
                .map(|cancellation| json!(cancellation)),
        ];
        for read in read {
            let got = read.as_ref().ok().map(|value| value["request_id"].as_str().unwrap());
            assert_eq!(got, id, "{body}");
        }
    };
    check(r#"{"request_id":"r1","status":"completed"}"#, Some("r1"));
    check(r#"{"request_id":"R1","status":"completed"}"#, Some("R1"));
    check(r#"{"status":"completed"}"#, Some("r1"));
    check(r#"{"request_id":null,"status":"completed"}"#, Some("r1"));
    check(r#"{"request_id":"r2","status":"completed"}"#, None);
    check(r#"{"request_id":7,"status":"completed"}"#, None);
    check(r#"{"request_id":"../r1","status":"completed"}"#, None);
}

#[test]
fn every_digit_and_unknown_field_of_a_run_is_kept() {
    let wire = r#"{"request_id":"r1","status":"PAUSED","queue_position":1000000000000,"seed":18446744073709551615,"new":{"a":[-1,0.1]}}"#;
    let status = status(&context(Operation::GetRequestStatus), answer(200, wire), &asked());
    assert_eq!(json!(status.unwrap()), from_str::<Value>(wire).unwrap());
    let wire = r#"{"request_id":"r1","status":"succeeded","outputs":{"9":{"text":[18446744073709551615]}},"x":1}"#;
    let result = result(&context(Operation::GetRequestResult), answer(200, wire), &asked());
    assert_eq!(json!(result.unwrap()), from_str::<Value>(wire).unwrap());
}

#[test]
fn a_deletion_and_a_cancellation_take_any_body_but_a_page() {
    let check = |body: &str, response: Value, extra: Value| {
        let read = deleted(&context(Operation::DeleteDeployment), answer(200, body)).unwrap();
        assert_eq!(read.response, response, "{body}");
        let read =
            cancellation(&context(Operation::CancelRequest), answer(202, body), &asked()).unwrap();
        assert_eq!(read.request_id, Some(asked()), "{body}");
        assert_eq!(json!(read.extra), extra, "{body}");
    };
    check("", Value::Null, json!({}));
    check("null", Value::Null, json!({}));
    check("OK", json!("OK"), json!({"response": "OK"}));
    check("true", json!(true), json!({"response": true}));
    check(r#"{"deleted":true}"#, json!({"deleted": true}), json!({"deleted": true}));
    let page = answer(200, "<html>");
    let error = deleted(&context(Operation::DeleteDeployment), page).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamProtocol);
}

#[test]
fn a_proxys_reply_is_data_whatever_it_looks_like() {
    let check = |body: &[u8], expected: ProxyReply| {
        for content_type in [None, Some("application/json"), Some("text/plain"), Some("image/png")]
        {
            let content_type = content_type.map(str::to_owned);
            let mut expected = expected.clone();
            if let ProxyReply::Binary { content_type: kind, .. } = &mut expected {
                kind.clone_from(&content_type);
            }
            let answer =
                RawResponse { content_type, body: body.to_vec().into(), ..answer(200, "") };
            let read = proxy_reply(&context(Operation::CallInstanceProxy), answer).unwrap();
            assert_eq!(read, expected);
        }
    };
    check(b"", ProxyReply::Empty);
    check(b"null", ProxyReply::Json(Value::Null));
    check(b"[1]", ProxyReply::Json(json!([1])));
    check(b"7", ProxyReply::Json(json!(7)));
    let errors = br#"{"error_code":10002,"error_message":"mine"}"#;
    check(errors, ProxyReply::Json(json!({"error_code": 10002, "error_message": "mine"})));
    check(b"hello", ProxyReply::Text("hello".to_owned()));
    check(b"<html>", ProxyReply::Text("<html>".to_owned()));
    let bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    check(&bytes, ProxyReply::Binary { content_type: None, bytes: bytes.clone() });
}

#[test]
fn an_id_with_the_token_in_it_is_not_taken_from_a_refusal() {
    for id in [TOKEN.to_owned(), format!("{TOKEN}9"), format!("x{TOKEN}")] {
        let error = refusal(422, &json!({"error_message": "no", "request_id": id}).to_string());
        assert_eq!(error.request_id(), None);
    }
}

proptest! {
    #[test]
    fn only_a_good_status_is_ever_a_success_and_no_bytes_panic(
        status in 0u16..1000,
        start in prop::sample::select(vec!["", "{", "[", "{\"id\":\"d1\",", "{\"error_code\":", "<html>"]),
        rest in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let body = [start.as_bytes(), &rest].concat();
        let answer = || RawResponse { content_type: None, body: body.clone().into(), ..answer(status, "") };
        let context = context(Operation::GetDeployment);
        let good = (200..300).contains(&status);
        let asked = asked();
        prop_assert!(deployments(&context, answer()).is_err() || good);
        prop_assert!(deployment(&context, answer()).is_err() || good);
        prop_assert!(submission(&context, answer()).is_err() || good);
        prop_assert!(super::status(&context, answer(), &asked).is_err() || good);
        prop_assert!(result(&context, answer(), &asked).is_err() || good);
        prop_assert!(cancellation(&context, answer(), &asked).is_err() || good);
        prop_assert!(deleted(&context, answer()).is_err() || good);
        prop_assert_eq!(proxy_reply(&context, answer()).is_ok(), good);
    }
}
