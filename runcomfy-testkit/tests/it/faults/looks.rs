//! Tests of faults that appear when a request is polled or a token is used again.

use std::time::Duration;

use runcomfy_testkit::{Emulator, FakeRunComfy, Script};

use super::{PATIENCE, all_is_well, call, look, quick, submit};

pub(super) const EXERCISED: [&str; 5] = [
    "canceled_spelling",
    "cancelled_spelling",
    "not_found_at_first",
    "token_revoked",
    "unknown_status",
];

async fn submitted(emulator: &Emulator, fault: &str) -> String {
    submit(emulator, fault).await.json()["request_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_unknown_status_word() {
    let (emulator, _) = quick().await;
    let request = submitted(&emulator, "").await;
    for action in ["status", "result"] {
        let plain = look(&emulator, &request, action, "unknown_status").await.json();
        assert_eq!(plain["status"], "paused");
        let named = look(&emulator, &request, action, "unknown_status(word=on hold)").await.json();
        assert_eq!(named["status"], "on hold");
        let right = look(&emulator, &request, action, "").await.json();
        assert_eq!(right["request_id"], named["request_id"]);
        assert_ne!(right["status"], named["status"]);
    }
    all_is_well(&emulator, "unknown_status").await;
}

#[tokio::test]
async fn both_spellings_whatever_the_service_says() {
    let script = Script::default().cancelled();
    for (script, fault, word) in [
        (script.clone(), "canceled_spelling", "canceled"),
        (script.clone(), "", "cancelled"),
        (script.clone().spelled_canceled(), "cancelled_spelling", "cancelled"),
        (script.spelled_canceled(), "", "canceled"),
    ] {
        let fake = FakeRunComfy::builder()
            .cold_start(Duration::ZERO)
            .run_time(Duration::ZERO)
            .next_request(script)
            .build();
        let emulator = Emulator::start(fake).await.unwrap();
        let request = submitted(&emulator, "").await;
        for action in ["status", "result"] {
            let looked = look(&emulator, &request, action, fault).await.json();
            assert_eq!(looked["status"], word, "{action} with {fault}");
        }
    }
}

#[tokio::test]
async fn a_cancellation_is_spelled_as_asked() {
    let fake = FakeRunComfy::builder().cold_start(PATIENCE * 100).build();
    let emulator = Emulator::start(fake).await.unwrap();
    let request = submitted(&emulator, "").await;
    let cancelled = look(&emulator, &request, "cancel", "canceled_spelling").await.json();
    assert_eq!(cancelled["outcome"], "canceled");
}

#[tokio::test]
async fn a_request_that_is_not_found_at_first_is_found_later() {
    let (emulator, fake) = quick().await;
    let request = submitted(&emulator, "not_found_at_first(ms=300)").await;
    assert_eq!(fake.runs_started(), 1);
    for action in ["status", "result"] {
        let looked = look(&emulator, &request, action, "").await;
        assert_eq!((looked.status(), &looked.json()["error_code"]), (404, &404_001.into()));
    }
    let other = submitted(&emulator, "").await;
    assert_eq!(look(&emulator, &other, "status", "").await.status(), 200);
    let found = async { while look(&emulator, &request, "status", "").await.status() != 200 {} };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
    all_is_well(&emulator, "not_found_at_first").await;
}

#[tokio::test]
async fn a_token_stays_revoked_until_the_faults_are_cleared() {
    let (emulator, fake) = quick().await;
    let first = submit(&emulator, "token_revoked").await;
    assert_eq!((first.status(), first.body()), (401, &b"Unauthorized"[..]));
    let list = "GET /prod/v2/deployments";
    assert_eq!(call(&emulator, list, "", "").await.status(), 401);
    let other = super::written(list, "", "").replace("Bearer me", "Bearer you");
    assert_eq!(super::send(&emulator, &other, PATIENCE).await.status(), 200);
    emulator.clear_faults();
    assert_eq!(fake.runs_started(), 0);
    all_is_well(&emulator, "token_revoked").await;
}
