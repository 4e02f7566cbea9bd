//! `FakeBuilder`: configures a `FakeRunComfy`.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};
use runcomfy_core::{
    DeploymentId, Error, Workflow,
    deployment::{DEFAULT_HARDWARE, HARDWARE},
    error::Operation,
    instance::ProxyReply,
};
use url::Url;

use super::{Driver, FakeRunComfy, failure::Failure};
#[cfg(feature = "state")]
use crate::history::Session;
use crate::{
    account::{Account, DeploymentSeed, Microdollars, Prices, Settings, microdollars},
    clock::Clock,
    lifecycle::Timing,
    samples,
    script::Script,
};

/// The default balance.
const BALANCE: Microdollars = 100_000_000;

/// Configures a [`FakeRunComfy`]. Defaults: the sample deployments, a cold start of 30 s, runs of 20 s, the
/// service's prices, a balance of 100 dollars, and deterministic ids and images.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct FakeBuilder {
    pub(super) seeds: Vec<DeploymentSeed>,
    timing: Timing,
    keep_warm: Option<Duration>,
    prices: Prices,
    balance: Microdollars,
    time_scale: f64,
    started_at: DateTime<Utc>,
    seed: u64,
    most_calls: usize,
    output_base: Option<Url>,
    served_at: Option<Url>,
    scripts: VecDeque<Script>,
    failures: VecDeque<Failure>,
    proxy_replies: VecDeque<ProxyReply>,
    driver: Option<Driver>,
}

impl FakeRunComfy {
    /// Starts a builder with the sample deployments and the service's usual times.
    pub fn builder() -> FakeBuilder {
        FakeBuilder::new()
    }
}

impl FakeBuilder {
    fn new() -> Self {
        Self {
            seeds: sample_deployments(),
            timing: Timing::default(),
            keep_warm: None,
            prices: Prices::default(),
            balance: BALANCE,
            time_scale: 1.0,
            started_at: DateTime::from_timestamp(1_776_310_852, 93_000_000).unwrap_or_default(),
            seed: 0,
            most_calls: 10_000,
            output_base: None,
            served_at: None,
            scripts: VecDeque::new(),
            failures: VecDeque::new(),
            proxy_replies: VecDeque::new(),
            driver: None,
        }
    }

    /// Removes the sample deployments and all others added so far.
    pub fn empty(mut self) -> Self {
        self.seeds.clear();
        self
    }

    /// Adds a deployment of the stock text-to-image graph, with the id as its name.
    ///
    /// # Panics
    /// If the text is not a valid id.
    pub fn deployment(self, id: &str) -> Self {
        match samples::workflow(samples::TEXT_TO_IMAGE) {
            Some(workflow) => self.workflow_deployment(id, id, workflow),
            None => self,
        }
    }

    /// Adds a deployment of this workflow.
    ///
    /// # Panics
    /// If the text is not a valid id.
    pub fn workflow_deployment(
        mut self,
        id: &str,
        name: impl Into<String>,
        workflow: Workflow,
    ) -> Self {
        // Panics, because a test with a wrong set-up should fail here and not at a missing deployment.
        let id = DeploymentId::new(id)
            .unwrap_or_else(|error| panic!("{id:?} is not a valid id: {error}"));
        self.seeds.push(DeploymentSeed {
            id,
            name: name.into(),
            workflow_id: samples::workflow_id(0),
            hardware: DEFAULT_HARDWARE.to_owned(),
            max_instances: 1,
            is_enabled: true,
            readme: String::new(),
            workflow: workflow.into(),
        });
        self
    }

    /// The time from starting an instance until it takes its first run.
    pub fn cold_start(mut self, time: Duration) -> Self {
        self.timing.cold_start = time;
        self
    }

    /// How long a run takes without a script.
    pub fn run_time(mut self, time: Duration) -> Self {
        self.timing.run_time = time;
        self
    }

    /// The time from the cancellation of a running run until it stops.
    pub fn cancel_latency(mut self, time: Duration) -> Self {
        self.timing.cancel_latency = time;
        self
    }

    /// How long an idle instance keeps running; overrides the deployments' own setting.
    pub fn keep_warm(mut self, time: Duration) -> Self {
        self.keep_warm = Some(time);
        self
    }

    /// The initial balance in dollars, by default 100. When it is used up, the deployments are disabled and
    /// refuse with error code 10001.
    pub fn balance_usd(mut self, dollars: f64) -> Self {
        self.balance = microdollars(dollars);
        self
    }

    /// The price of this SKU in dollars per hour, billed from the start of the cold start until the instance
    /// stops.
    ///
    /// # Panics
    /// If the SKU is unknown or the price is negative.
    pub fn price_usd_per_hour(mut self, sku: &str, dollars: f64) -> Self {
        assert!(HARDWARE.contains(&sku), "{sku:?} is not one of {}", HARDWARE.join(", "));
        assert!(dollars >= 0.0, "the price {dollars} is negative");
        self.prices.set(sku, microdollars(dollars));
        self
    }

    /// How many times faster than real time the simulated time runs. At 60, a cold start of five minutes
    /// takes five seconds. All timestamps follow the simulated time.
    ///
    /// # Panics
    /// If it is not positive or is above one million.
    pub fn time_scale(mut self, times: f64) -> Self {
        assert!(times > 0.0 && times <= 1e6, "the time scale {times} is out of range");
        self.time_scale = times;
        self
    }

