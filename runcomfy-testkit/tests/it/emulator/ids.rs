//! Tests of random and fixed ids.

use std::collections::HashSet;

use runcomfy_testkit::EmulatorBuilder;
use serde_json::json;

use super::*;

/// The ids of a created deployment, a request and an instance.
async fn ids(builder: EmulatorBuilder) -> Vec<String> {
    let account = FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::ZERO);
    let emulator = builder.account(account).start().await.unwrap();
    let body = json!({
        "name": "mine", "workflow_id": "5eed0000-0000-4000-8000-000000000001", "workflow_version": "v1",
        "hardware": ["AMPERE_48"], "min_instances": 0, "max_instances": 1, "queue_size": 1,
        "keep_warm_duration_in_seconds": 60,
    });
    let made = call(&emulator, "POST /prod/v2/deployments", Some(body)).await.json();
    let made = made["id"].as_str().unwrap().to_owned();
    let request = submit(&emulator, &made, json!({})).await;
    let status = ask(&emulator, &made, &request, "status").await.json();
    let instance = status["instance_id"].as_str().unwrap().to_owned();
    vec![made, request, instance]
}

#[tokio::test]
async fn ids_are_new_at_each_start() {
    let first = ids(Emulator::builder()).await;
    let second = ids(Emulator::builder()).await;
    let all: HashSet<_> = first.iter().chain(&second).collect();
    assert_eq!(all.len(), 6, "{all:?}");
}

#[tokio::test]
async fn with_a_seed_they_are_the_same_at_each_start() {
    let first = ids(Emulator::builder().one_account(7)).await;
    assert_eq!(ids(Emulator::builder().one_account(7)).await, first);
    assert_ne!(ids(Emulator::builder().one_account(8)).await, first);
}

#[tokio::test]
async fn accounts_that_are_made_one_by_one_have_new_ids_as_well() {
    let request = async || {
        let each = Emulator::builder().accounts(|_, builder| Some(builder.build()));
        submit(&each.start().await.unwrap(), TEXT_TO_IMAGE, json!({})).await
    };
    assert_ne!(request().await, request().await);
}

/// They are used in documents and in configurations of clients.
#[tokio::test]
async fn the_samples_keep_their_ids() {
    let emulator = Emulator::builder().start().await.unwrap();
    let listed = call(&emulator, "GET /prod/v2/deployments", None).await.json();
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(listed.len(), 11);
    for (place, id) in listed.into_iter().enumerate() {
        assert_eq!(*id, format!("a1b2c3d4-0000-4000-8000-{:012}", place + 1));
    }
}
