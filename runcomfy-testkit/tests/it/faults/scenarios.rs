//! Tests of scenarios with a sequence of calls.

use std::{collections::HashSet, time::Duration};

use runcomfy_testkit::{Emulator, FakeRunComfy, FaultKind, Scenario};

use super::{End, LIST, PATIENCE, Seen, look, quick, send, settled, statuses, submit, written};

async fn playing(name: &str) -> (Emulator, FakeRunComfy) {
    let (emulator, fake) = quick().await;
    emulator.play(name.parse().unwrap());
    (emulator, fake)
}

#[test]
fn the_scenarios_there_are() {
    let names: Vec<_> = Scenario::all().map(Scenario::name).collect();
    let wanted = [
        "flaky",
        "rate-limited",
        "outage",
        "answers-lost",
        "slow",
        "hostile",
        "odd-answers",
        "failed-runs",
    ];
    assert_eq!(names, wanted);
    for scenario in Scenario::all() {
        assert!(scenario.does().ends_with('.') && !scenario.rules().is_empty());
        assert_eq!(scenario.name().parse(), Ok(scenario));
    }
}

#[tokio::test]
async fn flaky_affects_about_a_tenth_of_all_calls_and_the_counters_add_up() {
    let (emulator, _) = playing("flaky").await;
    for _ in 0..400 {
        send(&emulator, &written(LIST, "", ""), PATIENCE).await;
    }
    settled(&emulator).await;
    let counters = emulator.counters();
    let at_accept: u64 = counters.connections.cut_at_accept.values().sum();
    let harmed = at_accept + counters.totals.faults.values().sum::<u64>();
    assert!((15..90).contains(&harmed), "{harmed} of 400");
    assert!(counters.totals.faults.len() >= 5, "{:?}", counters.totals.faults);
    assert_eq!(counters.totals.calls + at_accept, 400);
    assert_eq!(counters.broken(), [""; 0]);
}

#[tokio::test]
async fn rate_limited_lets_every_third_call_pass() {
    let (emulator, _) = playing("rate-limited").await;
    let passed = statuses(&emulator, 30).await.iter().filter(|status| **status == 200).count();
    assert_eq!((passed, emulator.counters().totals.answered["4xx"]), (10, 20));
}

#[tokio::test]
async fn in_an_outage_nothing_is_answered_and_nothing_says_for_how_long() {
    let (emulator, fake) = playing("outage").await;
    assert_eq!(statuses(&emulator, 3).await, [503; 3]);
    let refused = submit(&emulator, "").await;
    assert_eq!((refused.status(), refused.header("retry-after")), (503, None));
    assert_eq!(fake.runs_started(), 0);
    emulator.clear_faults();
    assert_eq!(statuses(&emulator, 1).await, [200]);
}

#[tokio::test]
async fn every_third_answer_to_a_submit_is_lost_and_its_run_is_not() {
    let (emulator, fake) = playing("answers-lost").await;
    let mut ends = Vec::new();
    for _ in 0..6 {
        ends.push(submit(&emulator, "").await.end);
    }
    use End::{Closed, Reset};
    assert_eq!(ends, [Closed, Closed, Reset, Closed, Closed, Reset]);
    let submits = emulator.counters().totals.submits;
    assert_eq!((fake.runs_started(), submits.confirmed, submits.answers_lost), (6, 4, 2));
    assert_eq!(statuses(&emulator, 3).await, [200; 3]);
}

#[tokio::test]
async fn slow_answers_come_late_or_never_and_others_at_once() {
    let (emulator, _) = playing("slow").await;
    let request = submit(&emulator, "").await.json()["request_id"].as_str().unwrap().to_owned();
    let path = format!("/prod/v1/deployments/{}/requests/{request}/status", super::DEPLOYMENT);
    for _ in 0..10 {
        let asked = written(&format!("GET {path}"), "", "");
        // Enough time to recognize the fault.
        send(&emulator, &asked, Duration::from_millis(50)).await;
    }
    settled(&emulator).await;
    let totals = emulator.counters().totals;
    assert_eq!(totals.faults_of(FaultKind::Stall), 1);
    assert!((1..9).contains(&totals.faults_of(FaultKind::Trickle)), "{:?}", totals.faults);
    assert_eq!(emulator.counters().broken(), [""; 0]);
}

#[tokio::test]
async fn hostile_answers_take_turns() {
    let (emulator, _) = playing("hostile").await;
    let mut harmless = 0;
    for _ in 0..16 {
        let seen: Seen = send(&emulator, &written(LIST, "", ""), PATIENCE).await;
        let fine = |seen: &Seen| {
            seen.bytes.starts_with(b"HTTP/1.1 200")
                && seen.header("content-type").as_deref() == Some("application/json")
                && serde_json::from_slice::<Vec<serde_json::Value>>(seen.body()).is_ok()
        };
        harmless += usize::from(fine(&seen));
    }
    settled(&emulator).await;
    let totals = emulator.counters().totals;
    assert_eq!((harmless, totals.faults.len()), (8, 7), "{:?}", totals.faults);
    assert_eq!(totals.faults_of(FaultKind::GiantHeaders), 2);
}

#[tokio::test]
async fn odd_answers_are_right_all_the_same() {
    let (emulator, fake) = playing("odd-answers").await;
    let request = submit(&emulator, "").await.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(fake.runs_started(), 1);
    assert_eq!(look(&emulator, &request, "status", "").await.status(), 404);
    let found = async { while look(&emulator, &request, "status", "").await.status() != 200 {} };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
    let mut words = HashSet::new();
    for _ in 0..40 {
        let status = look(&emulator, &request, "status", "").await.json();
        words.insert(status["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(words, HashSet::from(["completed".to_owned(), "paused".to_owned()]));
    assert_eq!(emulator.counters().totals.faults.len(), 5);
}

#[tokio::test]
async fn six_failed_runs_end_in_six_ways() {
    let (emulator, _) = playing("failed-runs").await;
    let mut ends = HashSet::new();
    for _ in 0..6 {
        let request = submit(&emulator, "").await.json()["request_id"].as_str().unwrap().to_owned();
        let result = look(&emulator, &request, "result", "").await.json();
        let shape = |value: Option<&serde_json::Value>| match value {
            Some(serde_json::Value::Array(_)) => "array",
            Some(serde_json::Value::Object(fields)) if fields.is_empty() => "empty",
            Some(serde_json::Value::Object(_)) => "object",
            Some(serde_json::Value::String(_)) => "string",
            _ => "none",
        };
        let word = result["status"].as_str().unwrap().to_owned();
        ends.insert((word, shape(result.get("error")), shape(result.get("outputs"))));
    }
    let wanted = [
        ("failed", "array", "none"),
        ("failed", "object", "none"),
        ("failed", "string", "none"),
        ("failed", "array", "object"),
        ("succeeded", "none", "empty"),
        ("cancelled", "none", "none"),
    ];
    let wanted: HashSet<_> = wanted.map(|(word, e, o)| (word.to_owned(), e, o)).into();
    assert_eq!(ends, wanted);
}
