//! The gate by a paused clock.

use super::*;

fn limiter(change: impl FnOnce(&mut Limits)) -> Limiter {
    let mut limits = Limits::hosted();
    change(&mut limits);
    Limiter::new(limits)
}

fn holder(limiter: &Limiter, token: &str) -> CallerId {
    limiter.caller_id(Some(&Token::new(token).unwrap()))
}

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

#[tokio::test(start_paused = true)]
async fn paid_calls_have_a_rate_of_their_own() {
    let limiter = limiter(|_| {});
    let alice = holder(&limiter, "alice");
    for _ in 0..5 {
        limiter.call(alice, true).unwrap();
    }
    assert_eq!(limiter.call(alice, true).err(), Some(Rejection::TooFast(Duration::from_secs(1))));
    // What costs nothing goes on: 25 of the 30 are left.
    for _ in 0..25 {
        limiter.call(alice, false).unwrap();
    }
    assert_eq!(
        limiter.call(alice, false).err(),
        Some(Rejection::TooFast(Duration::from_millis(100)))
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    limiter.call(alice, true).unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_callers_flood_takes_nothing_from_another() {
    let limiter = limiter(|_| {});
    let (alice, bob) = (holder(&limiter, "alice"), holder(&limiter, "bob"));
    while limiter.call(alice, false).is_ok() {}
    while limiter.check_request_rate(alice, Some(SOURCE)).is_ok() {}
    limiter.check_request_rate(bob, Some(SOURCE)).unwrap();
    limiter.call(bob, true).unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_and_waits_under_way_are_bounded_for_each_and_for_all() {
    let limiter = limiter(|limits| {
        (limits.calls_per_caller, limits.calls, limits.waits_per_caller) = (2, 3, 1)
    });
    let (alice, bob) = (holder(&limiter, "alice"), holder(&limiter, "bob"));
    let hers = [limiter.call(alice, false).unwrap(), limiter.call(alice, false).unwrap()];
    assert_eq!(limiter.call(alice, false).err(), Some(Rejection::Overloaded(SOON)));
    let _his = limiter.call(bob, false).unwrap();
    assert_eq!(
        limiter.call(bob, false).err(),
        Some(Rejection::Overloaded(SOON)),
        "all places are taken"
    );
    drop(hers);
    limiter.call(bob, false).unwrap();
    let _wait = limiter.wait(alice).unwrap();
    assert!(limiter.wait(alice).is_err() && limiter.wait(bob).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_refused_for_its_holder_alone_and_not_for_long() {
    let limiter = limiter(|_| {});
    let (alice, bob) = (holder(&limiter, "alice"), holder(&limiter, "bob"));
    limiter.record_auth_result(alice, false, Some(SOURCE));
    assert_eq!(limiter.call(alice, false).err(), Some(Rejection::Refused(REMEMBERED)));
    limiter.call(bob, false).unwrap();
    tokio::time::advance(REMEMBERED).await;
    limiter.call(alice, false).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_address_that_tries_token_after_token_runs_out_of_tries() {
    let limiter = limiter(|_| {});
    let table = holder(&limiter, "known");
    limiter.record_auth_result(table, true, Some(SOURCE));
    for n in 0..10 {
        let tried = holder(&limiter, &format!("guess-{n}"));
        limiter.check_request_rate(tried, Some(SOURCE)).unwrap();
        limiter.record_auth_result(tried, false, Some(SOURCE));
    }
    let wait = limiter.check_request_rate(holder(&limiter, "guess-10"), Some(SOURCE)).unwrap_err();
    assert_eq!(wait, Duration::from_secs(6));
    assert!(limiter.failed(SOURCE).is_err());
    // Who is known there, and who is elsewhere, is served.
    limiter.check_request_rate(table, Some(SOURCE)).unwrap();
    limiter.check_request_rate(holder(&limiter, "new"), Some([192, 0, 2, 2].into())).unwrap();
    tokio::time::advance(wait).await;
    limiter.check_request_rate(holder(&limiter, "guess-10"), Some(SOURCE)).unwrap();
}
