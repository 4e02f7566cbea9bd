//! Tests of the data for the page.

use std::{collections::BTreeSet, time::Duration};

use runcomfy_testkit::{Emulator, FakeRunComfy};
use serde_json::{Value, json};

use crate::http::{Reply, call_as, with_fields};

const TEXT_TO_IMAGE: &str = "a1b2c3d4-0000-4000-8000-000000000001";
const PROMPT_BUILDER: &str = "a1b2c3d4-0000-4000-8000-000000000006";
const BROKEN: &str = "a1b2c3d4-0000-4000-8000-000000000010";
const PAUSED: &str = "a1b2c3d4-0000-4000-8000-000000000011";

const SAMPLE: &str = include_str!("../../src/emulator/page/overview.sample.json");

/// Runs that end at once, on instances that stop at once.
async fn quick() -> Emulator {
    let account = FakeRunComfy::builder()
        .cold_start(Duration::ZERO)
        .run_time(Duration::ZERO)
        .keep_warm(Duration::ZERO);
    Emulator::builder().account(account).start().await.unwrap()
}

async fn submit(emulator: &Emulator, token: &str, deployment: &str) -> Reply {
    let path = format!("POST /prod/v1/deployments/{deployment}/inference");
    call_as(emulator, Some(&format!("Bearer {token}")), &path, Some(json!({}))).await
}

/// Requests the overview as the page does, without a token.
async fn overview(emulator: &Emulator, query: &str) -> Reply {
    call_as(emulator, None, &format!("GET /_emulator/overview{query}"), None).await
}

async fn tag(emulator: &Emulator) -> String {
    overview(emulator, "").await.header("etag").unwrap()
}

/// The status of a request with this ETag.
async fn since(emulator: &Emulator, tag: &str) -> u16 {
    knowing(emulator, tag).await.status
}

async fn knowing(emulator: &Emulator, tag: &str) -> Reply {
    let known = [("if-none-match", tag)];
    with_fields(emulator.url(), &known, "GET /_emulator/overview", "").await.unwrap()
}

/// Collects the paths of keys, such as `accounts[].requests[].status`.
fn shape(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let place = format!("{place}.{key}");
                shape(value, &place, found);
                found.insert(place);
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| shape(item, &format!("{place}[]"), found))
        }
        _ => {}
    }
}

#[tokio::test]
async fn its_keys_are_those_of_the_sample_that_the_page_is_tried_with() {
    let emulator = quick().await;
    for deployment in [TEXT_TO_IMAGE, PROMPT_BUILDER, BROKEN, PAUSED] {
        submit(&emulator, "me", deployment).await;
    }
    // An instance that keeps running.
    let path = format!("PATCH /prod/v2/deployments/{TEXT_TO_IMAGE}");
    let body = json!({"name": "text-to-image", "min_instances": 1});
    let updated = call_as(&emulator, Some("Bearer me"), &path, Some(body)).await;
    assert_eq!(updated.status, 200, "{}", updated.text());

    let (mut real, mut sample) = (BTreeSet::new(), BTreeSet::new());
    shape(&overview(&emulator, "").await.json(), "", &mut real);
    shape(&serde_json::from_str(SAMPLE).unwrap(), "", &mut sample);
    // This emulator has no ComfyUI.
    sample.retain(|place| !place.starts_with(".comfyui[]"));
    assert_eq!(real, sample);
}

#[tokio::test]
async fn it_shows_no_token() {
    let emulator = quick().await;
    submit(&emulator, "a-secret-of-mine", TEXT_TO_IMAGE).await;
    let reply = overview(&emulator, "").await;
    assert_eq!(reply.json()["accounts"][0]["requests"].as_array().unwrap().len(), 1);
    assert!(!reply.text().contains("secret"));
}

#[tokio::test]
async fn where_nothing_happened_the_answer_is_empty() {
    let emulator = quick().await;
    assert_eq!(since(&emulator, &tag(&emulator).await).await, 304, "before the first call");
    submit(&emulator, "me", TEXT_TO_IMAGE).await;
    let reply = overview(&emulator, "").await;
    let (before, tag) = (reply.json()["now"].clone(), reply.header("etag").unwrap());
    let empty = knowing(&emulator, &tag).await;
    assert_eq!((empty.status, empty.body.len()), (304, 0));
    let after = overview(&emulator, "").await;
    assert_ne!(after.json()["now"], before, "time went on");
    assert_eq!(after.header("etag").unwrap(), tag);
}

#[tokio::test]
async fn a_call_is_news_and_so_is_a_fault_that_begins() {
    let emulator = quick().await;
    submit(&emulator, "me", TEXT_TO_IMAGE).await;
    let seen = tag(&emulator).await;
    call_as(&emulator, Some("Bearer me"), "GET /prod/v2/deployments", None).await;
    assert_eq!(since(&emulator, &seen).await, 200);
    let seen = tag(&emulator).await;
    emulator.play("slow".parse().unwrap());
    assert_eq!(since(&emulator, &seen).await, 200);
    let seen = tag(&emulator).await;
    assert_eq!(since(&emulator, &format!("\"other\", {seen}")).await, 304, "among several");
}

#[tokio::test]
async fn overview_requests_are_not_counted_as_calls() {
    let emulator = quick().await;
    submit(&emulator, "me", TEXT_TO_IMAGE).await;
    let before = emulator.counters();
    for query in ["", "?account=nobody", ""] {
        overview(&emulator, query).await;
    }
    let after = emulator.counters();
    assert_eq!((after.totals, after.open), (before.totals, before.open));
}

