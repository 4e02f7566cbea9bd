//! Histories that can't be, written by hand: each rule is seen to fire.

use super::*;
use crate::history::{Answer, Claim, Deployed, Run};

fn submit(told: Told) -> Call {
    keyed(None, told)
}

fn keyed(key: Option<&str>, told: Told) -> Call {
    let key = key.map(str::to_owned);
    Call { user: 0, asked: Asked::Submit { marker: "m".to_owned(), key, wait: false }, told }
}

fn call(asked: Asked, told: Told) -> Call {
    Call { user: 0, asked, told }
}

fn done(id: &str) -> Told {
    Told::Done(Answer { id: Some(id.to_owned()), ..Answer::default() })
}

fn replayed(id: &str) -> Told {
    Told::Done(Answer { id: Some(id.to_owned()), replayed: true, seen: None })
}

fn saw(claim: Claim, truth: Truth) -> Told {
    Told::Done(Answer { id: None, replayed: false, seen: Some((claim, truth)) })
}

fn failed(outcome: Outcome) -> Told {
    Told::Failed { kind: String::new(), outcome, id: None }
}

/// What the service did: runs of marker `m` with these ids.
fn runs(ids: &[&str]) -> Effects {
    ended(&ids.iter().map(|id| (*id, Truth::Succeeded)).collect::<Vec<_>>())
}

fn ended(runs: &[(&str, Truth)]) -> Effects {
    let run =
        |(id, end): &(&str, Truth)| ((*id).to_owned(), Run { marker: "m".to_owned(), end: *end });
    Effects { runs: runs.iter().map(run).collect(), ..Effects::default() }
}

fn deployed(all: &[(&str, u64)]) -> Effects {
    let one = |(id, keep_warm): &(&str, u64)| {
        ((*id).to_owned(), Deployed { name: "n".to_owned(), keep_warm: *keep_warm })
    };
    Effects { deployments: all.iter().map(one).collect(), ..Effects::default() }
}

fn create(told: Told) -> Call {
    call(Asked::Create { name: "n".to_owned(), key: None }, told)
}

fn update(keep_warm: u64, told: Told) -> Call {
    call(Asked::Update { deployment_id: "d".to_owned(), keep_warm }, told)
}

fn delete(told: Told) -> Call {
    call(Asked::Delete { deployment_id: "d".to_owned() }, told)
}

fn cancel(told: Told) -> Call {
    call(Asked::Cancel { request_id: "r".to_owned() }, told)
}

fn result(told: Told) -> Call {
    call(Asked::Result { request_id: "r".to_owned() }, told)
}

#[track_caller]
fn fine(history: &[Call], effects: Effects) -> Report {
    check(history, &[effects]).unwrap()
}

#[track_caller]
fn wrong(history: &[Call], effects: Effects) -> Violation {
    check(history, &[effects]).unwrap_err()
}

#[test]
fn an_answered_submit_is_one_run_of_that_id() {
    fine(&[submit(done("r"))], runs(&["r"]));
    assert!(matches!(wrong(&[submit(done("r"))], runs(&[])), Violation::Lost { .. }));
    assert!(matches!(wrong(&[submit(done("r"))], runs(&["other"])), Violation::Lost { .. }));
    let two = wrong(&[submit(done("r"))], runs(&["r", "other"]));
    assert!(matches!(two, Violation::Doubled { effects: 2, may_be: 1, .. }));
}

#[test]
fn a_submit_that_was_denied_is_no_run() {
    for outcome in [Outcome::NotSent, Outcome::Rejected] {
        fine(&[submit(failed(outcome))], runs(&[]));
        let one = wrong(&[submit(failed(outcome))], runs(&["r"]));
        assert!(matches!(one, Violation::Doubled { effects: 1, may_be: 0, .. }));
    }
}

#[test]
fn a_submit_of_unknown_outcome_or_without_an_answer_is_at_most_one_run() {
    for told in [failed(Outcome::Unknown), Told::Nothing] {
        fine(&[submit(told.clone())], runs(&[]));
        fine(&[submit(told.clone())], runs(&["r"]));
        let two = wrong(&[submit(told)], runs(&["r", "other"]));
        assert!(matches!(two, Violation::Doubled { effects: 2, may_be: 1, .. }));
    }
}

#[test]
fn a_failure_that_names_a_run_is_held_to_it() {
    let told =
        Told::Failed { kind: String::new(), outcome: Outcome::Applied, id: Some("r".to_owned()) };
    fine(&[submit(told.clone())], runs(&["r"]));
    assert!(matches!(wrong(&[submit(told)], runs(&[])), Violation::Lost { .. }));
}

