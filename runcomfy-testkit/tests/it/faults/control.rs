//! Tests of the control API for faults.

use runcomfy_testkit::{Emulator, FaultKind, Scenario};
use serde_json::{Value, json};

use super::{PATIENCE, Seen, call, quick, send, submit, written};

const FAULTS: &str = "/_emulator/faults";

async fn post(emulator: &Emulator, path: &str, body: &Value) -> Seen {
    call(emulator, &format!("POST {path}"), "", &body.to_string()).await
}

#[tokio::test]
async fn the_catalogue_names_every_fault_with_its_parameters() {
    let (emulator, _) = quick().await;
    let listed = call(&emulator, &format!("GET {FAULTS}"), "", "").await.json();
    assert_eq!(listed["rules"], json!([]));
    let faults = listed["faults"].as_array().unwrap();
    let names: Vec<_> = faults.iter().map(|one| one["fault"].as_str().unwrap()).collect();
    let wanted: Vec<_> = FaultKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names, wanted);
    let cut = faults.iter().find(|one| one["fault"] == "cut_response").unwrap();
    assert_eq!(cut["parameters"]["at"]["default"], 100);
    assert_eq!(cut["parameters"]["of"]["one_of"], json!(["body", "response"]));
    assert_eq!(cut["effect"], json!({"default": "applied", "one_of": ["applied", "none"]}));
}

#[tokio::test]
async fn a_rule_is_added_seen_at_work_and_cleared() {
    let (emulator, fake) = quick().await;
    let rule = json!({
        "fault": {"fault": "rate_limited", "retry_after": 3}, "operation": "submit_request",
        "token": "me", "times": 5, "skip": 1, "every": 2, "probability": 1,
    });
    assert_eq!(post(&emulator, FAULTS, &rule).await.status(), 200);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(submit(&emulator, "").await.status());
    }
    assert_eq!((statuses, fake.runs_started()), (vec![200, 200, 429], 2));
    let listed = call(&emulator, &format!("GET {FAULTS}"), "", "").await.json();
    let account = listed["rules"][0]["account"].as_str().unwrap();
    let shown = json!([{
        "fault": {"fault": "rate_limited", "retry_after": 3}, "operation": "submit_request",
        "account": account, "times": 5, "skip": 1, "every": 2, "fired": 1,
    }]);
    assert_eq!(listed["rules"], shown);
    // The listed form is accepted as input.
    let again = json!({"fault": "stall", "account": account});
    assert_eq!(post(&emulator, FAULTS, &again).await.json()["rules"][1]["account"], account);
    let cleared = call(&emulator, &format!("DELETE {FAULTS}"), "", "").await;
    assert_eq!((cleared.status(), cleared.json()), (200, json!({"rules": []})));
    assert_eq!(submit(&emulator, "").await.status(), 200);
}

#[tokio::test]
async fn a_scenario_is_played_by_name() {
    let (emulator, _) = quick().await;
    let path = "/_emulator/scenarios";
    let listed = call(&emulator, &format!("GET {path}"), "", "").await.json();
    assert_eq!(listed["scenarios"].as_array().unwrap().len(), Scenario::all().count());
    let played = post(&emulator, path, &json!({"scenario": "outage"})).await;
    assert_eq!(played.json()["rules"][0]["scenario"], "outage");
    assert_eq!(submit(&emulator, "").await.status(), 503);
    for (body, field) in [
        (json!({"scenario": "outrage"}), "scenario"),
        (json!({"scenario": 1}), "scenario"),
        (json!({}), "scenario"),
        (json!({"scenario": "outage", "for": "ever"}), "for"),
        (json!(["outage"]), "body"),
    ] {
        let refused = post(&emulator, path, &body).await;
        assert_eq!((refused.status(), &refused.json()["field"]), (422, &json!(field)), "{body}");
    }
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
    let (emulator, _) = quick().await;
    for (body, field) in [
        (json!({}), "fault"),
        (json!([]), "body"),
        (json!({"fault": "no_such"}), "fault"),
        (json!({"fault": 7}), "fault"),
        (json!({"fault": {"at": 1}}), "fault"),
        (json!({"fault": "stall", "whom": "me"}), "whom"),
        (json!({"fault": "stall", "operation": "submit"}), "operation"),
        (json!({"fault": "failed_run", "operation": "get_request_status"}), "operation"),
        (json!({"fault": "stall", "times": -1}), "times"),
        (json!({"fault": "stall", "skip": "one"}), "skip"),
        (json!({"fault": "stall", "every": 0}), "every"),
        (json!({"fault": "stall", "probability": 1.5}), "probability"),
        (json!({"fault": "stall", "token": ""}), "token"),
        (json!({"fault": "stall", "account": "me"}), "account"),
        (json!({"fault": {"fault": "trickle", "bytes": "many"}}), "bytes"),
        (json!({"fault": {"fault": "redirect", "to": "http://x/\r\nset-cookie: a=b"}}), "to"),
        // It could not be removed.
        (json!({"fault": "reset_at_accept"}), "times"),
        (json!({"fault": "reset_at_accept", "times": 1, "token": "me"}), "fault"),
    ] {
        let refused = post(&emulator, FAULTS, &body).await;
        assert_eq!((refused.status(), &refused.json()["field"]), (422, &json!(field)), "{body}");
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(&format!("{field}: ")) && error.lines().count() == 1, "{error}");
    }
    let not_json = call(&emulator, &format!("POST {FAULTS}"), "", "{").await;
    assert_eq!((not_json.status(), &not_json.json()["field"]), (422, &json!("body")));
    let listed = call(&emulator, &format!("GET {FAULTS}"), "", "").await.json();
    assert_eq!(listed["rules"], json!([]));
}

