//! A replayed account equals the original for any sequence of events.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use runcomfy_core::{
    RunComfyApi as _,
    deployment::{CreateDeployment, ListDeployments},
    id::WorkflowId,
};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::fake::{EventRecorder, FakeBuilder, FakeRunComfy};

/// A call or an event.
#[derive(Clone, Debug)]
enum Step {
    Cancel(usize),
    Create,
    Delete(usize),
    Fail,
    Pass(u64),
    PayIn(i64),
    Submit { which: usize, webhook: bool, inline: bool },
    Update { which: usize, max: u64, hardware: &'static str, enabled: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let hardware = prop::sample::select(vec!["TURING_16", "HOPPER_141"]);
    prop_oneof![
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => Just(Step::Create),
        1 => any::<usize>().prop_map(Step::Delete),
        1 => Just(Step::Fail),
        4 => (0..60_000_u64).prop_map(Step::Pass),
        1 => (0..500_000_i64).prop_map(Step::PayIn),
        4 => (any::<usize>(), any::<bool>(), any::<bool>())
            .prop_map(|(which, webhook, inline)| Step::Submit { which, webhook, inline }),
        2 => (any::<usize>(), 1..4_u64, hardware, any::<bool>())
            .prop_map(|(which, max, hardware, enabled)| Step::Update { which, max, hardware, enabled }),
    ]
}

fn builder(balance: f64) -> FakeBuilder {
    let builder = FakeRunComfy::builder().empty().deployment("one").deployment("two");
    builder.balance_usd(balance)
}

/// Applies the steps to a fake and returns the recorded events.
async fn course(fake: &FakeRunComfy, steps: &[Step]) -> Vec<Vec<u8>> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let into = written.clone();
    fake.record_with(EventRecorder(Arc::new(move |entry| {
        into.lock().unwrap().extend(entry.map(|entry| serde_json::to_vec(entry).unwrap()));
        Box::pin(async { Ok(()) })
    })));
    let mut submitted: Vec<(DeploymentId, RequestId)> = Vec::new();
    for step in steps {
        let there = fake.list_deployments(&ListDeployments::all()).await.unwrap();
        let chosen = |which: usize| there.get(which % there.len().max(1)).map(|one| one.id.clone());
        match step {
            Step::Cancel(which) => {
                if let Some((deployment, request)) = submitted.get(which % submitted.len().max(1)) {
                    drop(fake.cancel_request(deployment, request).await);
                }
            }
            Step::Create => {
                let workflow = WorkflowId::new("5eed0000-0000-4000-8000-000000000006").unwrap();
                let request = CreateDeployment::new("made", workflow, "v1").instances(1, 2);
                drop(fake.create_deployment(&request).await);
            }
            Step::Delete(which) => {
                if let Some(id) = chosen(*which) {
                    fake.delete_deployment(&id).await.unwrap();
                }
            }
            Step::Fail => fake.next_request(Script::default().fails(json!({"type": "X"}))),
            Step::Pass(milliseconds) => {
                tokio::time::advance(Duration::from_millis(*milliseconds)).await;
            }
            Step::PayIn(amount) => fake.pay_in_usd(*amount as f64 / 1e6).await.unwrap(),
            Step::Submit { which, webhook, inline } => {
                let Some(id) = chosen(*which) else { continue };
                let mut request = InferenceRequest::new(id.clone());
                if *webhook {
                    let url = Url::parse("https://example.com/hook?secret=1").unwrap();
                    request = request.webhook(Webhook::new(url).intermediate_status(true));
                }
                if *inline {
                    let graph =
                        json!({"1": {"class_type": "PreviewAny", "inputs": {"source": 1.5}}});
                    request = request.workflow_api_json(Workflow::from_value(graph).unwrap());
                }
                if let Ok(accepted) = fake.submit_request(&request).await {
                    submitted.push((id, accepted.request_id));
                }
            }
            Step::Update { which, max, hardware, enabled } => {
                let Some(id) = chosen(*which) else { continue };
                let update = UpdateDeployment::new()
                    .name("changed")
                    .max_instances(*max)
                    .hardware(*hardware)
                    .is_enabled(*enabled);
                drop(fake.update_deployment(&id, &update).await);
            }
        }
    }
    let written = written.lock().unwrap();
    written.clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_account_that_is_lived_through_again_is_the_same(
        balance in 0.0..3.0_f64, steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let began = Instant::now();
            let fake = builder(balance).build();
            let written = course(&fake, &steps).await;

            let template = builder(balance);
            let mut again = template.account(0, Duration::ZERO, template.begins_at());
            for seed in template.seeds() {
                again.add_deployment(Duration::ZERO, seed.clone());
            }
            for entry in written {
                again.replay(serde_json::from_slice(&entry).unwrap()).unwrap();
            }
            for later in [0, 17, 3_600, 100_000] {
                tokio::time::advance(Duration::from_secs(later)).await;
                let now = began.elapsed();
                prop_assert_eq!(again.overview(now), fake.overview());
                prop_assert_eq!(again.take_webhook_events(), fake.take_webhook_events().0);
            }
            Ok(())
        })?;
    }
}

#[test]
fn an_event_keeps_its_name_in_state_files_when_its_variant_is_renamed() {
    let request_id = RequestId::new("r").unwrap();
    let names = |event: &Event| {
        let value = serde_json::to_value(event).unwrap();
        let (name, fields) = value.as_object().unwrap().iter().next().unwrap();
        let fields = fields.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        (name.clone(), fields)
    };
    let delivered =
        Event::WebhookDelivered { request_id: request_id.clone(), stage: WebhookStage::End };
    assert_eq!(names(&delivered), ("Told".into(), vec!["request_id".into(), "about".into()]));
    let handed_over = Event::HandedOver { request_id, machine: 1, prompt_id: None };
    assert_eq!(names(&handed_over), ("Begun".into(), vec!["request_id".into(), "machine".into()]));
    let builder = FakeRunComfy::builder();
    let seeded = Event::Seeded(Box::new(builder.seeds()[0].clone()));
    assert_eq!(names(&seeded).0, "Planted");
}
