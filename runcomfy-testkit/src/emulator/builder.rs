//! `EmulatorBuilder`: configures an emulator.

#[cfg(feature = "state")]
use std::path::PathBuf;
#[cfg(feature = "comfyui")]
use std::sync::Arc;
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use url::Url;

#[cfg(feature = "comfyui")]
use super::pool::Report;
use super::{
    accounts::AccountSource,
    faults::{FaultRule, Scenario},
};
#[cfg(feature = "comfyui")]
use crate::comfyui::Times;
use crate::fake::{FakeBuilder, FakeRunComfy};

/// Configures an [`Emulator`](super::Emulator).
#[must_use = "a builder does nothing until start() is called"]
pub struct EmulatorBuilder {
    pub(super) listen: SocketAddr,
    pub(super) public_url: Option<Url>,
    pub(super) accounts: AccountSetup,
    pub(super) one_account: Option<u64>,
    #[cfg(feature = "state")]
    pub(super) state: Option<PathBuf>,
    #[cfg(feature = "comfyui")]
    pub(super) comfyui: Vec<Url>,
    #[cfg(feature = "comfyui")]
    pub(super) input_hosts: Vec<String>,
    /// Timeouts and polling intervals for ComfyUI servers.
    #[cfg(feature = "comfyui")]
    pub(super) comfyui_times: Times,
    /// Called when a ComfyUI server is found or lost.
    #[cfg(feature = "comfyui")]
    pub(super) report: Option<Report>,
    pub(super) webhook_copies: u32,
    pub(super) faults: Vec<FaultRule>,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) fault_seed: u64,
}

/// How accounts are made.
pub(super) enum AccountSetup {
    Templated(Box<FakeBuilder>),
    Source(AccountSource),
}

impl EmulatorBuilder {
    pub(super) fn new() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            accounts: AccountSetup::Templated(Box::new(FakeRunComfy::builder())),
            one_account: None,
            #[cfg(feature = "state")]
            state: None,
            #[cfg(feature = "comfyui")]
            comfyui: Vec::new(),
            #[cfg(feature = "comfyui")]
            input_hosts: Vec::new(),
            #[cfg(feature = "comfyui")]
            comfyui_times: Times::default(),
            #[cfg(feature = "comfyui")]
            report: None,
            webhook_copies: 1,
            faults: Vec::new(),
            scenarios: Vec::new(),
            fault_seed: 0,
        }
    }

    /// The address to listen on, by default a free port of 127.0.0.1. The emulator does not authenticate
    /// callers, so use another interface only in a trusted network.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The base URL for clients if it differs from the listening address. URLs in responses start with it.
    pub fn public_url(mut self, url: Url) -> Self {
        self.public_url = Some(url);
        self
    }

    /// Uses one fake for all tokens.
    pub fn fake(mut self, fake: FakeRunComfy) -> Self {
        self.accounts = AccountSetup::Source(AccountSource::Shared(fake));
        self
    }

    /// The template of each token's account. By default it has the sample deployments, the service's times
    /// and prices, and 100 dollars. All accounts share one clock. The template's seed is ignored: each
    /// account has new ids, except for the template's deployments. For the same ids at each start, see
    /// [`one_account`](Self::one_account).
    pub fn account(mut self, like: FakeBuilder) -> Self {
        self.accounts = AccountSetup::Templated(Box::new(like));
        self
    }

    /// Uses one account for all tokens, with ids from this seed. Two emulators with the same seed generate
    /// the same ids.
    pub fn one_account(mut self, seed: u64) -> Self {
        self.one_account = Some(seed);
        self
    }

    /// Keeps the accounts in this file, which is created if it does not exist. Requires accounts from one
    /// template, see [`account`](Self::account).
    ///
    /// A call that changes something is answered once the change is on disk, so a killed process loses
    /// nothing that it acknowledged. Simulated time goes on while no emulator runs: runs end, idle instances
    /// stop, and running instances are billed. The file contains workflows and inputs as they were sent.
    #[cfg(feature = "state")]
    pub fn state(mut self, file: impl Into<PathBuf>) -> Self {
        self.state = Some(file.into());
        self
    }

    /// Makes the account of a token on its first use from the given builder, whose seed is random. `None`
    /// rejects the token with 401.
    ///
    /// Accounts stay in memory until the emulator stops.
    pub fn accounts(
        mut self,
        make: impl Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync + 'static,
    ) -> Self {
        self.accounts = AccountSetup::Source(AccountSource::custom(make));
        self
    }

    /// Runs requests on the ComfyUI server at this URL: one at a time, first come, first served. Each further
    /// server is a further instance; a deployment uses at most `max_instances` of them at once. Output files
    /// are copied. They are kept while the emulator runs, or beside its state file, until their deployment is
    /// deleted and no longer than the service keeps files.
    ///
    /// Instances then have no cold start and no keep-warm time and are billed only while they run. Requires
    /// accounts from one template, see [`account`](Self::account).
    #[cfg(feature = "comfyui")]
    pub fn comfyui(mut self, server: Url) -> Self {
        self.comfyui.push(server);
        self
    }

    /// Calls `to` with one line when a ComfyUI server is found or lost, or when its URL leads to something
    /// else.
    #[cfg(feature = "comfyui")]
    pub fn report(mut self, to: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.report = Some(Arc::new(to));
        self
    }

    /// Allows input URLs of this host (`name` or `name:port`), even if its address is not public.
    #[cfg(feature = "comfyui")]
    pub fn inputs_from(mut self, host: impl Into<String>) -> Self {
        self.input_hosts.push(host.into());
        self
    }

    /// How many times each webhook is delivered. More than once tests whether a receiver recognizes
    /// duplicates.
    #[cfg(feature = "webhooks")]
    pub fn webhook_copies(mut self, copies: u32) -> Self {
        self.webhook_copies = copies;
        self
    }

    /// Like [`Emulator::inject`](super::Emulator::inject), from the first call on.
    pub fn fault(mut self, rule: impl Into<FaultRule>) -> Self {
        self.faults.push(rule.into());
        self
    }

    /// Like [`Emulator::play`](super::Emulator::play), from the first call on.
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.scenarios.push(scenario);
        self
    }

    /// The seed of the fault probabilities. The same calls in the same order meet the same faults.
    pub fn fault_seed(mut self, seed: u64) -> Self {
        self.fault_seed = seed;
        self
    }
}

impl fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorBuilder").field("listen", &self.listen).finish_non_exhaustive()
    }
}
