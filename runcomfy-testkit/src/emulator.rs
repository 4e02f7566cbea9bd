//! `Emulator`: the fake behind a socket, speaking the service's HTTP.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::fake::{FakeBuilder, FakeRunComfy};

mod accounts;
mod connection;
mod control;
mod counters;
mod faults;
mod front;
mod proxy;
mod read;
mod routes;
mod wire;

use accounts::Accounts;
use connection::{Connections, Line};
use front::Front;

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
    front: Arc<Front>,
    server: Option<JoinHandle<io::Result<()>>>,
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
        EmulatorBuilder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            accounts: Accounts::each(|_, builder| Some(builder.build())),
            faults: Vec::new(),
            scenarios: Vec::new(),
            fault_seed: 0,
        }
    }

    /// Where it is, ending in `/`: what a client takes as the service's origin.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Has calls meet a fault from now on. Of several rules the first that strikes counts.
    pub fn inject(&self, rule: impl Into<FaultRule>) {
        self.front.faults.inject(rule.into(), None);
    }

    /// Has calls meet the faults of a scenario from now on.
    pub fn play(&self, scenario: Scenario) {
        self.front.faults.play(scenario);
    }

    /// Ends all faults: the rules, and what they left behind, such as tokens that were revoked. Runs that
    /// are to fail still do.
    pub fn clear_faults(&self) {
        self.front.faults.clear();
    }

    /// What happened to every call so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.front.ledger.counters()
    }

    /// Takes no new connections, finishes the calls under way, and stops. A call that takes more than 5 s
    /// is cut off: when this returns, nobody is answered any more.
    pub async fn shutdown(mut self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        self.stop.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(PATIENCE, &mut server).await.is_err()
        {
            self.cut.cancel();
            drop(server.await);
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Sets an [`Emulator`] up.
#[must_use = "a builder does nothing until start() is called"]
pub struct EmulatorBuilder {
    listen: SocketAddr,
    public_url: Option<Url>,
    accounts: Accounts,
    faults: Vec<FaultRule>,
    scenarios: Vec<Scenario>,
    fault_seed: u64,
}

impl EmulatorBuilder {
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
        self.accounts = Accounts::shared(fake);
        self
    }

    /// How the account of a token is made when it is first seen, from a builder whose ids are its own.
    /// `None` refuses the token with 401.
    ///
    /// Accounts stay in memory until the emulator stops.
    pub fn accounts(
        mut self,
        make: impl Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync + 'static,
    ) -> Self {
        self.accounts = Accounts::each(make);
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

    /// Starts it.
    ///
    /// # Errors
    /// Where the address can't be listened on, because it is in use, say.
    pub async fn start(self) -> io::Result<Emulator> {
        let listener = TcpListener::bind(self.listen).await?;
        let url = match self.public_url {
            Some(url) => url,
            None => {
                let address = listener.local_addr()?;
                Url::parse(&format!("http://{address}/")).map_err(io::Error::other)?
            }
        };
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let front = Arc::new(Front::new(self.fault_seed));
        self.faults.into_iter().for_each(|rule| front.faults.inject(rule, None));
        self.scenarios.into_iter().for_each(|scenario| front.faults.play(scenario));
        let service = routes::router(self.accounts, url.clone(), front.clone())
            .into_make_service_with_connect_info::<Line>();
        let (stop_faults, front_of_all) = (stop.clone(), front.clone());
        let connections =
            Connections { listener, front: front_of_all, stop: stop_faults, cut: cut.clone() };
        let serving = axum::serve(connections, service)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        Ok(Emulator { url, stop, cut, front, server: Some(tokio::spawn(serving)) })
    }
}

impl fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorBuilder").field("listen", &self.listen).finish_non_exhaustive()
    }
}
