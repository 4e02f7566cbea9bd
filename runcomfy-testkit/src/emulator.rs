//! `Emulator`: the fake behind a socket, speaking the service's HTTP.

#[cfg(feature = "state")]
use std::path::PathBuf;
use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
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
mod home;
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
mod read;
mod routes;
#[cfg(feature = "state")]
mod state;
mod wire;

use accounts::{Accounts, Alike, Kind};
use connection::{Connections, Line};
use front::Front;
use home::Home;
#[cfg(feature = "webhooks")]
use notifier::Notifier;
use routes::{Drawing, Served};

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
    #[cfg(feature = "webhooks")]
    notifier: Option<Notifier>,
    server: Option<JoinHandle<io::Result<()>>>,
    /// Stop when they are dropped. What they have begun goes on without them.
    #[cfg(feature = "comfyui")]
    _workers: Option<tokio::task::JoinSet<()>>,
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
            accounts: Chosen::Alike(Box::new(FakeRunComfy::builder())),
            one_account: None,
            #[cfg(feature = "state")]
            state: None,
            #[cfg(feature = "comfyui")]
            comfyui: Vec::new(),
            #[cfg(feature = "comfyui")]
            input_hosts: Vec::new(),
            #[cfg(feature = "webhooks")]
            webhook_copies: 1,
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
        #[cfg(feature = "webhooks")]
        if let Some(notifier) = &self.notifier {
            notifier.stop().await;
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
    accounts: Chosen,
    one_account: Option<u64>,
    #[cfg(feature = "state")]
    state: Option<PathBuf>,
    #[cfg(feature = "comfyui")]
    comfyui: Vec<Url>,
    #[cfg(feature = "comfyui")]
    input_hosts: Vec<String>,
    #[cfg(feature = "webhooks")]
    webhook_copies: u32,
    faults: Vec<FaultRule>,
    scenarios: Vec<Scenario>,
    fault_seed: u64,
}

