//! How a fake is set up.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};
use runcomfy_core::{
    DEFAULT_HARDWARE, DeploymentId, Error, HARDWARE, Operation, ProxyReply, Workflow,
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

/// What an account has to begin with: enough for an afternoon on the largest instance.
const BALANCE: Microdollars = 100_000_000;

/// Sets a [`FakeRunComfy`] up. Where nothing is said it has the sample deployments, a cold start of 30 s,
/// runs of 20 s, the service's prices, 100 dollars, and ids and pictures that are the same each time.
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

impl FakeBuilder {
    pub(super) fn new() -> Self {
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

    /// Without the sample deployments, and without any other named so far.
    pub fn empty(mut self) -> Self {
        self.seeds.clear();
        self
    }

    /// Adds a deployment of the stock text-to-image graph, with the id as its name.
    ///
    /// # Panics
    /// Where the text is no id.
    pub fn deployment(self, id: &str) -> Self {
        match samples::workflow(samples::TEXT_TO_IMAGE) {
            Some(workflow) => self.workflow_deployment(id, id, workflow),
            None => self,
        }
    }

    /// Adds a deployment of this workflow.
    ///
    /// # Panics
    /// Where the text is no id.
    pub fn workflow_deployment(
        mut self,
        id: &str,
        name: impl Into<String>,
        workflow: Workflow,
    ) -> Self {
        // A test whose set-up is wrong should end there, not at a deployment that nobody finds.
        let id = DeploymentId::new(id).unwrap_or_else(|error| panic!("{id:?} is no id: {error}"));
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

    /// From waking an instance until it takes its first run.
    pub fn cold_start(mut self, time: Duration) -> Self {
        self.timing.cold_start = time;
        self
    }

    /// How long a run takes where its script says nothing.
    pub fn run_time(mut self, time: Duration) -> Self {
        self.timing.run_time = time;
        self
    }

    /// From cancelling a running run until it stops.
    pub fn cancel_latency(mut self, time: Duration) -> Self {
        self.timing.cancel_latency = time;
        self
    }

    /// How long an idle instance stays up, in place of what each deployment says.
    pub fn keep_warm(mut self, time: Duration) -> Self {
        self.keep_warm = Some(time);
        self
    }

    /// What the account has to begin with, in dollars: 100 where nothing is said. When it is used up, its
    /// deployments are disabled, and refuse with number 10001.
    pub fn balance_usd(mut self, dollars: f64) -> Self {
        self.balance = microdollars(dollars);
        self
    }

    /// What an instance of this SKU costs per hour, in dollars, from its wake signal until it stops.
    ///
    /// # Panics
    /// Where no SKU goes by that name, or the price is below nothing.
    pub fn price_usd_per_hour(mut self, sku: &str, dollars: f64) -> Self {
        assert!(HARDWARE.contains(&sku), "{sku:?} is none of {}", HARDWARE.join(", "));
        assert!(dollars >= 0.0, "a price of {dollars} is below nothing");
        self.prices.set(sku, microdollars(dollars));
        self
    }

    /// How many times as fast as real time its own goes: at 60, a cold start of five minutes takes five
    /// seconds. Its clock, and so every time that it names, runs ahead by as much.
    ///
    /// # Panics
    /// Where it is not above nothing and at most a million.
    pub fn time_scale(mut self, times: f64) -> Self {
        assert!(times > 0.0 && times <= 1e6, "a time scale of {times}");
        self.time_scale = times;
        self
    }

    /// Runs begin and end when somebody says so: this one, who is told of them.
    #[cfg(feature = "comfyui")]
    pub(crate) fn drive(&mut self, driver: Driver) {
        self.timing.driven = true;
        self.driver = Some(driver);
    }

    /// What the clock says when it is built. The same day each time where nothing is said.
    pub fn started_at(mut self, time: DateTime<Utc>) -> Self {
        self.started_at = time;
        self
    }

    /// What its ids follow from: 0 where nothing is said, so that they are the same each time, and those of
    /// two fakes alike. Two fakes with different seeds never name the same id.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many calls are remembered, the last ones. Each may hold a whole workflow.
    pub fn remember_calls(mut self, most: usize) -> Self {
        self.most_calls = most;
        self
    }

    /// Where the addresses of output files begin. An `Emulator` puts its own there
    /// where nothing is said.
    pub fn output_base(mut self, base: Url) -> Self {
        self.output_base = Some(base);
        self
    }

    /// Has the next submit follow this script, and so on in order.
    pub fn next_request(mut self, script: Script) -> Self {
        self.scripts.push_back(script);
        self
    }

    /// As [`FakeRunComfy::next_call_fails`].
    pub fn next_call_fails(
        mut self,
        operation: impl Into<Option<Operation>>,
        error: Error,
    ) -> Self {
        self.failures.push_back(Failure::instead(operation, error));
        self
    }

    /// As [`FakeRunComfy::next_answer_lost`].
    pub fn next_answer_lost(
        mut self,
        operation: impl Into<Option<Operation>>,
        error: Error,
    ) -> Self {
        self.failures.push_back(Failure::after(operation, error));
        self
    }

    /// As [`FakeRunComfy::next_proxy_reply`].
    pub fn next_proxy_reply(mut self, reply: ProxyReply) -> Self {
        self.proxy_replies.push_back(reply);
        self
    }

    /// Starts its time.
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

    /// What an account has to begin with.
    pub(crate) fn opening_balance(&self) -> Microdollars {
        self.balance
    }

    #[cfg(feature = "state")]
    pub(crate) fn opened_with(mut self, balance: Microdollars) -> Self {
        self.balance = balance;
        self
    }

    /// What holds from a start of the emulator on.
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

    /// Where the addresses in answers begin, where nobody has said.
    pub(crate) fn served_at(mut self, base: &Url) -> Self {
        self.served_at = Some(base.clone());
        self
    }

    /// An empty account that is opened at `now`, with ids that follow from `seed`.
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

    /// The fake with this account, and what else was asked for.
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

/// An address of the service's own, for answers in memory that nobody follows.
#[expect(clippy::expect_used, reason = "both callers give an address that parses")]
fn service(address: &str) -> Url {
    Url::parse(address).expect("a well-formed address")
}
