//! `Emulator`: the fake behind a socket, speaking the service's HTTP.

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

#[cfg(doc)]
use crate::fake::FakeBuilder;
use crate::fake::FakeRunComfy;

mod account_factory;
mod accounts;
mod app_state;
mod builder;
mod connection;
mod control;
mod counters;
mod decode;
mod encode;
mod faults;
mod files;
mod hosts;
mod middleware;
#[cfg(not(feature = "webhooks"))]
#[path = "emulator/notifier/absent.rs"]
mod notifier;
#[cfg(feature = "webhooks")]
mod notifier;
mod overview;
mod page;
#[cfg(not(feature = "comfyui"))]
#[path = "emulator/pool/absent.rs"]
mod pool;
#[cfg(feature = "comfyui")]
mod pool;
mod proxy;
mod routes;
mod shared;
mod start;
#[cfg(feature = "state")]
mod state;

use accounts::Accounts;
use notifier::Notifier;
use pool::Workers;
use shared::SharedState;

pub use builder::EmulatorBuilder;
pub use counters::{CallCounters, ConnectionCounters, Counters, SubmitCounters};
pub use faults::{Effect, Fault, FaultKind, FaultRule, InvalidFault, Scenario, UnknownScenario};

/// RunComfy's Serverless API on a local port, over [`FakeRunComfy`].
///
/// Deployments and the instance proxy are under `/prod/v2`, the queue under `/prod/v1` and `/prod/v2`.
/// Files that runs made are served without a token at the addresses that results name, and `GET /healthz`
/// says that it is there. It stops when it is dropped, calls under way or not; [`shutdown`](Self::shutdown)
/// finishes those and waits until it has stopped.
///
/// Calls meet faults where [`inject`](Self::inject), [`play`](Self::play), the routes below `/_emulator/` or
/// the header `X-Emulator-Fault` on a call ask for them.
///
/// Its clock is tokio's, but don't pause that: a paused clock does not wait for sockets. Make runs short
/// instead, with [`FakeBuilder::cold_start`] and [`FakeBuilder::run_time`].
///
/// ```
/// use std::time::Duration;
/// use runcomfy_testkit::{Emulator, FakeRunComfy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let fake = FakeRunComfy::builder().cold_start(Duration::from_millis(20)).build();
/// let emulator = Emulator::start(fake).await?;
/// println!("point your client at {}", emulator.url());
/// emulator.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Emulator {
    url: Url,
    /// Takes no new connections, and ends those that have no call under way.
    stop: CancellationToken,
    /// Ends the others.
    cut: CancellationToken,
    shared: Arc<SharedState>,
    accounts: Arc<Accounts>,
    notifier: Option<Notifier>,
    server: Option<JoinHandle<io::Result<()>>>,
    workers: Option<Workers>,
}

impl Emulator {
    /// Serves this fake on a free port of 127.0.0.1. Any bearer token is taken, and all share the fake.
    ///
    /// A fake names addresses below one emulator, the one that was called last. Where two serve the same,
    /// files are at both, but results may name either's: say which with [`FakeBuilder::output_base`].
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(fake: FakeRunComfy) -> io::Result<Self> {
        Self::builder().fake(fake).start().await
    }

    /// Sets one up whose tokens are accounts: each sees its own deployments and requests.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::new()
    }

    /// Where it is, ending in `/`: what a client takes as the service's origin.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Has calls meet a fault from now on. Of several rules the first that strikes counts.
    pub fn inject(&self, rule: impl Into<FaultRule>) {
        self.shared.faults.inject(rule.into(), None);
    }

    /// Has calls meet the faults of a scenario from now on.
    pub fn play(&self, scenario: Scenario) {
        self.shared.faults.play(scenario);
    }

    /// Ends all faults: the rules, and what they left behind, such as tokens that were revoked. Runs that
    /// are to fail still do.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// What happened to every call so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.call_log.counters()
    }

    /// The account behind a bearer token, opened where it is new: what took effect there, whatever callers
    /// were told. `None` where the token is refused.
    #[must_use]
    pub fn account(&self, token: &str) -> Option<FakeRunComfy> {
        self.accounts.of(token)
    }

    /// Takes no new connections, finishes the calls under way, and stops. A call that takes more than 5 s
    /// is cut off: when this returns, nobody is answered any more. Runs on a ComfyUI are stopped as well, but
    /// for those of an emulator with a state file: the next one takes them up.
    pub async fn shutdown(mut self) {
        const GRACE_PERIOD: Duration = Duration::from_secs(5);
        self.stop.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(GRACE_PERIOD, &mut server).await.is_err()
        {
            self.cut.cancel();
            drop(server.await);
        }
        if let Some(workers) = self.workers.take() {
            workers.stop().await;
        }
        if let Some(notifier) = &self.notifier {
            notifier.stop().await;
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
        if let Some(notifier) = &self.notifier {
            notifier.end();
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}
