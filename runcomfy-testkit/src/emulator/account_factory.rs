//! Where accounts that begin templated live: at one time, and in one file if they are to outlive the process.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    clock::Clock,
    fake::{EventRecorder, FakeBuilder, FakeRunComfy},
    history::{Event, HistoryEntry},
};

pub(super) struct AccountFactory {
    template: FakeBuilder,
    clock: Clock,
    /// What the clock's zero is in real time.
    started_at: DateTime<Utc>,
    recorders: Option<Box<dyn Fn(u64) -> EventRecorder + Send + Sync>>,
}

impl AccountFactory {
    /// One in memory.
    pub(super) fn new(template: FakeBuilder) -> Self {
        let clock = Clock::start(Duration::ZERO, template.scale());
        Self { template, clock, started_at: Utc::now(), recorders: None }
    }

    /// One whose accounts are written down by the recorder that this gives for each.
    #[cfg(feature = "state")]
    pub(super) fn kept(
        template: FakeBuilder,
        clock: Clock,
        started_at: DateTime<Utc>,
        recorders: impl Fn(u64) -> EventRecorder + Send + Sync + 'static,
    ) -> Self {
        Self { template, clock, started_at, recorders: Some(Box::new(recorders)) }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Opens a new account, with ids that follow from this seed, or from its key.
    pub(super) fn open(&self, key: u64, seed: Option<u64>) -> FakeRunComfy {
        let now = self.clock.now();
        let mut account = self.template.account(seed.unwrap_or(key), now, self.started_at);
        let recorder = self.recorders.as_ref().map(|recorders| recorders(key));
        let keep = |event| {
            if let Some(recorder) = &recorder {
                // Nobody need wait: what relies on this is written down after it.
                drop((recorder.0)(Some(&HistoryEntry { at: now, event })));
            }
        };
        keep(Event::Opened { balance: self.template.opening_balance(), seed });
        for deployment in self.template.seeds() {
            account.add_deployment(now, deployment.clone());
            keep(Event::Seeded(Box::new(deployment.clone())));
        }
        let fake = self.template.clone().around(account, self.clock);
        if let Some(recorder) = recorder {
            fake.record_with(recorder);
        }
        fake
    }
}
