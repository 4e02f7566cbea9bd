//! The fake satisfies the conformance rules.

use std::time::Duration;

use runcomfy_testkit::{
    FakeRunComfy,
    conformance::{self, Setting},
};

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_every_rule() {
    conformance::all(&FakeRunComfy::default(), &Setting::default()).await;
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_every_rule_where_nothing_takes_time() {
    let fake = FakeRunComfy::builder()
        .empty()
        .cold_start(Duration::ZERO)
        .run_time(Duration::from_millis(200))
        .cancel_latency(Duration::ZERO)
        .build();
    conformance::all(&fake, &Setting::default()).await;
}
