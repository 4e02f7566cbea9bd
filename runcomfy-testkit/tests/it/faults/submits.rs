//! Tests of response and run faults on submits: the response, and whether a run was started.

use std::{io::Read as _, time::Duration};

use runcomfy_testkit::Fault;
use serde_json::json;

use super::{End, Seen, all_is_well, look, quick, submit};

type Case = (&'static str, u64, fn(&Seen));

/// Each fault, the number of runs that it starts, and the caller's response.
pub(super) const ANSWERS: [Case; 26] = [
    ("rate_limited", 0, |seen| {
        assert_eq!((seen.status(), seen.json()), (429, json!({"message": "Too Many Requests"})));
        assert_eq!(seen.header("retry-after").as_deref(), Some("1"));
    }),
    ("rate_limited(retry_after=7,effect=applied)", 1, |seen| {
        assert_eq!(seen.status(), 429);
        assert_eq!(seen.header("retry-after").as_deref(), Some("7"));
    }),
    ("internal_error", 0, |seen| {
        assert_eq!((seen.status(), &seen.json()["error_code"]), (500, &json!(500_001)));
    }),
    ("internal_error(effect=applied)", 1, |seen| assert_eq!(seen.status(), 500)),
    ("bad_gateway", 0, |seen| is_page(seen, 502)),
    ("unavailable", 0, |seen| {
        assert_eq!((seen.status(), seen.header("retry-after")), (503, None));
    }),
    ("unavailable(retry_after=5)", 0, |seen| {
        assert_eq!((seen.status(), seen.header("retry-after")), (503, Some("5".to_owned())));
    }),
    ("gateway_timeout", 1, |seen| is_page(seen, 504)),
    ("error_code", 0, |seen| {
        assert_eq!((seen.status(), &seen.json()["error_code"]), (200, &json!(10_002)));
    }),
    (r#"error_code(code=10001,message="No (more), funds")"#, 0, |seen| {
        let body = json!({"error_code": 10_001, "error_message": "No (more), funds"});
        assert_eq!((seen.status(), seen.json()), (200, body));
    }),
    ("refused", 0, |seen| {
        let body = json!({"error_code": 403_003, "error_message": "Forbidden"});
        assert_eq!((seen.status(), seen.json()), (403, body));
    }),
    ("refused(status=503,shape=empty,effect=applied)", 1, |seen| {
        assert_eq!((seen.status(), seen.body()), (503, &b""[..]));
    }),
    ("html", 0, |seen| is_page(seen, 200)),
    ("wrong_content_type", 1, |seen| {
        assert_eq!(seen.header("content-type").as_deref(), Some("text/plain"));
        assert!(seen.json()["request_id"].is_string());
    }),
    ("wrong_content_type(type=image/png,effect=none)", 0, |seen| {
        assert_eq!(seen.header("content-type").as_deref(), Some("image/png"));
        assert_eq!(seen.status(), 500);
    }),
    ("empty_body", 1, |seen| {
        assert_eq!((seen.status(), seen.body().len()), (200, 0));
        assert_eq!(seen.header("content-length").as_deref(), Some("0"));
    }),
    ("garbage", 0, |seen| {
        assert!(!seen.bytes.is_empty() && !seen.bytes.starts_with(b"HTTP"));
    }),
    ("redirect", 0, |seen| {
        assert_eq!(seen.status(), 307);
        assert_eq!(seen.header("location").as_deref(), Some("http://elsewhere.invalid/"));
    }),
    ("redirect(status=302,to=http://127.0.0.1:1/x?y=z)", 0, |seen| {
        assert_eq!(seen.status(), 302);
        assert_eq!(seen.header("location").as_deref(), Some("http://127.0.0.1:1/x?y=z"));
    }),
    ("unknown_fields", 1, |seen| {
        let body = seen.json();
        assert!(body["request_id"].is_string() && body["x_unheard_of"].is_object(), "{body}");
    }),
    ("gzip_bomb(mib=40)", 0, |seen| {
        assert_eq!(seen.header("content-encoding").as_deref(), Some("gzip"));
        let body = unchunked(seen.body());
        assert!(body.len() < 100_000, "{} bytes on the wire", body.len());
        let mut decoded = flate2::read::GzDecoder::new(&body[..]);
        let count = std::io::copy(&mut decoded.by_ref(), &mut std::io::sink()).unwrap();
        assert_eq!(count, 40 << 20);
    }),
    ("giant_headers", 0, |seen| {
        assert_eq!(seen.header("x-filler").unwrap().len(), 1 << 20);
    }),
    ("giant_headers(shape=many)", 0, |seen| {
        let many = seen.head().lines().filter(|line| line.starts_with("x-filler: ")).count();
        assert_eq!(many, 10_000);
    }),
    ("cut_response(at=5)", 1, |seen| {
        let promised: usize = seen.header("content-length").unwrap().parse().unwrap();
        assert!(promised > 5);
        assert_eq!((seen.status(), seen.body()), (200, &br#"{"req"#[..]));
    }),
    ("cut_response(at=17,of=response)", 1, |seen| {
        assert_eq!(seen.bytes, b"HTTP/1.1 200 OK\r\n");
    }),
    ("cut_response(at=4,effect=none)", 0, |seen| {
        assert_eq!((seen.status(), seen.body().len()), (500, 4));
    }),
];

fn is_page(seen: &Seen, status: u16) {
    assert_eq!(seen.status(), status);
    assert_eq!(seen.header("content-type").as_deref(), Some("text/html"));
    assert!(seen.body().starts_with(b"<html>"));
}

/// The body of a response with `transfer-encoding: chunked`.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
}

#[tokio::test]
async fn each_answer_is_as_the_table_says_and_so_is_its_effect() {
    for (fault, runs, sees) in ANSWERS {
        let (emulator, fake) = quick().await;
        let seen = submit(&emulator, fault).await;
        assert_eq!(seen.end, End::Closed, "{fault}");
        sees(&seen);
        assert_eq!(fake.runs_started(), runs, "{fault}");
        all_is_well(&emulator, fault).await;
        let counters = emulator.counters().totals;
        let kind = fault.parse::<Fault>().unwrap().kind();
        assert_eq!((counters.faults_of(kind), counters.submits.accepted), (1, runs), "{fault}");
    }
}

type Ends = fn(&serde_json::Value);

/// Each run fault and its result.
pub(super) const RUNS: [(&str, Ends); 6] = [
    ("failed_run", |result| {
        assert_eq!(result["status"], "failed");
        let error = &result["error"][0];
        assert!(error["errorCode"].is_i64() && error["error"].is_string(), "{result}");
        assert!(error["debugInfo"].is_string() && result.get("outputs").is_none(), "{result}");
    }),
    ("failed_run(error=object)", |result| {
        assert!(result["error"]["type"].is_string() && result["error"]["message"].is_string());
    }),
    ("failed_run(error=string)", |result| assert!(result["error"].is_string())),
    ("partial_outputs", |result| {
        assert_eq!(result["status"], "failed");
        assert!(result["error"].is_array());
        assert!(!result["outputs"].as_object().unwrap().is_empty(), "{result}");
    }),
    ("no_outputs", |result| {
        assert_eq!((&result["status"], &result["outputs"]), (&json!("succeeded"), &json!({})));
    }),
    ("cancelled_run", |result| assert_eq!(result["status"], "cancelled")),
];

#[tokio::test]
async fn each_fault_of_a_run_shows_in_its_result() {
    for (fault, ends) in RUNS {
        let (emulator, fake) = quick().await;
        let submitted = submit(&emulator, fault).await;
        let request = submitted.json()["request_id"].as_str().unwrap().to_owned();
        ends(&look(&emulator, &request, "result", "").await.json());
        // The next run is normal.
        let next = submit(&emulator, "").await.json()["request_id"].as_str().unwrap().to_owned();
        assert_eq!(look(&emulator, &next, "result", "").await.json()["status"], "succeeded");
        assert_eq!(fake.runs_started(), 2);
        all_is_well(&emulator, fault).await;
    }
}

#[tokio::test]
async fn a_file_that_a_partial_result_names_is_there() {
    let (emulator, _) = quick().await;
    let submitted = submit(&emulator, "partial_outputs").await;
    let request = submitted.json()["request_id"].as_str().unwrap().to_owned();
    let result = look(&emulator, &request, "result", "").await.json();
    let nodes = result["outputs"].as_object().unwrap();
    let url = nodes.values().find_map(|node| node["images"][0]["url"].as_str()).unwrap();
    let path = url.strip_prefix(emulator.url().as_str()).unwrap();
    let file = super::call(&emulator, &format!("GET /{path}"), "", "").await;
    assert_eq!((file.status(), &file.body()[1..4]), (200, &b"PNG"[..]));
}

#[tokio::test]
async fn a_fault_of_a_run_that_was_refused_is_not_the_next_ones() {
    let (emulator, _) = quick().await;
    let path =
        format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference", DEPLOYMENT = super::DEPLOYMENT);
    let body = r#"{"overrides": {"no such node": {"inputs": {"text": ""}}}}"#;
    let refused = super::call(&emulator, &path, "failed_run", body).await;
    assert_eq!(refused.status(), 422);
    let next = submit(&emulator, "").await.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(look(&emulator, &next, "result", "").await.json()["status"], "succeeded");
    all_is_well(&emulator, "failed_run").await;
}

#[tokio::test]
async fn a_trickle_keeps_its_pace() {
    let (emulator, fake) = quick().await;
    let seen = submit(&emulator, "trickle(bytes=16,every_ms=10)").await;
    let drops = seen.body().len().div_ceil(16) as u64;
    assert!(seen.json()["request_id"].is_string());
    assert!(seen.took >= Duration::from_millis(10 * drops), "{:?} for {drops}", seen.took);
    assert!(seen.took < super::PATIENCE / 2, "{:?} for {drops}", seen.took);
    assert_eq!(fake.runs_started(), 1);
    all_is_well(&emulator, "trickle").await;
}
