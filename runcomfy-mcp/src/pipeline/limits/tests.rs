//! The gate by a paused clock.

use super::*;

fn gate(change: impl FnOnce(&mut Limits)) -> Limiter {
    let mut limits = Limits::hosted();
    change(&mut limits);
    Limiter::new(limits)
}

fn holder(gate: &Limiter, token: &str) -> CallerId {
    gate.caller_id(Some(&Token::new(token).unwrap()))
}

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

#[tokio::test(start_paused = true)]
async fn paid_calls_have_a_rate_of_their_own() {
    let gate = gate(|_| {});
    let alice = holder(&gate, "alice");
    for _ in 0..5 {
        gate.call(alice, true).unwrap();
    }
    assert_eq!(gate.call(alice, true).err(), Some(Rejection::TooFast(Duration::from_secs(1))));
    // What costs nothing goes on: 25 of the 30 are left.
    for _ in 0..25 {
        gate.call(alice, false).unwrap();
    }
    assert_eq!(gate.call(alice, false).err(), Some(Rejection::TooFast(Duration::from_millis(100))));
    tokio::time::advance(Duration::from_secs(1)).await;
    gate.call(alice, true).unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_callers_flood_takes_nothing_from_another() {
    let gate = gate(|_| {});
    let (alice, bob) = (holder(&gate, "alice"), holder(&gate, "bob"));
    while gate.call(alice, false).is_ok() {}
    while gate.check_request_rate(alice, Some(SOURCE)).is_ok() {}
    gate.check_request_rate(bob, Some(SOURCE)).unwrap();
    gate.call(bob, true).unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_and_waits_under_way_are_bounded_for_each_and_for_all() {
    let gate =
        gate(|limits| (limits.calls_per_caller, limits.calls, limits.waits_per_caller) = (2, 3, 1));
    let (alice, bob) = (holder(&gate, "alice"), holder(&gate, "bob"));
    let hers = [gate.call(alice, false).unwrap(), gate.call(alice, false).unwrap()];
    assert_eq!(gate.call(alice, false).err(), Some(Rejection::Overloaded(SOON)));
    let _his = gate.call(bob, false).unwrap();
    assert_eq!(
        gate.call(bob, false).err(),
        Some(Rejection::Overloaded(SOON)),
        "all places are taken"
    );
    drop(hers);
    gate.call(bob, false).unwrap();
    let _wait = gate.wait(alice).unwrap();
    assert!(gate.wait(alice).is_err() && gate.wait(bob).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_refused_for_its_holder_alone_and_not_for_long() {
    let gate = gate(|_| {});
    let (alice, bob) = (holder(&gate, "alice"), holder(&gate, "bob"));
    gate.record_auth_result(alice, false, Some(SOURCE));
    assert_eq!(gate.call(alice, false).err(), Some(Rejection::Refused(REMEMBERED)));
    gate.call(bob, false).unwrap();
    tokio::time::advance(REMEMBERED).await;
    gate.call(alice, false).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_address_that_tries_token_after_token_runs_out_of_tries() {
    let gate = gate(|_| {});
    let table = holder(&gate, "known");
    gate.record_auth_result(table, true, Some(SOURCE));
    for n in 0..10 {
        let tried = holder(&gate, &format!("guess-{n}"));
        gate.check_request_rate(tried, Some(SOURCE)).unwrap();
        gate.record_auth_result(tried, false, Some(SOURCE));
    }
    let wait = gate.check_request_rate(holder(&gate, "guess-10"), Some(SOURCE)).unwrap_err();
    assert_eq!(wait, Duration::from_secs(6));
    assert!(gate.failed(SOURCE).is_err());
    // Who is known there, and who is elsewhere, is served.
    gate.check_request_rate(table, Some(SOURCE)).unwrap();
    gate.check_request_rate(holder(&gate, "new"), Some([192, 0, 2, 2].into())).unwrap();
    tokio::time::advance(wait).await;
    gate.check_request_rate(holder(&gate, "guess-10"), Some(SOURCE)).unwrap();
}