/// Whose accounts there are to be.
enum Chosen {
    Alike(Box<FakeBuilder>),
    Otherwise(Kind),
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
        self.accounts = Chosen::Otherwise(Kind::Shared(fake));
        self
    }

    /// How each token's account begins: the sample deployments, the service's times and prices, and 100
    /// dollars where nothing is said. All keep the same time. Its seed means nothing: each account has
    /// ids of its own.
    pub fn account(mut self, like: FakeBuilder) -> Self {
        self.accounts = Chosen::Alike(Box::new(like));
        self
    }

    /// One account for all tokens, with ids that follow from this seed, in place of one for each.
    pub fn one_account(mut self, seed: u64) -> Self {
        self.one_account = Some(seed);
        self
    }

    /// Keeps accounts in this file: begun where there is none, and lived through again where there is.
    /// Only for accounts that begin alike, see [`account`](Self::account).
    ///
    /// An answer is given when what it tells of is on the disk, so that a process that is killed loses
    /// nothing that anybody was told. Time goes on while nothing runs: runs end, idle instances stop, and
    /// what stays up is billed. The file holds workflows and inputs as they were sent.
    #[cfg(feature = "state")]
    pub fn state(mut self, file: impl Into<PathBuf>) -> Self {
        self.state = Some(file.into());
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
        self.accounts = Chosen::Otherwise(Kind::each(make));
        self
    }

    /// Runs requests for real, on the ComfyUI server at this address: one at a time, first come, first
    /// served. Several servers are several instances. What they make is copied: it is there for as long as
    /// the emulator runs, or beside its state file.
    ///
    /// Instances then neither start nor wait to be used: one is billed while it works. Only for accounts
    /// that begin alike, see [`account`](Self::account).
    #[cfg(feature = "comfyui")]
    pub fn comfyui(mut self, server: Url) -> Self {
        self.comfyui.push(server);
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

    /// Starts it.
    ///
    /// # Errors
    /// Where the address can't be listened on, because it is in use, say, or the state can't be read. A file
    /// that can't be read is left as it is.
    pub async fn start(mut self) -> io::Result<Emulator> {
        let listen = self.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            io::Error::new(error.kind(), format!("could not listen on {listen}: {error}"))
        })?;
        let url = match &self.public_url {
            Some(url) => url.clone(),
            None => {
                let address = listener.local_addr()?;
                Url::parse(&format!("http://{address}/")).map_err(io::Error::other)?
            }
        };
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        #[cfg(feature = "comfyui")]
        let pool = self.pool()?;
        #[cfg(not(feature = "comfyui"))]
        let pool = None;
        let front = Arc::new(Front::new(self.fault_seed));
        self.faults.drain(..).for_each(|rule| front.faults.inject(rule, None));
        self.scenarios.drain(..).for_each(|scenario| front.faults.play(scenario));
        #[cfg(feature = "webhooks")]
        let webhook_copies = self.webhook_copies;
        let accounts = Accounts::new(self.restored()?, url.clone());
        #[cfg(feature = "webhooks")]
        let notifier = {
            let notifier = Notifier::new(accounts.time_scale(), webhook_copies);
            // What was not told before the last stop is told now.
            accounts.all().iter().for_each(|(_, fake)| notifier.watch(fake));
            Some(notifier)
        };
        #[cfg(not(feature = "webhooks"))]
        let notifier = None;
        let served = Served {
            accounts,
            base: url.clone(),
            pool,
            notifier,
            front: front.clone(),
            drawing: Drawing::new(),
        };
        #[cfg(feature = "webhooks")]
        let notifier = served.notifier.clone();
        #[cfg(feature = "comfyui")]
        let workers = served.pool.as_ref().map(|pool| {
            for (_, fake) in served.accounts.all() {
                pool.take_over(&fake);
            }
            pool.work()
        });
        let service = routes::router(served).into_make_service_with_connect_info::<Line>();
        let connections =
            Connections { listener, front: front.clone(), stop: stop.clone(), cut: cut.clone() };
        let serving = axum::serve(connections, service)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        Ok(Emulator {
            url,
            stop,
            cut,
            front,
            #[cfg(feature = "webhooks")]
            notifier,
            server: Some(tokio::spawn(serving)),
            #[cfg(feature = "comfyui")]
            _workers: workers,
        })
    }
}

#[cfg(feature = "comfyui")]
impl EmulatorBuilder {
    fn pool(&mut self) -> io::Result<Option<std::sync::Arc<pool::Pool>>> {
        if self.comfyui.is_empty() {
            return Ok(None);
        }
        let Chosen::Alike(template) = &mut self.accounts else {
            let why =
                "ComfyUI runs only for accounts that begin alike: use EmulatorBuilder::account";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        template.drive();
        #[cfg(feature = "state")]
        let outputs = self.state.as_ref().map(|file| {
            let mut folder = file.clone().into_os_string();
            folder.push(".outputs");
            PathBuf::from(folder)
        });
        #[cfg(not(feature = "state"))]
        let outputs = None;
        let (servers, hosts) = (std::mem::take(&mut self.comfyui), self.input_hosts.clone());
        pool::Pool::new(servers, hosts, outputs).map(|pool| Some(pool.into()))
    }
}

impl EmulatorBuilder {
    /// The accounts, brought back from their file where they have one.
    fn restored(self) -> io::Result<Kind> {
        let one = self.one_account;
        let template = match self.accounts {
            // Nobody has these fakes to ask them for their calls.
            Chosen::Alike(template) => template.remember_calls(0),
            #[cfg(feature = "state")]
            Chosen::Otherwise(_) if self.state.is_some() => {
                let why =
                    "only accounts that begin alike can be kept: use EmulatorBuilder::account";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            Chosen::Otherwise(kind) => return Ok(kind),
        };
        #[cfg(feature = "state")]
        if let Some(path) = self.state {
            return state::restore(&path, template, one);
        }
        let home = Home::new(template);
        Ok(Kind::Alike(Box::new(Alike { home, one, known: Mutex::default() })))
    }
}

impl fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmulatorBuilder").field("listen", &self.listen).finish_non_exhaustive()
    }
}