#[test]
fn a_repeated_call_without_a_key_is_another_run_or_the_first_replayed() {
    let twice = |second| [submit(Told::Nothing), submit(second)];
    assert_eq!(fine(&twice(done("r")), runs(&["r"])).doubled_reissues, 0);
    assert_eq!(fine(&twice(done("r")), runs(&["q", "r"])).doubled_reissues, 1);
    fine(&twice(replayed("r")), runs(&["r"]));
    let two = wrong(&twice(replayed("r")), runs(&["q", "r"]));
    assert!(matches!(two, Violation::Doubled { effects: 2, may_be: 1, .. }));
    let three = wrong(&twice(done("r")), runs(&["p", "q", "r"]));
    assert!(matches!(three, Violation::Doubled { effects: 3, may_be: 2, .. }));
}

#[test]
fn two_calls_do_not_have_one_run_unless_they_say_so() {
    let shared = wrong(&[submit(done("r")), submit(done("r"))], runs(&["r"]));
    assert!(matches!(shared, Violation::Shared { .. }));
    fine(&[submit(Told::Nothing), submit(replayed("r"))], runs(&["r"]));
}

#[test]
fn an_answer_that_was_read_is_not_given_again_without_a_key() {
    let again = wrong(&[submit(done("r")), submit(replayed("r"))], runs(&["r"]));
    assert!(matches!(again, Violation::ReplayedAfterDelivery { .. }));
    // One that was lost is given once, as long as that answer is not lost, too.
    let lost = |more: &[Told]| -> Vec<Call> {
        [&[Told::Nothing], more].concat().into_iter().map(submit).collect()
    };
    fine(&lost(&[replayed("r"), done("s")]), runs(&["r", "s"]));
    fine(&lost(&[Told::Nothing, replayed("r")]), runs(&["r"]));
    let twice = wrong(&lost(&[replayed("r"), replayed("r")]), runs(&["r"]));
    assert!(matches!(twice, Violation::ReplayedAfterDelivery { .. }));
    let with_key = |told| keyed(Some("k"), told);
    fine(&[with_key(done("r")), with_key(replayed("r")), with_key(replayed("r"))], runs(&["r"]));
    // Another call's loss is no reason.
    let other = wrong(&[with_key(Told::Nothing), submit(replayed("r"))], runs(&["r"]));
    assert!(matches!(other, Violation::ReplayedAfterDelivery { .. }));
}

#[test]
fn all_calls_with_one_key_are_one_run_of_one_id() {
    let with_key = |told| keyed(Some("k"), told);
    let history = [with_key(Told::Nothing), with_key(failed(Outcome::Unknown))];
    fine(&history, runs(&["r"]));
    let two = wrong(&history, runs(&["q", "r"]));
    assert!(matches!(two, Violation::Doubled { effects: 2, may_be: 1, .. }));
    let mut other = with_key(done("q"));
    other.asked = Asked::Submit { marker: "n".to_owned(), key: Some("k".to_owned()), wait: false };
    let mut effects = runs(&["r", "q"]);
    effects.runs.get_mut("q").unwrap().marker = "n".to_owned();
    let split = wrong(&[with_key(done("r")), other.clone()], effects.clone());
    assert!(matches!(split, Violation::KeySplit { .. }));
    // Nor where nobody was told of the other.
    other.told = failed(Outcome::Unknown);
    let split = wrong(&[with_key(done("r")), other.clone()], effects);
    assert!(matches!(split, Violation::KeySplit { .. }));
    fine(&[with_key(done("r")), other], runs(&["r"]));
}

#[test]
fn what_nobody_asked_for_is_somebody_elses() {
    assert!(matches!(wrong(&[], runs(&["r"])), Violation::Stray { .. }));
    assert!(matches!(wrong(&[], deployed(&[("d", 60)])), Violation::Stray { .. }));
    // The other user's.
    let mut others = submit(done("r"));
    others.user = 1;
    let mixed = check(&[others], &[runs(&["r"]), Effects::default()]);
    assert!(matches!(mixed, Err(Violation::Stray { user: 0, .. })));
}

#[test]
fn what_is_said_of_a_run_is_true_then_and_in_the_end() {
    let history = |claim, truth| [submit(done("r")), result(saw(claim, truth))];
    let end = |truth| ended(&[("r", truth)]);
    fine(&history(Claim::Succeeded, Truth::Succeeded), end(Truth::Succeeded));
    fine(&history(Claim::Completed, Truth::Failed), end(Truth::Failed));
    for (claim, then, finally) in [
        (Claim::Succeeded, Truth::Open, Truth::Succeeded), // too early
        (Claim::Succeeded, Truth::Succeeded, Truth::Failed),
        (Claim::Succeeded, Truth::Failed, Truth::Failed),
        (Claim::Completed, Truth::Open, Truth::Succeeded),
        (Claim::Failed, Truth::Succeeded, Truth::Succeeded),
        (Claim::NotCancellable, Truth::Open, Truth::Succeeded),
    ] {
        let untrue = wrong(&history(claim, then), end(finally));
        assert!(matches!(untrue, Violation::Untrue { .. }), "{claim:?} {then:?} {finally:?}");
    }
}

