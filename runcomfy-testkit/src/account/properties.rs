//! Properties of an account's money for any sequence of events.

use proptest::prelude::*;
use runcomfy_core::{InferenceRequest, RunComfyApi as _, deployment::UpdateDeployment};

use super::*;
use crate::fake::{FakeBuilder, FakeRunComfy};

const DEPLOYMENTS: [&str; 2] = ["one", "two"];

/// An external event. Times are whole seconds, so that nothing else happens between two.
#[derive(Clone, Debug)]
enum Step {
    Cancel(usize),
    Change { which: usize, hardware: &'static str, max: u64, enabled: bool },
    Pass(u64),
    PayIn(Microdollars),
    Submit { which: usize, run_time: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => (0..2_usize, prop::sample::select(vec!["TURING_16", "HOPPER_141"]), 1..4_u64, any::<bool>())
            .prop_map(|(which, hardware, max, enabled)| Step::Change { which, hardware, max, enabled }),
        3 => (0..40_u64).prop_map(Step::Pass),
        1 => (0..30_000_i64).prop_map(Step::PayIn),
        3 => (0..2_usize, 0..40_u64).prop_map(|(which, run_time)| Step::Submit { which, run_time }),
    ]
}

fn builder() -> FakeBuilder {
    let secs = Duration::from_secs;
    let builder = FakeRunComfy::builder().empty().cold_start(secs(7)).cancel_latency(secs(2));
    DEPLOYMENTS.iter().fold(builder.keep_warm(secs(11)), |builder, id| builder.deployment(id))
}

fn id(which: usize) -> DeploymentId {
    DeploymentId::new(DEPLOYMENTS[which]).unwrap()
}

/// An account that the test advances.
struct Course {
    account: Account,
    now: Duration,
    submitted: Vec<(DeploymentId, RequestId)>,
}

impl Course {
    fn new(balance: Microdollars) -> Self {
        let builder = builder().balance_usd(balance as f64 / 1e6);
        let fake = builder.build();
        // Without the fake, so that the test passes the time.
        let account = fake.into_account();
        Self { account, now: Duration::ZERO, submitted: Vec::new() }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Cancel(_) if self.submitted.is_empty() => {}
            Step::Cancel(which) => {
                let (deployment, request) = &self.submitted[which % self.submitted.len()];
                self.account.cancel_request(self.now, deployment, request).unwrap();
            }
            Step::Change { which, hardware, max, enabled } => {
                let update = UpdateDeployment::new()
                    .name("renamed")
                    .hardware(hardware)
                    .max_instances(max)
                    .is_enabled(enabled);
                // Refused if the balance is used up.
                drop(self.account.update_deployment(self.now, &id(which), &update));
            }
            Step::Pass(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.account.advance(self.now);
            }
            Step::PayIn(amount) => self.account.pay_in(self.now, amount),
            Step::Submit { which, run_time } => {
                let script = Script::default().running(Duration::from_secs(run_time));
                let request = InferenceRequest::new(id(which));
                if let Ok(submission) = self.account.submit_request(self.now, &request, script) {
                    self.submitted.push((id(which), submission.request_id));
                }
            }
        }
    }

    /// The current cost per hour, computed from the visible instances.
    fn cost(&mut self) -> i128 {
        let glance = self.account.overview(self.now);
        let deployments = glance["deployments"].as_array().unwrap();
        let cost = |one: &Value| {
            let price = self.account.settings.prices.of(one["hardware"].as_str().unwrap());
            i128::from(price) * one["instances"].as_array().unwrap().len() as i128
        };
        deployments.iter().map(cost).sum()
    }
}

/// The unit is an hourly price for one second.
const SECONDS_PER_HOUR: i128 = 3_600;

proptest! {
    #[test]
    fn money_is_the_integral_of_instance_seconds(
        balance in 20_000..1_000_000_i64, steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut course = Course::new(balance);
        // Adds up second by second what runs at its start, independently of the account's own computation.
        let (mut by_hand, mut paid_in) = (0_i128, i128::from(balance));
        for step in &steps {
            if let Step::Pass(seconds) = *step {
                for _ in 0..seconds {
                    let cost = course.cost();
                    course.take(&Step::Pass(1));
                    // Only the end of the balance falls between two seconds; idle instances then run until
                    // the end of their keep-warm time, so nothing changes in between.
                    by_hand += cost;
                }
            } else {
                course.take(step);
            }
            if let Step::PayIn(amount) = *step {
                paid_in += i128::from(amount);
            }
            let spent = by_hand.div_euclid(SECONDS_PER_HOUR);
            prop_assert_eq!(i128::from(course.account.funds.spent()), spent);
            let left = (paid_in * SECONDS_PER_HOUR - by_hand).div_euclid(SECONDS_PER_HOUR);
            prop_assert_eq!(i128::from(course.account.funds.balance()), left);
        }
    }

    #[test]
    fn the_balance_does_not_depend_on_how_often_it_is_read(
        balance in 1_000..200_000_i64, steps in prop::collection::vec(step(), 1..30),
    ) {
        let (mut once, mut often) = (Course::new(balance), Course::new(balance));
        for step in &steps {
            once.take(step);
            if let Step::Pass(seconds) = *step {
                let until = often.now + Duration::from_secs(seconds);
                while often.now < until {
                    often.now += Duration::from_millis(250);
                    often.account.advance(often.now);
                }
            } else {
                often.take(step);
            }
            prop_assert_eq!(&once.account.funds, &often.account.funds);
            let now = once.now;
            prop_assert_eq!(once.account.overview(now), often.account.overview(now));
        }
    }

    #[test]
    fn who_has_no_money_starts_nothing_new(
        balance in 0..20_000_i64, steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut course = Course::new(balance);
        for step in &steps {
            let (broke, before) = (course.account.funds.is_empty(), course.submitted.len());
            course.take(step);
            if broke && !matches!(step, Step::PayIn(_)) {
                prop_assert_eq!(course.submitted.len(), before);
                prop_assert!(course.account.deployments.iter().all(|entry| !entry.is_enabled));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn money_that_ends_disables_and_more_of_it_lets_the_owner_enable_again() {
    use runcomfy_core::ErrorKind;
    // 2.50 dollars per hour: ten seconds of cold start and five of a run.
    let fake = FakeRunComfy::builder()
        .empty()
        .deployment("one")
        .balance_usd(2.5 * 15.0 / 3_600.0)
        .cold_start(Duration::from_secs(10))
        .run_time(Duration::from_secs(30))
        .build();
    let request = InferenceRequest::new(id(0));
    let run = fake.submit_request(&request).await.unwrap();
    tokio::time::advance(Duration::from_secs(16)).await;
    let refused = fake.submit_request(&request).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.error_code()),
        (ErrorKind::InsufficientFunds, Some(10_001))
    );
    // The run in progress finishes and is billed.
    tokio::time::advance(Duration::from_secs(24)).await;
    let result = fake.get_request_result(&id(0), &run.request_id).await.unwrap();
    assert_eq!(result.status.as_deref(), Some("succeeded"));
    assert!(fake.balance_usd() < 0.0);

    let enable = UpdateDeployment::new().name("one").is_enabled(true);
    let refused = fake.update_deployment(&id(0), &enable).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InsufficientFunds);
    fake.pay_in_usd(5.0).await.unwrap();
    let refused = fake.submit_request(&request).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::DeploymentDisabled);
    fake.update_deployment(&id(0), &enable).await.unwrap();
    fake.submit_request(&request).await.unwrap();
}
