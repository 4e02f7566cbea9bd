//! The service, emulated with a state file, and the server before it. Either can be restarted under way.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use runcomfy_core::{
    DeploymentId, HttpApi, RequestId, RunComfyApi as _, Token, client::Timeouts,
    deployment::ListDeployments, retry::RetryPolicy,
};
use runcomfy_mcp::{AuthMode, Limits, RunComfyMcp, Settings, transport::http::HttpServer};
use runcomfy_testkit::{Emulator, EmulatorBuilder, FakeRunComfy};
use tokio::{net::TcpListener, sync::RwLock, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    history::{Deployed, Effects, Run, Truth},
    mix::Mix,
};

/// Where all runs are: it is never deleted, as its runs would go with it.
pub(crate) const DEPLOYMENT: &str = "dep-runs";
/// The input that carries an operation's marker.
pub(crate) const MARKED: (&str, &str) = ("6", "text");

pub(crate) struct World {
    emulator: RwLock<Option<Emulator>>,
    server: RwLock<Option<Server>>,
    pub(crate) service: SocketAddr,
    pub(crate) address: SocketAddr,
    api: HttpApi,
    mix: Mix,
    seed: u64,
    folder: tempfile::TempDir,
}

struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    /// With faults that follow from the seed. Where there is a `detour`, the server and the library reach the
    /// service by it.
    pub(crate) async fn new(mix: Mix, seed: u64) -> Self {
        Self::by(mix, seed, async |service| service).await
    }

    pub(crate) async fn by(
        mix: Mix,
        seed: u64,
        detour: impl AsyncFnOnce(SocketAddr) -> SocketAddr,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let emulator = builder(mix, seed, local, folder.path().join("state"));
        let emulator = emulator.start().await.unwrap();
        let service = emulator.url().socket_addrs(|| None).unwrap()[0];
        let api = HttpApi::builder()
            .base_url(&format!("http://{}", detour(service).await))
            .timeouts(timeouts(mix))
            .retry(retries())
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::start(api.clone(), listener);
        Self {
            emulator: RwLock::new(Some(emulator)),
            server: RwLock::new(Some(server)),
            service,
            address,
            api,
            mix,
            seed,
            folder,
        }
    }

    /// The library, acting for this user.
    pub(crate) fn api(&self, user: usize) -> HttpApi {
        self.api.with_token(Token::new(token(user)).unwrap())
    }

    /// Stops the service and starts it again from its file.
    pub(crate) async fn restart_service(&self) {
        let mut emulator = self.emulator.write().await;
        if let Some(old) = emulator.take() {
            old.shutdown().await;
        }
        let state: PathBuf = self.folder.path().join("state");
        // Whoever still holds the file or the port lets go of it in a moment.
        let again = async || loop {
            let builder = builder(self.mix, self.seed ^ 1, self.service, state.clone());
            match builder.start().await {
                Ok(emulator) => break emulator,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let patience = Duration::from_secs(10);
        *emulator = Some(tokio::time::timeout(patience, again()).await.unwrap());
    }

    /// Stops the server, with whatever it has under way, and starts another.
    pub(crate) async fn restart_server(&self) {
        let mut server = self.server.write().await;
        if let Some(Server { stop, task }) = server.take() {
            stop.cancel();
            task.await.unwrap();
        }
        let again = async || loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let listener = tokio::time::timeout(Duration::from_secs(10), again()).await.unwrap();
        *server = Some(Server::start(self.api.clone(), listener));
    }

    /// Lets the server finish what is under way.
    pub(crate) async fn end(&self) {
        if let Some(Server { stop, task }) = self.server.write().await.take() {
            stop.cancel();
            task.await.unwrap();
        }
    }

    /// Where a run is now, by the service's own books.
    pub(crate) async fn truth(&self, user: usize, request_id: &str) -> Truth {
        let emulator = self.emulator.read().await;
        truth(&account(emulator.as_ref(), user), request_id).await
    }

    /// What the service did for each user, once every run is over.
    pub(crate) async fn effects(&self, users: usize) -> Vec<Effects> {
        let emulator = self.emulator.read().await;
        let mut all = Vec::new();
        for user in 0..users {
            all.push(effects(&account(emulator.as_ref(), user)).await);
        }
        all
    }

    /// Returns when nothing is being restarted.
    pub(crate) async fn is_up(&self) {
        drop(self.emulator.read().await);
        drop(self.server.read().await);
    }

    /// Returns when the service has seen so many calls since it was started.
    pub(crate) async fn calls_reach(&self, calls: u64) {
        let patience = Duration::from_millis(20);
        let mut tick = tokio::time::interval(patience);
        while self.load().await.0 < calls {
            tick.tick().await;
        }
    }

    /// How many calls the service saw since it was started, and how many faults they met.
    pub(crate) async fn load(&self) -> (u64, u64) {
        let emulator = self.emulator.read().await;
        let totals = emulator.as_ref().unwrap().counters().totals;
        (totals.calls, totals.faults.values().sum())
    }
}

impl Server {
    fn start(api: HttpApi, listener: TcpListener) -> Self {
        let server = RunComfyMcp::new(AuthMode::Each { api, anonymous: None }, settings());
        let stop = CancellationToken::new();
        let serving = HttpServer::new(server).shutdown(stop.clone()).serve(listener);
        Self { stop, task: tokio::spawn(serving) }
    }
}

/// What a user goes by.
pub(crate) fn token(user: usize) -> String {
    format!("user-{user:04}")
}

fn account(emulator: Option<&Emulator>, user: usize) -> FakeRunComfy {
    emulator.unwrap().account(&token(user)).unwrap()
}

fn builder(mix: Mix, seed: u64, listen: SocketAddr, state: PathBuf) -> EmulatorBuilder {
    let accounts = FakeRunComfy::builder()
        .empty()
        .deployment(DEPLOYMENT)
        .cold_start(Duration::from_millis(1))
        .run_time(Duration::from_millis(10))
        .cancel_latency(Duration::from_millis(2))
        .balance_usd(1e6)
        .remember_calls(0);
    let builder = Emulator::builder().account(accounts).listen(listen).state(state);
    mix.rules().fold(builder.fault_seed(seed), EmulatorBuilder::fault)
}

/// Short where answers may never come; otherwise so long that a slow machine is no fault.
fn timeouts(mix: Mix) -> Timeouts {
    let mut timeouts = Timeouts::default();
    if !mix.stalls() {
        return timeouts;
    }
    let (attempt, total) = (Duration::from_millis(150), Duration::from_millis(400));
    (timeouts.connect, timeouts.read_stall) = (attempt, attempt);
    (timeouts.read_attempt, timeouts.write_attempt) = (attempt, attempt);
    (timeouts.read_total, timeouts.write_total) = (total, total);
    timeouts
}

/// At once, and as many as are allowed: each is a chance to double something.
fn retries() -> RetryPolicy {
    let mut retries = RetryPolicy::default();
    (retries.base, retries.declined_base) = (Duration::from_millis(1), Duration::from_millis(1));
    (retries.budget.per_caller, retries.budget.in_all) = (1_000_000, 1_000_000);
    retries
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    let mut limits = Limits::hosted();
    (limits.rate, limits.paid_rate, limits.refusals_per_minute) = (None, None, None);
    settings.limits = Some(limits);
    settings.linger = Duration::ZERO;
    (settings.drain, settings.drain_reads) = (Duration::from_secs(5), Duration::from_millis(50));
    (settings.wait.shortest, settings.wait.shortest_in_queue) =
        (Duration::from_millis(10), Duration::from_millis(10));
    settings
}

async fn truth(account: &FakeRunComfy, request_id: &str) -> Truth {
    let deployment_id = DeploymentId::new(DEPLOYMENT).unwrap();
    let request_id = RequestId::new(request_id).unwrap();
    match account.get_request_result(&deployment_id, &request_id).await {
        // By the service's own words: how the library reads them is what is to be checked.
        Ok(result) => match result.status.as_deref() {
            Some("succeeded") => Truth::Succeeded,
            Some("failed") => Truth::Failed,
            Some("cancelled" | "canceled") => Truth::Cancelled,
            _ => Truth::Open,
        },
        Err(_) => Truth::Open,
    }
}

async fn effects(account: &FakeRunComfy) -> Effects {
    let mut effects = Effects::default();
    for run in account.runs() {
        let (node, input) = MARKED;
        let overrides = serde_json::to_value(&run.overrides).unwrap();
        let marker = overrides[node]["inputs"][input].as_str().unwrap_or_default().to_owned();
        let end = ended(account, run.request_id.as_str()).await;
        effects.runs.insert(run.request_id.to_string(), Run { marker, end });
    }
    for one in account.list_deployments(&ListDeployments::all()).await.unwrap() {
        if one.id.as_str() != DEPLOYMENT {
            let name = one.name.unwrap_or_default();
            let keep_warm = one.keep_warm_duration_in_seconds.unwrap_or_default();
            effects.deployments.insert(one.id.to_string(), Deployed { name, keep_warm });
        }
    }
    effects
}

/// How a run ended, as soon as it has.
async fn ended(account: &FakeRunComfy, request_id: &str) -> Truth {
    let wait = async || loop {
        match truth(account, request_id).await {
            Truth::Open => tokio::task::yield_now().await,
            end => break end,
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait()).await.unwrap_or(Truth::Open)
}