    /// Lets this driver start and end runs in place of the simulation.
    #[cfg(feature = "comfyui")]
    pub(crate) fn drive(&mut self, driver: Driver) {
        self.timing.driven = true;
        self.driver = Some(driver);
    }

    /// The clock's time when the fake is built. The default is a fixed date.
    pub fn started_at(mut self, time: DateTime<Utc>) -> Self {
        self.started_at = time;
        self
    }

    /// The seed of the ids, by default 0. Fakes with equal seeds generate the same ids; fakes with different
    /// seeds share none.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many of the last calls are kept. Each may hold a whole workflow.
    pub fn remember_calls(mut self, most: usize) -> Self {
        self.most_calls = most;
        self
    }

    /// The base of output file URLs. By default an `Emulator` sets its own.
    pub fn output_base(mut self, base: Url) -> Self {
        self.output_base = Some(base);
        self
    }

    /// Makes the next submit follow this script. Several apply in order.
    pub fn next_request(mut self, script: Script) -> Self {
        self.scripts.push_back(script);
        self
    }

    /// See [`FakeRunComfy::next_call_fails`].
    pub fn next_call_fails(
        mut self,
        operation: impl Into<Option<Operation>>,
        error: Error,
    ) -> Self {
        self.failures.push_back(Failure::instead(operation, error));
        self
    }

    /// See [`FakeRunComfy::next_answer_lost`].
    pub fn next_answer_lost(
        mut self,
        operation: impl Into<Option<Operation>>,
        error: Error,
    ) -> Self {
        self.failures.push_back(Failure::after(operation, error));
        self
    }

    /// See [`FakeRunComfy::next_proxy_reply`].
    pub fn next_proxy_reply(mut self, reply: ProxyReply) -> Self {
        self.proxy_replies.push_back(reply);
        self
    }

    /// Builds the fake and starts its clock.
    #[must_use]
    pub fn build(self) -> FakeRunComfy {
        let clock = Clock::start(Duration::ZERO, self.time_scale);
        let mut account = self.account(self.seed, Duration::ZERO, self.started_at);
        for seed in &self.seeds {
            account.add_deployment(Duration::ZERO, seed.clone());
        }
        self.around(account, clock)
    }

    pub(crate) fn seeds(&self) -> &[DeploymentSeed] {
        &self.seeds
    }

    #[cfg(test)]
    pub(crate) fn begins_at(&self) -> DateTime<Utc> {
        self.started_at
    }

    pub(crate) fn scale(&self) -> f64 {
        self.time_scale
    }

    /// The initial balance of an account.
    pub(crate) fn opening_balance(&self) -> Microdollars {
        self.balance
    }

    #[cfg(feature = "state")]
    pub(crate) fn opened_with(mut self, balance: Microdollars) -> Self {
        self.balance = balance;
        self
    }

    /// The settings that apply from this start of the emulator on.
    #[cfg(feature = "state")]
    pub(crate) fn session(&self, started_at: DateTime<Utc>, at: Duration) -> Session {
        Session {
            started_at,
            at,
            time_scale: self.time_scale,
            timing: self.timing.clone(),
            keep_warm: self.keep_warm,
            prices: self.prices.clone(),
        }
    }

    /// Sets the default base of URLs in responses.
    pub(crate) fn served_at(mut self, base: &Url) -> Self {
        self.served_at = Some(base.clone());
        self
    }

    /// An account without deployments, opened at `now`, with ids from `seed`.
    pub(crate) fn account(&self, seed: u64, now: Duration, started_at: DateTime<Utc>) -> Account {
        let served_at = |else_at: &str| self.served_at.clone().unwrap_or_else(|| service(else_at));
        let output_base = self.output_base.clone();
        let settings = Settings {
            timing: self.timing.clone(),
            keep_warm: self.keep_warm,
            started_at,
            api_base: served_at("https://api.runcomfy.net"),
            output_base: output_base
                .unwrap_or_else(|| served_at("https://serverless-api-storage.runcomfy.net")),
            seed,
            prices: self.prices.clone(),
        };
        Account::new(settings, now, self.balance)
    }

    /// A fake of this account with the builder's other settings.
    pub(crate) fn around(self, mut account: Account, clock: Clock) -> FakeRunComfy {
        account.proxy_replies = self.proxy_replies;
        let fake = FakeRunComfy::around(account, clock, self.most_calls);
        {
            let mut inner = fake.lock();
            inner.scripts = self.scripts;
            inner.driver = self.driver;
            inner.failures = self.failures;
            inner.addresses_chosen = self.output_base.is_some();
        }
        fake
    }
}

fn sample_deployments() -> Vec<DeploymentSeed> {
    let seed = |(place, sample): (usize, &samples::Sample)| {
        Some(DeploymentSeed {
            id: DeploymentId::new(samples::deployment_id(place)).ok()?,
            name: sample.name.to_owned(),
            workflow_id: samples::workflow_id(place),
            hardware: sample.hardware.to_owned(),
            max_instances: sample.max_instances,
            is_enabled: sample.enabled,
            readme: sample.readme(),
            workflow: sample.workflow()?.into(),
        })
    };
    samples::ALL.iter().enumerate().filter_map(seed).collect()
}

/// A URL of the real service, for in-memory responses.
#[expect(clippy::expect_used, reason = "both callers give an address that parses")]
fn service(address: &str) -> Url {
    Url::parse(address).expect("a well-formed address")
}