#[test]
fn a_run_that_is_said_to_be_cancelled_is() {
    let history = |told| [submit(done("r")), cancel(told)];
    let said = || saw(Claim::Cancelled, Truth::Cancelled);
    fine(&history(said()), ended(&[("r", Truth::Cancelled)]));
    let untrue = wrong(&history(saw(Claim::Cancelled, Truth::Open)), runs(&["r"]));
    assert!(matches!(untrue, Violation::Untrue { .. }));
}

#[test]
fn a_run_is_cancelled_by_somebody() {
    let effects = || ended(&[("r", Truth::Cancelled)]);
    for told in [failed(Outcome::Unknown), Told::Nothing] {
        fine(&[submit(done("r")), cancel(told)], effects());
    }
    for history in [
        vec![submit(done("r"))],
        vec![submit(done("r")), cancel(failed(Outcome::Rejected))],
        vec![submit(done("r")), cancel(failed(Outcome::NotSent))],
    ] {
        let nobody = wrong(&history, effects());
        assert!(matches!(nobody, Violation::CancelledByNobody { .. }));
    }
}

#[test]
fn a_creation_is_one_deployment() {
    fine(&[create(done("d"))], deployed(&[("d", 60)]));
    fine(&[create(failed(Outcome::Unknown))], deployed(&[("d", 60)]));
    let two = wrong(&[create(failed(Outcome::Unknown))], deployed(&[("c", 60), ("d", 60)]));
    assert!(matches!(two, Violation::Doubled { effects: 2, may_be: 1, .. }));
    // That one was deleted does not hide the other.
    let two = wrong(&[create(done("d")), delete(done("d"))], deployed(&[("c", 60)]));
    assert!(matches!(two, Violation::Doubled { effects: 2, may_be: 1, .. }));
    assert!(matches!(wrong(&[create(done("d"))], deployed(&[])), Violation::Lost { .. }));
}

#[test]
fn what_was_deleted_is_gone_and_nothing_else() {
    let history = |told| [create(done("d")), delete(told)];
    let there = || deployed(&[("d", 60)]);
    fine(&history(done("d")), deployed(&[]));
    for told in [failed(Outcome::Unknown), Told::Nothing] {
        fine(&history(told.clone()), there());
        fine(&history(told), deployed(&[]));
    }
    let back = wrong(&history(done("d")), there());
    assert!(matches!(back, Violation::StillThere { .. }));
    // As it was created, it is missed already as that.
    let gone = wrong(&history(failed(Outcome::Rejected)), deployed(&[]));
    assert!(matches!(gone, Violation::Lost { .. }));
}

#[test]
fn the_last_value_that_was_taken_is_there() {
    let history = |told| vec![create(done("d")), update(61, done("d")), update(62, told)];
    let value = |value| deployed(&[("d", value)]);
    fine(&history(done("d")), value(62));
    fine(&history(failed(Outcome::Rejected)), value(61));
    for told in [failed(Outcome::Unknown), Told::Nothing] {
        fine(&history(told.clone()), value(61));
        fine(&history(told.clone()), value(62));
        let never = wrong(&history(told), value(60));
        assert!(matches!(never, Violation::WrongValue { .. }));
    }
    assert!(matches!(wrong(&history(done("d")), value(61)), Violation::WrongValue { .. }));
    let denied = wrong(&history(failed(Outcome::Rejected)), value(62));
    assert!(matches!(denied, Violation::WrongValue { .. }));
    // What was sent by somebody who went away may come late.
    let mut late = history(Told::Nothing);
    late.push(update(63, done("d")));
    fine(&late, value(62));
}

#[test]
fn a_report_counts_ends_and_leaves_out_those_who_went_away() {
    let report = fine(
        &[submit(failed(Outcome::Unknown)), result(saw(Claim::Completed, Truth::Open))][..1],
        runs(&[]),
    );
    assert_eq!((report.calls(), report.ended("unknown")), (1, 1));
    assert!((report.unknown_rate() - 1.0).abs() < f64::EPSILON);
    let report = fine(&[submit(Told::Nothing), create(failed(Outcome::Rejected))], runs(&[]));
    assert!(report.unknown_rate().abs() < f64::EPSILON);
}
