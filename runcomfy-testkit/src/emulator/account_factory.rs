//! `AccountFactory`: opens accounts from one template, with one clock and optionally one state file.

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
    /// The real time at which the clock was zero.
    started_at: DateTime<Utc>,
    recorders: Option<Box<dyn Fn(u64) -> EventRecorder + Send + Sync>>,
}

impl AccountFactory {
    /// Accounts in memory.
    pub(super) fn new(template: FakeBuilder) -> Self {
        let clock = Clock::start(Duration::ZERO, template.scale());
        Self { template, clock, started_at: Utc::now(), recorders: None }
    }

    /// Accounts whose events go to the recorder that `recorders` returns for their key.
    #[cfg(feature = "state")]
    pub(super) fn recorded(
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

    /// Opens a new account. Its ids depend on the seed, or on its key without one.
    pub(super) fn open(&self, key: u64, seed: Option<u64>) -> FakeRunComfy {
        let now = self.clock.now();
        let mut account = self.template.account(seed.unwrap_or(key), now, self.started_at);
        let recorder = self.recorders.as_ref().map(|recorders| recorders(key));
        let keep = |event| {
            if let Some(recorder) = &recorder {
                // Need not wait, because later events are written after this one.
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
