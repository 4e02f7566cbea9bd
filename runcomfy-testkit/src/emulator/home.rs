//! Where accounts that begin alike live: at one time, and in one file if they are to outlive the process.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    clock::Clock,
    fake::{FakeBuilder, FakeRunComfy, Keeper},
    history::{Entry, Event},
};

pub(super) struct Home {
    template: FakeBuilder,
    clock: Clock,
    /// What the clock's zero is in real time.
    started_at: DateTime<Utc>,
    keepers: Option<Box<dyn Fn(u64) -> Keeper + Send + Sync>>,
}

impl Home {
    /// One in memory.
    pub(super) fn new(template: FakeBuilder) -> Self {
        let clock = Clock::start(Duration::ZERO, template.scale());
        Self { template, clock, started_at: Utc::now(), keepers: None }
    }

    /// One whose accounts are written down by the keeper that this gives for each.
    #[cfg(feature = "state")]
    pub(super) fn kept(
        template: FakeBuilder,
        clock: Clock,
        started_at: DateTime<Utc>,
        keepers: impl Fn(u64) -> Keeper + Send + Sync + 'static,
    ) -> Self {
        Self { template, clock, started_at, keepers: Some(Box::new(keepers)) }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Opens a new account, with ids that follow from this seed, or from its key.
    pub(super) fn open(&self, key: u64, seed: Option<u64>) -> FakeRunComfy {
        let now = self.clock.now();
        let mut account = self.template.account(seed.unwrap_or(key), now, self.started_at);
        let keeper = self.keepers.as_ref().map(|keepers| keepers(key));
        let keep = |event| {
            if let Some(keeper) = &keeper {
                // Nobody need wait: what relies on this is written down after it.
                drop((keeper.0)(Some(&Entry { at: now, event })));
            }
        };
        keep(Event::Opened { balance: self.template.opening_balance(), seed });
        for deployment in self.template.seeds() {
            account.plant(now, deployment.clone());
            keep(Event::Planted(Box::new(deployment.clone())));
        }
        let fake = self.template.clone().around(account, self.clock);
        if let Some(keeper) = keeper {
            fake.keep_with(keeper);
        }
        fake
    }
}
