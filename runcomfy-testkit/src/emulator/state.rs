//! Restores accounts from the state file by replaying their events, and records new events in it.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use chrono::Utc;

use super::{
    account_factory::AccountFactory,
    accounts::{AccountSource, TemplatedAccounts},
};
use crate::{
    account::{Account, DeploymentSeed},
    clock::{self, Clock},
    fake::{EventRecorder, FakeBuilder},
    history::{Event, HistoryEntry, Session},
    store::{Record, Store},
};

/// The key of session records. An account may have the same key; the record's content tells them apart.
const ALL: u64 = 0;

/// What the records read so far contain.
struct Restoring<'a> {
    template: &'a FakeBuilder,
    first: Option<Session>,
    last: Option<Session>,
    /// The time of the last event.
    latest: Duration,
    accounts: BTreeMap<u64, Account>,
}

impl Restoring<'_> {
    fn take(&mut self, record: &Record) -> Result<(), String> {
        if record.account == ALL
            && let Ok(session) = serde_json::from_slice::<Session>(&record.event)
        {
            self.latest = self.latest.max(session.at);
            for account in self.accounts.values_mut() {
                session.apply(account);
            }
            self.first.get_or_insert_with(|| session.clone());
            self.last = Some(session);
            return Ok(());
        }
        let entry = serde_json::from_slice::<HistoryEntry>(&record.event);
        let mut entry = entry.map_err(|error| error.to_string())?;
        self.latest = self.latest.max(entry.at);
        if let Event::Opened { balance, seed } = entry.event {
            let (Some(first), Some(last)) = (&self.first, &self.last) else {
                return Err("an account appears before the first start of the emulator".to_owned());
            };
            let template = self.template.clone().opened_with(balance);
            let seed = seed.unwrap_or(record.account);
            let mut account = template.account(seed, entry.at, first.started_at);
            last.apply(&mut account);
            self.accounts.insert(record.account, account);
            return Ok(());
        }
        if let Event::Seeded(seed) = &mut entry.event {
            self.share(seed);
        }
        let account = self.accounts.get_mut(&record.account);
        let account = account.ok_or("an event belongs to an account that was never opened")?;
        account.replay(entry).map_err(|error| error.to_string())
    }
}

impl Restoring<'_> {
    /// Shares the template's graph with a deployment that has the same one.
    fn share(&self, seed: &mut DeploymentSeed) {
        let templated = self.template.seeds().iter().find(|known| known.id == seed.id);
        if let Some(known) = templated.filter(|known| known.workflow == seed.workflow) {
            seed.workflow = known.workflow.clone();
        }
    }
}

/// Restores the accounts in this file and advances them to the present.
pub(super) async fn restore(
    path: &Path,
    template: FakeBuilder,
    one: Option<u64>,
) -> io::Result<AccountSource> {
    let mut restoring = Restoring {
        template: &template,
        first: None,
        last: None,
        latest: Duration::ZERO,
        accounts: BTreeMap::new(),
    };
    let store = Store::open(path, |record| restoring.take(&record)).map_err(io::Error::other)?;
    let Restoring { first, last, latest, accounts, .. } = restoring;

    // Simulated time went on while no emulator ran. If the system clock was set back, it stands still.
    let real = Utc::now();
    let at = last.as_ref().map_or(Duration::ZERO, |last| {
        let since = (real - last.started_at).to_std().unwrap_or_default();
        last.at.saturating_add(clock::scaled(since, last.time_scale)).max(latest)
    });
    let session = template.session(real, at);
    let written = serde_json::to_vec(&session).map_err(io::Error::other)?;
    // Fails here rather than in the first call if the disk is not writable.
    store.append(Record { account: ALL, event: written }).await.map_err(io::Error::other)?;

    let clock = Clock::start(at, template.scale());
    let started_at = first.map_or(real, |first| first.started_at);
    let recorders = move |key: u64| -> EventRecorder { recorder(&store, key) };
    let mut known = BTreeMap::new();
    for (key, mut account) in accounts {
        session.apply(&mut account);
        let fake = template.clone().around(account, clock);
        fake.record_with(recorders(key));
        fake.add_missing_deployments(template.seeds());
        if !session.timing.driven {
            fake.abandon();
        }
        known.insert(key, fake);
    }
    let factory = AccountFactory::recorded(template, clock, started_at, recorders);
    Ok(AccountSource::Templated(Box::new(TemplatedAccounts { factory, one, known: known.into() })))
}

/// Writes the events of one account to the file.
fn recorder(store: &Store, key: u64) -> EventRecorder {
    let store = store.clone();
    EventRecorder(Arc::new(move |entry| {
        let ticket = match entry.map(serde_json::to_vec) {
            Some(Ok(event)) => store.append(Record { account: key, event }),
            Some(Err(error)) => return Box::pin(async move { Err(error.to_string()) }),
            None => store.flush(),
        };
        Box::pin(async move { ticket.await.map_err(|error| error.to_string()) })
    }))
}

#[cfg(test)]
mod tests {
    use runcomfy_core::{DeploymentId, InferenceRequest, RequestId, RunComfyApi as _, Workflow};

    use super::*;
    use crate::fake::FakeRunComfy;

    /// The graph that a request of each account runs: a new one, or the one that was submitted before.
    async fn graphs(
        templated: &TemplatedAccounts,
        requests: &mut Vec<RequestId>,
    ) -> Vec<Arc<Workflow>> {
        let mut graphs = Vec::new();
        for key in 1..=2 {
            let known = templated.known.lock().unwrap().get(&key).cloned();
            let fake = known.unwrap_or_else(|| templated.factory.open(key, None));
            if requests.len() < 2 {
                let request = InferenceRequest::new(DeploymentId::new("dep_1").unwrap());
                requests.push(fake.submit_request(&request).await.unwrap().request_id);
            }
            let mine = requests.iter().find_map(|id| fake.handed_over_job(id));
            graphs.push(mine.unwrap().graph);
        }
        graphs
    }

    #[tokio::test]
    async fn accounts_that_begin_alike_hold_each_graph_but_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut requests = Vec::new();
        for times in ["new", "restored"] {
            let template = FakeRunComfy::builder().empty().deployment("dep_1");
            let kind = restore(&folder.path().join("state"), template, None).await.unwrap();
            let AccountSource::Templated(templated) = kind else { panic!("not templated") };
            let graphs = graphs(&templated, &mut requests).await;
            assert!(Arc::ptr_eq(&graphs[0], &graphs[1]), "{times}");
        }
    }
}
