//! How an emulator is set up.

#[cfg(feature = "state")]
use std::path::PathBuf;
#[cfg(feature = "comfyui")]
use std::sync::Arc;
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use url::Url;

#[cfg(doc)]
use super::Emulator;
#[cfg(feature = "comfyui")]
use super::pool::Report;
use super::{
    accounts::AccountSource,
    faults::{FaultRule, Scenario},
};
#[cfg(feature = "comfyui")]
use crate::comfyui::Times;
use crate::fake::{FakeBuilder, FakeRunComfy};

/// Sets an [`Emulator`] up.
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
    /// How long servers are waited for.
    #[cfg(feature = "comfyui")]
    pub(super) comfyui_times: Times,
    /// Told of servers that are found and lost.
    #[cfg(feature = "comfyui")]
    pub(super) report: Option<Report>,
    pub(super) webhook_copies: u32,
    pub(super) faults: Vec<FaultRule>,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) fault_seed: u64,
}

/// Whose accounts there are to be.
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

    /// Where it listens: a free port of 127.0.0.1 where nothing is said. It asks nobody who they are, so
    /// leave it on loopback unless the network is your own.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// How clients reach it, where that differs from where it listens; it begins the addresses in answers.
    pub fn public_url(mut self, url: Url) -> Self {
        self.public_url = Some(url);
        self
    }

    /// One fake for all tokens.
    pub fn fake(mut self, fake: FakeRunComfy) -> Self {
        self.accounts = AccountSetup::Source(AccountSource::Shared(fake));
        self
    }

    /// How each token's account begins: the sample deployments, the service's times and prices, and 100
    /// dollars where nothing is said. All keep the same time. Its seed means nothing: each account has
    /// new ids, but for the deployments that it begins with. For ids that are the same at each start, see
    /// [`one_account`](Self::one_account).
    pub fn account(mut self, like: FakeBuilder) -> Self {
        self.accounts = AccountSetup::Templated(Box::new(like));
        self
    }

    /// One account for all tokens, with ids that follow from this seed, in place of one for each with new
    /// ids. Two emulators with the same seed give the same ids.
    pub fn one_account(mut self, seed: u64) -> Self {
        self.one_account = Some(seed);
        self
    }

    /// Keeps accounts in this file: begun where there is none, and lived through again where there is.
    /// Only for accounts that begin alike, see [`account`](Self::account).
    ///
    /// A call that changes something is answered when that is on the disk, so that a process that is killed
    /// loses nothing that was acknowledged. Time goes on while nothing runs: runs end, idle instances stop, and
    /// what stays up is billed. The file holds workflows and inputs as they were sent.
    #[cfg(feature = "state")]
    pub fn state(mut self, file: impl Into<PathBuf>) -> Self {
        self.state = Some(file.into());
        self
    }

    /// How the account of a token is made when it is first seen, from a builder with a seed of its own, so
    /// that its ids are new.
    /// `None` refuses the token with 401.
    ///
    /// Accounts stay in memory until the emulator stops.
    pub fn accounts(
        mut self,
        make: impl Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync + 'static,
    ) -> Self {
        self.accounts = AccountSetup::Source(AccountSource::custom(make));
        self
    }

    /// Runs requests for real, on the ComfyUI server at this address: one at a time, first come, first
    /// served. Several servers are several instances, and a deployment has as many of them at once as its
    /// `max_instances` says. What they make is copied: it is there for as long as the emulator runs, or beside
    /// its state file, until its deployment is deleted and no longer than the service keeps files.
    ///
    /// Instances then neither start nor wait to be used: one is billed while it works. Only for accounts
    /// that begin alike, see [`account`](Self::account).
    #[cfg(feature = "comfyui")]
    pub fn comfyui(mut self, server: Url) -> Self {
        self.comfyui.push(server);
        self
    }

    /// Has somebody told, a line each, when a ComfyUI server is found or lost, or something else is at its
    /// address.
    #[cfg(feature = "comfyui")]
    pub fn report(mut self, to: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.report = Some(Arc::new(to));
        self
    }

    /// Has inputs that are addresses fetched from this host (`name` or `name:port`) even though it is not
    /// in the internet at large.
    #[cfg(feature = "comfyui")]
    pub fn inputs_from(mut self, host: impl Into<String>) -> Self {
        self.input_hosts.push(host.into());
        self
    }

    /// How often each webhook is delivered: more than once to see whether a receiver takes it for the same.
    #[cfg(feature = "webhooks")]
    pub fn webhook_copies(mut self, copies: u32) -> Self {
        self.webhook_copies = copies;
        self
    }

    /// As [`Emulator::inject`], from the first call on.
    pub fn fault(mut self, rule: impl Into<FaultRule>) -> Self {
        self.faults.push(rule.into());
        self
    }

    /// As [`Emulator::play`], from the first call on.
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.scenarios.push(scenario);
        self
    }

    /// What the luck of faults follows from. The same calls in the same order meet the same faults.
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