#[tokio::test]
async fn a_page_of_another_origin_can_change_nothing_and_read_nothing() {
    let (emulator, _) = quick().await;
    let json = "content-type: application/json\r\n";
    let mut simple = Vec::new();
    for kind in
        ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"]
    {
        for what in
            ["POST /_emulator/faults", "DELETE /_emulator/faults", "POST /_emulator/scenarios"]
        {
            simple.push(written(what, "", r#"{"fault":"stall"}"#).replace(json, kind));
        }
    }
    for sent in simple {
        assert_eq!(send(&emulator, &sent, PATIENCE).await.status(), 415, "{sent}");
    }
    // A CORS preflight is not granted.
    for what in ["OPTIONS /_emulator/faults", "GET /_emulator/faults", "GET /_emulator/counters"] {
        let asked = written(what, "", "").replace(
            "connection: close",
            "origin: http://evil.example\r\naccess-control-request-method: DELETE\r\nconnection: close",
        );
        let seen = send(&emulator, &asked, PATIENCE).await;
        assert!(!seen.head().to_lowercase().contains("access-control"), "{}", seen.head());
    }
    let listed = call(&emulator, &format!("GET {FAULTS}"), "", "").await.json();
    assert_eq!(listed["rules"], json!([]));
}

#[tokio::test]
async fn nothing_shows_a_token() {
    let secret = "rc-secret-0123456789";
    let emulator = Emulator::builder().start().await.unwrap();
    let list = written("GET /prod/v2/deployments", "", "");
    send(&emulator, &list.replace("Bearer me", &format!("Bearer {secret}")), PATIENCE).await;
    let rule = json!({"fault": "stall", "token": secret});
    let mut shown = String::from_utf8(post(&emulator, FAULTS, &rule).await.bytes).unwrap();
    for path in [FAULTS, "/_emulator/counters"] {
        let seen = call(&emulator, &format!("GET {path}"), "", "").await;
        shown.push_str(std::str::from_utf8(&seen.bytes).unwrap());
    }
    assert!(!shown.contains("secret"), "{shown}");
    let accounts = emulator.counters().accounts;
    let (name, one) = accounts.iter().next().unwrap();
    assert_eq!((accounts.len(), name.len(), one.calls), (1, 12, 1));
    // The same name in both, so that they can be related.
    assert_eq!(shown.matches(&format!("\"{name}\"")).count(), 3);
}

#[tokio::test]
async fn the_counters_say_what_a_test_can_ask_from_rust() {
    let (emulator, _) = quick().await;
    submit(&emulator, "").await;
    submit(&emulator, "answer_lost").await;
    submit(&emulator, "unavailable").await;
    let shown = call(&emulator, "GET /_emulator/counters", "", "").await.json();
    let submits = json!({
        "seen": 3, "accepted": 2, "refused": 0, "withheld": 1, "confirmed": 1, "answers_lost": 1,
    });
    assert_eq!(shown["accounts"]["shared"]["submits"], submits);
    assert_eq!(shown["totals"]["operations"], json!({"submit_request": 3}));
    assert_eq!(shown["totals"]["faults"], json!({"answer_lost": 1, "unavailable": 1}));
    assert_eq!(shown["broken"], json!([]));
    let counters = serde_json::to_value(emulator.counters()).unwrap();
    assert_eq!(shown["totals"], counters["totals"]);
}
