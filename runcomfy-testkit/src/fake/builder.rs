//! How a fake is set up.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use runcomfy_core::{DEFAULT_HARDWARE, DeploymentId, Error, Operation, ProxyReply, Workflow};
use tokio::time::Instant;
use url::Url;

use super::{FakeRunComfy, Inner, failure::Failure};
use crate::{
    account::{Account, Seed, Settings},
    lifecycle::Timing,
    samples,
    script::Script,
};

/// Sets a [`FakeRunComfy`] up. Where nothing is said it has the sample deployments, a cold start of 30 s,
/// runs of 20 s, and ids and pictures that are the same each time.
#[derive(Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct FakeBuilder {
    seeds: Vec<Seed>,
    timing: Timing,
    keep_warm: Option<Duration>,
    started_at: DateTime<Utc>,
    seed: u64,
    most_calls: usize,
    output_base: Option<Url>,
    scripts: VecDeque<Script>,
    failures: VecDeque<Failure>,
    proxy_replies: VecDeque<ProxyReply>,
}

impl FakeBuilder {
    pub(super) fn new() -> Self {
        Self {
            seeds: sample_deployments(),
            timing: Timing::default(),
            keep_warm: None,
            started_at: DateTime::from_timestamp(1_776_310_852, 93_000_000).unwrap_or_default(),
            seed: 0,
            most_calls: 10_000,
            output_base: None,
            scripts: VecDeque::new(),
            failures: VecDeque::new(),
            proxy_replies: VecDeque::new(),
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
        self.seeds.push(Seed {
            id,
            name: name.into(),
            workflow_id: samples::workflow_id(0),
            hardware: DEFAULT_HARDWARE.to_owned(),
            max_instances: 1,
            is_enabled: true,
            readme: String::new(),
            workflow,
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

    /// What the clock says when it is built. The same day each time where nothing is said.
    pub fn started_at(mut self, time: DateTime<Utc>) -> Self {
        self.started_at = time;
        self
    }

    /// What its ids follow from. Two fakes with different seeds never name the same id.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many calls are remembered, the last ones. Each may hold a whole workflow.
    pub fn remember_calls(mut self, most: usize) -> Self {
        self.most_calls = most;
        self
    }

    /// Where the addresses of output files begin. An [`Emulator`](crate::Emulator) puts its own there
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
        let mut account = Account::new(Settings {
            timing: self.timing,
            keep_warm: self.keep_warm,
            started_at: self.started_at,
            api_base: service("https://api.runcomfy.net"),
            output_base: self
                .output_base
                .clone()
                .unwrap_or_else(|| service("https://serverless-api-storage.runcomfy.net")),
            seed: self.seed,
        });
        account.scripts = self.scripts;
        account.proxy_replies = self.proxy_replies;
        for seed in self.seeds {
            account.plant(Duration::ZERO, seed);
        }
        let inner = Inner {
            account,
            failures: self.failures,
            calls: VecDeque::new(),
            counts: HashMap::new(),
            most_calls: self.most_calls,
            addresses_chosen: self.output_base.is_some(),
        };
        FakeRunComfy { born: Instant::now(), inner: Arc::new(Mutex::new(inner)) }
    }
}

fn sample_deployments() -> Vec<Seed> {
    let seed = |(place, sample): (usize, &samples::Sample)| {
        Some(Seed {
            id: DeploymentId::new(samples::deployment_id(place)).ok()?,
            name: sample.name.to_owned(),
            workflow_id: samples::workflow_id(place),
            hardware: sample.hardware.to_owned(),
            max_instances: sample.max_instances,
            is_enabled: sample.enabled,
            readme: sample.readme(),
            workflow: sample.workflow()?,
        })
    };
    samples::ALL.iter().enumerate().filter_map(seed).collect()
}

/// An address of the service's own, for answers in memory that nobody follows.
#[expect(clippy::expect_used, reason = "both callers give an address that parses")]
fn service(address: &str) -> Url {
    Url::parse(address).expect("a well-formed address")
}