#[tokio::test]
async fn recent_calls_tell_what_they_were_about_and_what_they_were_refused_by() {
    let emulator = quick().await;
    let submitted = submit(&emulator, "me", TEXT_TO_IMAGE).await.json();
    let id = &submitted["request_id"];
    let status =
        |id: &str| format!("GET /prod/v1/deployments/{TEXT_TO_IMAGE}/requests/{id}/status");
    call_as(&emulator, Some("Bearer me"), &status(id.as_str().unwrap()), None).await;
    let faulty = [("authorization", "Bearer me"), ("x-emulator-fault", "rate_limited")];
    with_fields(emulator.url(), &faulty, &status(id.as_str().unwrap()), "").await.unwrap();
    submit(&emulator, "me", PAUSED).await;
    let calls = overview(&emulator, "").await.json()["accounts"][0]["calls"].clone();
    let of = |keys: &[&str]| -> Vec<Value> {
        let calls = calls.as_array().unwrap().iter();
        calls.map(|call| keys.iter().map(|key| call[*key].clone()).collect()).collect()
    };
    assert_eq!(
        of(&["operation", "status", "error_code", "fault", "request_id"]),
        [
            json!(["submit_request", 200, 10002, null, null]),
            json!(["get_request_status", 429, null, "rate_limited", id]),
            json!(["get_request_status", 200, null, null, id]),
            json!(["submit_request", 200, null, null, id]),
        ]
    );
}

#[tokio::test]
async fn a_submit_whose_answer_was_lost_tells_what_it_started() {
    let emulator = quick().await;
    let path = format!("POST /prod/v1/deployments/{TEXT_TO_IMAGE}/inference");
    let fields = [("authorization", "Bearer me"), ("x-emulator-fault", "answer_lost")];
    assert!(with_fields(emulator.url(), &fields, &path, "{}").await.is_err());
    let mine = overview(&emulator, "").await.json()["accounts"][0].clone();
    assert_eq!(mine["calls"][0]["status"], Value::Null);
    assert!(mine["requests"][0]["request_id"].is_string());
    assert_eq!(mine["calls"][0]["request_id"], mine["requests"][0]["request_id"]);
}

#[tokio::test]
async fn of_many_accounts_only_the_chosen_one_is_told_in_full() {
    const MANY: usize = 100;
    let emulator = quick().await;
    for number in 0..MANY {
        submit(&emulator, &format!("one-of-many-{number}"), TEXT_TO_IMAGE).await;
    }
    let full = |told: &Value| -> Vec<String> {
        let accounts = told["accounts"].as_array().unwrap();
        assert_eq!(accounts.len(), MANY);
        let full = accounts.iter().filter(|one| {
            assert!(one["balance_usd"].is_number(), "{one}");
            let parts = ["deployments", "requests", "calls"].map(|key| one[key].is_array());
            assert!(parts == [true; 3] || parts == [false; 3], "{one}");
            parts[0]
        });
        full.map(|one| one["account"].as_str().unwrap().to_owned()).collect()
    };
    let told = overview(&emulator, "").await.json();
    let first = told["accounts"][0]["account"].as_str().unwrap();
    let last = told["accounts"][MANY - 1]["account"].as_str().unwrap();
    assert_eq!(full(&told), [first]);
    for (asked, shown) in [(last, last), ("nobody", first), ("%FF", first)] {
        let reply = overview(&emulator, &format!("?account={asked}")).await;
        assert_eq!(reply.status, 200);
        assert_eq!(full(&reply.json()), [shown], "{asked}");
        assert!(reply.body.len() < 40_000, "{} bytes", reply.body.len());
    }
}

#[tokio::test]
async fn accounts_stay_in_their_places() {
    let emulator =
        Emulator::builder().accounts(|_, builder| Some(builder.build())).start().await.unwrap();
    let mut before: Vec<Value> = Vec::new();
    for number in 0..20 {
        submit(&emulator, &format!("one-of-many-{number}"), TEXT_TO_IMAGE).await;
        let told = overview(&emulator, "").await.json();
        let told = told["accounts"].as_array().unwrap().iter().map(|one| one["account"].clone());
        let told: Vec<_> = told.collect();
        let still: Vec<_> = told.iter().filter(|one| before.contains(one)).cloned().collect();
        assert_eq!(still, before);
        before = told;
    }
}

#[cfg(feature = "program")]
#[tokio::test]
async fn a_restart_is_news() {
    use crate::{http::raw_at, program::Running};

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let arguments = ["--state", file.to_str().unwrap(), "--seed", "7"];
    let running = Running::start(&arguments);
    // Opens the account, is not listed among the calls, and is answered once it is on disk.
    let fields = [("authorization", "Bearer me"), ("content-type", "application/json")];
    let body = r#"{"amount_usd": 1}"#;
    let paid = with_fields(&running.url, &fields, "POST /_emulator/pay-in", body).await.unwrap();
    assert_eq!(paid.status, 200);
    let before = raw_at(&running.url, None, "GET /_emulator/overview", "").await.unwrap();
    running.kill();
    let running = Running::start(&arguments);
    let known = [("if-none-match", before.header("etag").unwrap())];
    let known = known.each_ref().map(|(name, tag)| (*name, tag.as_str()));
    let after = with_fields(&running.url, &known, "GET /_emulator/overview", "").await.unwrap();
    assert_eq!(after.status, 200);
    let without_time = |reply: &Reply| {
        let mut told = reply.json();
        told.as_object_mut().unwrap().remove("now");
        told
    };
    assert_eq!(without_time(&after), without_time(&before));
}
