//! Tests of fault rules: which calls have a fault, how often, and with which probability.

use proptest::prelude::*;
use runcomfy_core::error::Operation;
use runcomfy_testkit::{Emulator, Fault, FaultKind, FaultRule};
use serde_json::{Value, json};

use super::{LIST, PATIENCE, call, look, quick, send, statuses, submit, written};

#[tokio::test]
async fn a_rule_skips_counts_and_ends() {
    let (emulator, _) = quick().await;
    emulator.inject(FaultRule::new(FaultKind::InternalError).skip(1).every(2).times(2));
    assert_eq!(statuses(&emulator, 7).await, [200, 200, 500, 200, 500, 200, 200]);
}

#[tokio::test]
async fn the_first_matching_rule_applies_and_the_header_precedes_all_rules() {
    let (emulator, _) = quick().await;
    emulator.inject(FaultRule::new(FaultKind::InternalError).times(1));
    emulator.inject(FaultKind::BadGateway);
    assert_eq!(call(&emulator, LIST, "gateway_timeout", "").await.status(), 504);
    assert_eq!(statuses(&emulator, 3).await, [500, 502, 502]);
    emulator.clear_faults();
    assert_eq!(statuses(&emulator, 1).await, [200]);
}

#[tokio::test]
async fn a_rule_may_be_for_one_operation() {
    let (emulator, fake) = quick().await;
    emulator.inject(FaultRule::new(FaultKind::InternalError).operation(Operation::SubmitRequest));
    assert_eq!(statuses(&emulator, 1).await, [200]);
    assert_eq!(submit(&emulator, "").await.status(), 500);
    assert_eq!(fake.runs_started(), 0);
}

#[tokio::test]
async fn a_rule_may_be_for_one_token() {
    let (emulator, _) = quick().await;
    emulator.inject(FaultRule::new(FaultKind::InternalError).token("you"));
    assert_eq!(statuses(&emulator, 1).await, [200]);
    let yours = written(LIST, "", "").replace("Bearer me", "Bearer you");
    assert_eq!(send(&emulator, &yours, PATIENCE).await.status(), 500);
}

#[tokio::test]
async fn a_fault_of_a_run_applies_to_submits_only() {
    let (emulator, _) = quick().await;
    emulator.inject(FaultKind::FailedRun);
    assert_eq!(statuses(&emulator, 1).await, [200]);
    let request = submit(&emulator, "").await.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(look(&emulator, &request, "result", "").await.json()["status"], "failed");
    assert_eq!(emulator.counters().totals.faults_of(FaultKind::FailedRun), 1);
}

#[tokio::test]
async fn the_fault_seed_determines_which_calls_have_a_fault() {
    let luck = async |seed| {
        let rule = FaultRule::new(FaultKind::InternalError).probability(0.5);
        let emulator = Emulator::builder().fault_seed(seed).fault(rule).start().await.unwrap();
        statuses(&emulator, 64).await
    };
    let (first, again, other) = (luck(1).await, luck(1).await, luck(2).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
    let struck = first.iter().filter(|status| **status == 500).count();
    assert!((16..48).contains(&struck), "{struck} of 64");
}

#[tokio::test]
async fn a_call_without_a_good_token_meets_nothing_but_its_refusal() {
    let (emulator, _) = quick().await;
    emulator.inject(FaultKind::InternalError);
    let nobody = written(LIST, "stall", "").replace("Bearer me", "Basic me");
    assert_eq!(send(&emulator, &nobody, PATIENCE).await.status(), 401);
    let counters = emulator.counters();
    assert_eq!((counters.unauthenticated, counters.totals.calls), (1, 0));
}

#[tokio::test]
async fn the_header_reaches_calls_that_need_no_token_too() {
    let (emulator, _) = quick().await;
    emulator.inject(FaultKind::InternalError);
    let health = "GET /healthz";
    assert_eq!(call(&emulator, health, "", "").await.status(), 200, "a rule is for operations");
    assert_eq!(call(&emulator, health, "cut_response(at=2)", "").await.body(), br#"{""#);
    assert_eq!(call(&emulator, health, "token_revoked", "").await.status(), 400);
    super::settled(&emulator).await;
    let open = emulator.counters().open;
    assert_eq!((open.calls, open.unanswered, open.submits.seen), (3, 1, 0));
}

#[tokio::test]
async fn a_header_that_makes_no_sense_is_refused_and_the_call_with_it() {
    let (emulator, fake) = quick().await;
    for (fault, field) in [
        ("no_such_fault", "fault"),
        ("rate_limited(retry_after=soon)", "retry_after"),
        ("rate_limited(retry_after=1", "fault"),
        ("rate_limited(wait=1)", "wait"),
        ("rate_limited(1)", "fault"),
        ("answer_lost(effect=none)", "effect"),
        ("reset_at_accept", "fault"),
        ("unknown_status", "fault"),
        ("error_code(message=\"open)", "fault"),
        ("cut_response(of=head)", "of"),
    ] {
        let refused = submit(&emulator, fault).await;
        assert_eq!(refused.status(), 400, "{fault}");
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        let place = error.strip_prefix("x-emulator-fault: ").unwrap();
        assert_eq!(place.split(':').next(), Some(field), "{error}");
    }
    assert_eq!((fake.runs_started(), emulator.counters().totals.submits.withheld), (0, 10));
}

/// Every parameter in the catalogue, with any valid value.
fn any_fault() -> impl Strategy<Value = Fault> {
    let kind = prop::sample::select(FaultKind::ALL);
    let words = "[ -~]{1,12}|päuse, \"(quoted)\"=\\\\";
    (kind, any::<u64>(), words, any::<bool>()).prop_map(|(kind, number, text, flag)| {
        let names = ["at", "bytes", "code", "every_ms", "mib", "ms", "retry_after"];
        let texts = ["message", "to", "type", "word"];
        let choices = [("of", "response"), ("end", "reset"), ("end", "close"), ("shape", "many")];
        let mut fault = Fault::new(kind);
        // Unknown parameters are refused and left out.
        let mut give = |name: &str, value: Value| {
            if let Ok(given) = fault.clone().with(name, value) {
                fault = given;
            }
        };
        for name in names {
            give(name, json!(number % 1_000));
        }
        for name in texts {
            give(name, json!(text));
        }
        for (name, word) in choices {
            give(name, json!(word));
        }
        give("effect", json!(if flag { "applied" } else { "none" }));
        fault
    })
}

proptest! {
    #[test]
    fn a_fault_survives_being_written_as_text_and_as_json(fault in any_fault()) {
        prop_assert_eq!(&fault.to_string().parse::<Fault>().unwrap(), &fault);
        prop_assert_eq!(&Fault::from_json(&fault.to_json()).unwrap(), &fault);
        prop_assert_eq!(&Fault::from_json(&json!(fault.to_string())).unwrap(), &fault);
    }

    #[test]
    fn no_text_makes_the_reader_of_faults_panic(text in "[a-z_]{0,12}[(]?[ -~]{0,24}") {
        let _ = text.parse::<Fault>();
        let _ = format!("cut_response({text}").parse::<Fault>();
    }
}
