//! The HTTP client with the emulator satisfies the same rules as the fake.

use std::time::Duration;

use runcomfy_core::{HttpApi, Token};
use runcomfy_testkit::{
    Emulator, FakeRunComfy,
    conformance::{self, Setting},
};

#[tokio::test]
async fn the_http_client_keeps_every_rule_over_a_socket() {
    let fake = FakeRunComfy::builder()
        .cold_start(Duration::from_millis(20))
        .run_time(Duration::from_millis(80))
        .cancel_latency(Duration::from_millis(10))
        .build();
    let emulator = Emulator::start(fake).await.unwrap();
    let token = Token::new("conformance").unwrap();
    let api = HttpApi::builder().base_url(emulator.url().as_str()).token(token).build().unwrap();
    let setting = Setting {
        poll_interval: Duration::from_millis(10),
        timeout: Duration::from_secs(30),
        ..Setting::default()
    };
    conformance::all(&api, &setting).await;
}
