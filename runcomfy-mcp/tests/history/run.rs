//! One history: made, and checked.

use std::{fmt::Write as _, sync::Arc};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    check::{Report, check},
    detour,
    door::Door,
    history::Call,
    line::Line,
    mix::{MIXES, Mix},
    user::{Habits, User},
    world::{World, token},
};

/// Which way users go to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Library,
    Server,
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) mix: Mix,
    pub(crate) way: Way,
    /// Users go away in the middle of calls.
    pub(crate) leave: bool,
    /// The service, and the server, are restarted under way.
    pub(crate) restarts: bool,
    /// Each connection to the service is closed after its answer.
    pub(crate) hang_ups: bool,
    /// Half of what may cost has an idempotency key, through the server.
    pub(crate) keys: bool,
}

/// Most of their time they wait for what is slow on purpose.
const USERS: usize = 64;

impl Run {
    pub(crate) fn new(seed: u64, mix: Mix, way: Way) -> Self {
        Self { seed, mix, way, leave: false, restarts: false, hang_ups: false, keys: false }
    }

    /// What a seed stands for.
    pub(crate) fn of(seed: u64) -> Self {
        let mix = MIXES[(seed % MIXES.len() as u64) as usize];
        let way = if seed.is_multiple_of(2) { Way::Library } else { Way::Server };
        // Under every second seed of the server's.
        Self { keys: seed % 4 == 1, ..Self::new(seed, mix, way) }
    }

    /// Makes the history and checks it. Fails with the seed where it can't be.
    pub(crate) async fn holds(self) -> Report {
        let started = tokio::time::Instant::now();
        let world = World::by(self.mix, self.seed, async |service| {
            if self.hang_ups { detour::closing_each_connection(service).await } else { service }
        });
        let world = Arc::new(world.await);
        let door = |user| match self.way {
            Way::Library => Door::Library(Arc::new(world.api(user))),
            Way::Server => Door::Server(Line::new(world.address, token(user))),
        };
        let server = self.way == Way::Server;
        let keys = server && self.keys;
        let habits = Habits { keys, leave: self.leave, wait: server };
        let each = operations().div_ceil(USERS);
        let over = CancellationToken::new();
        let living = async {
            let history = history(&world, door, USERS, each, habits, self.seed).await;
            over.cancel();
            history
        };
        let restarting = async {
            // When about a third of all calls have been made.
            let due = world.calls_reach((each * USERS / 3) as u64);
            let goes_on = tokio::select! {
                () = due => true,
                () = over.cancelled() => false,
            };
            assert!(goes_on, "seed {}: no call came through", self.seed);
            if self.restarts {
                world.restart_service().await;
                // What it knows of keys ends with it.
                if server && !keys {
                    world.restart_server().await;
                }
            }
        };
        let (history, ()) = tokio::join!(living, restarting);
        world.end().await;
        let effects = world.effects(USERS).await;
        let name = self.mix.name;
        let report = check(&history, &effects).unwrap_or_else(|violation| {
            panic!("seed {}, {name}, {:?}: {violation:#?}", self.seed, self.way)
        });
        let faults = world.load().await.1;
        say(&format!(
            "seed {} {name} {:?}: {} calls, {faults} faults, {:.2} % unknown, {:.1} s; {}",
            self.seed,
            self.way,
            report.calls(),
            report.unknown_rate() * 100.0,
            started.elapsed().as_secs_f64(),
            figures(&report),
        ));
        report
    }
}

/// What users made of it, all at once, so many calls each.
pub(crate) async fn history(
    world: &Arc<World>,
    door: impl Fn(usize) -> Door,
    users: usize,
    calls: usize,
    habits: Habits,
    seed: u64,
) -> Vec<Call> {
    let mut living = JoinSet::new();
    for number in 0..users {
        let user = User::new(number, door(number), Arc::clone(world), habits, seed);
        living.spawn(user.live(calls));
    }
    living.join_all().await.into_iter().flatten().collect()
}

/// How calls ended, for people.
pub(crate) fn figures(report: &Report) -> String {
    let mut text = String::new();
    for ((asked, end), count) in &report.ends {
        let _ = write!(text, "{asked} {end} {count}, ");
    }
    let _ = write!(text, "taking effect again {}", report.doubled_reissues);
    text
}

#[expect(clippy::print_stdout, reason = "figures, for whoever asks for them with --nocapture")]
fn say(line: &str) {
    println!("{line}");
}

/// As many as there are mixes and ways, unless somebody says otherwise.
const SEEDS: u64 = 2 * MIXES.len() as u64;

/// The seeds to run.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let one = std::env::var_os("RUNCOMFY_HISTORY_SEED").map(|_| 1);
    let count = number("RUNCOMFY_HISTORY_SEEDS").or(one).unwrap_or(SEEDS);
    first_seed()..first_seed() + count
}

pub(crate) fn first_seed() -> u64 {
    number("RUNCOMFY_HISTORY_SEED").unwrap_or(0)
}

fn operations() -> usize {
    number("RUNCOMFY_HISTORY_OPERATIONS").map_or(1_000, |number| number as usize)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}
