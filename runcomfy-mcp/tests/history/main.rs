//! Whether what users are told is true, whatever goes wrong on the way: histories of many users against an
//! emulator with faults and restarts, checked afterwards against what the emulator did.
//!
//! `RUNCOMFY_HISTORY_SEED` runs one seed, `RUNCOMFY_HISTORY_SEEDS` so many from it on, and
//! `RUNCOMFY_HISTORY_OPERATIONS` so many calls under each; `cargo xtask history` makes the long run. The
//! mix of faults, the way to the service and what users ask for follow from the seed; which call meets which
//! fault also depends on how they interleave.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod careless;
mod check;
mod detour;
mod door;
mod history;
mod line;
mod mix;
mod run;
mod user;
mod world;

use std::sync::Arc;

use crate::{
    careless::Careless,
    check::Violation,
    door::Door,
    mix::{CALM, MIXES},
    run::{Run, Way, figures},
    user::Habits,
    world::World,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_are_told_is_true_whatever_goes_wrong() {
    for seed in run::seeds() {
        Run { leave: true, restarts: true, ..Run::of(seed) }.holds().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_goes_wrong_no_outcome_is_unknown() {
    for way in [Way::Library, Way::Server] {
        let report = Run::new(run::first_seed(), CALM, way).holds().await;
        assert_eq!(report.ended("unknown"), 0, "{}", figures(&report));
        assert_eq!(report.ended("not_sent"), 0, "{}", figures(&report));
        assert_eq!(report.ended("nothing"), 0, "{}", figures(&report));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_each_connection_is_closed_after_its_answer_no_outcome_is_unknown() {
    for way in [Way::Library, Way::Server] {
        let run = Run { hang_ups: true, ..Run::new(run::first_seed(), CALM, way) };
        let report = run.holds().await;
        assert_eq!(report.ended("unknown"), 0, "{}", figures(&report));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_that_submits_again_after_an_unknown_outcome_is_found_out() {
    // Some hundred calls among lost answers: it doubles one in nearly every ten.
    let world = Arc::new(World::new(MIXES[0], run::first_seed()).await);
    let door = |user| Door::Library(Arc::new(Careless(world.api(user))));
    let history = run::history(&world, door, 10, 40, Habits::default(), 1).await;
    let found = check::check(&history, &world.effects(10).await);
    assert!(
        matches!(&found, Err(Violation::Doubled { mark, .. }) if mark.starts_with("run-")),
        "{found:?}"
    );
}
