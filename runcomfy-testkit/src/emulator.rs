//! `Emulator`: serves the fake over HTTP as RunComfy's API.

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
mod call_log;
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

/// RunComfy's Serverless API on a local port, simulated by [`FakeRunComfy`].
///
/// Deployments and the instance proxy are below `/prod/v2`, the queue below `/prod/v1` and `/prod/v2`. Output
/// files need no token and are served at the URLs in results. `GET /healthz` is a health check. Dropping the
/// emulator stops it at once; [`shutdown`](Self::shutdown) finishes the calls in progress first.
///
/// Faults are injected by [`inject`](Self::inject), [`play`](Self::play), the routes below `/_emulator/`, or
/// the header `X-Emulator-Fault` of a call.
///
/// The emulator uses tokio's clock. Do not pause that clock, because a paused clock does not wait for
/// sockets. Shorten runs with [`FakeBuilder::cold_start`] and [`FakeBuilder::run_time`] instead.
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
    /// Stops accepting connections and closes idle ones.
    stop: CancellationToken,
    /// Closes the connections with calls in progress.
    cut: CancellationToken,
    shared: Arc<SharedState>,
    accounts: Arc<Accounts>,
    notifier: Option<Notifier>,
    server: Option<JoinHandle<io::Result<()>>>,
    workers: Option<Workers>,
}

impl Emulator {
    /// Serves this fake on a free port of 127.0.0.1. Every bearer token is accepted, and all share the fake.
    ///
    /// The URLs in results point to the emulator that was called last. If two emulators serve one fake, set
    /// [`FakeBuilder::output_base`].
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(fake: FakeRunComfy) -> io::Result<Self> {
        Self::builder().fake(fake).start().await
    }

    /// Configures an emulator in which each token is an account with its own deployments and requests.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::new()
    }

    /// The base URL for clients, ending in `/`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Adds a fault rule. The first rule that matches a call applies.
    pub fn inject(&self, rule: impl Into<FaultRule>) {
        self.shared.faults.inject(rule.into(), None);
    }

    /// Adds the fault rules of a scenario.
    pub fn play(&self, scenario: Scenario) {
        self.shared.faults.play(scenario);
    }

    /// Removes all fault rules and their effects, such as revoked tokens. Runs that were set to fail still
    /// fail.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The outcomes of all calls so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.call_log.counters()
    }

    /// The account of a bearer token, which is opened if it is new. It shows what took effect, whether or not
    /// the caller received the response. `None` if the token is rejected.
    #[must_use]
    pub fn account(&self, token: &str) -> Option<FakeRunComfy> {
        self.accounts.of(token)
    }

    /// Stops accepting connections, finishes the calls in progress and stops. Calls that take more than 5 s
    /// are aborted. Runs on ComfyUI are stopped, unless there is a state file: then the next emulator resumes
    /// them.
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
