//! Many accounts with faults: what clients know, the counters and the bills agree.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use runcomfy_testkit::{CallCounters, Emulator, FakeRunComfy};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use crate::http::{Reply, raw_at};

const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

const ACCOUNTS: usize = 50;
const REQUESTS_EACH: usize = 20;
/// One of this many requests is cancelled.
const CANCELLED_EVERY: usize = 5;

const OPENING_USD: f64 = 1000.0;
/// A dollar per second.
const USD_PER_HOUR: f64 = 3600.0;
const RUN_TIME: Duration = Duration::from_millis(100);

/// Longer than any test needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the client of one account knows.
#[derive(Default)]
struct ClientRecord {
    calls: u64,
    answered: BTreeMap<&'static str, u64>,
    unanswered: u64,
    submits_refused: u64,
    submits_unanswered: u64,
    completed: HashSet<String>,
    cancelled: HashSet<String>,
}

struct Customer {
    emulator: Arc<Emulator>,
    token: String,
    record: ClientRecord,
}

impl Customer {
    /// Calls and records the outcome. `None` without a complete response.
    async fn call(&mut self, what: &str, body: &str) -> Option<Reply> {
        let authorization = format!("Bearer {}", self.token);
        let reply = raw_at(self.emulator.url(), Some(&authorization), what, body).await.ok();
        let whole = |reply: &Reply| {
            reply.header("content-length").is_some_and(|said| said == reply.body.len().to_string())
        };
        let reply = reply.filter(whole);
        self.record.calls += 1;
        match &reply {
            Some(reply) => {
                let class = ["2xx", "3xx", "4xx", "5xx"][usize::from(reply.status / 100) - 2];
                *self.record.answered.entry(class).or_default() += 1;
            }
            None => self.record.unanswered += 1,
        }
        reply
    }

    /// Repeats a call until the service itself answers.
    async fn ask(&mut self, id: &str, action: &str) -> Reply {
        let method = if action == "cancel" { "POST" } else { "GET" };
        let what = format!("{method} /prod/v1/deployments/{DEPLOYMENT}/requests/{id}/{action}");
        loop {
            if let Some(reply) = self.call(&what, "").await
                && !matches!(reply.status, 429 | 500..)
            {
                return reply;
            }
        }
    }

    /// Submits until a request id is known.
    async fn submit(&mut self, number: usize) -> String {
        let body = json!({"overrides": {"3": {"inputs": {"seed": number}}}}).to_string();
        let what = format!("POST /prod/v2/deployments/{DEPLOYMENT}/inference");
        loop {
            match self.call(&what, &body).await {
                None => self.record.submits_unanswered += 1,
                Some(reply) if reply.status != 200 => self.record.submits_refused += 1,
                Some(reply) => return reply.json()["request_id"].as_str().unwrap().to_owned(),
            }
        }
    }

    /// Submits a request and cancels some of them.
    async fn begin(&mut self, number: usize) -> String {
        let id = self.submit(number).await;
        if number.is_multiple_of(CANCELLED_EVERY) {
            self.ask(&id, "cancel").await;
        }
        id
    }

    /// Polls a request until its end.
    async fn finish(&mut self, id: String) {
        let status = loop {
            let status = self.ask(&id, "status").await.json()["status"].clone();
            if status != "in_queue" && status != "in_progress" {
                break status;
            }
        };
        let result = self.ask(&id, "result").await.json();
        let new = match (status.as_str(), result["status"].as_str()) {
            (Some("completed"), Some("succeeded")) => self.record.completed.insert(id),
            (Some("cancelled"), Some("cancelled")) => self.record.cancelled.insert(id),
            _ => panic!("{id}: {status}, but {result}"),
        };
        assert!(new, "an id was given twice");
    }

    /// The account once all runs are over and no instance runs.
    async fn account(&self) -> Value {
        let authorization = format!("Bearer {}", self.token);
        loop {
            let (url, authorization) = (self.emulator.url(), Some(authorization.as_str()));
            let reply = raw_at(url, authorization, "GET /_emulator/account", "").await.unwrap();
            let account = reply.json();
            if account["usd_per_hour"] == 0.0 {
                return account;
            }
        }
    }
}

impl ClientRecord {
    /// Compares with the counters. Returns the number of calls that the counters do not have.
    fn compare(&self, counted: &CallCounters) -> u64 {
        assert_eq!(self.answered, counted.answered);
        let unseen = self.calls - counted.calls;
        assert_eq!(self.unanswered - counted.unanswered, unseen);
        let (known, submits) = (self.known(), counted.submits);
        assert_eq!(known, submits.confirmed);
        // A submit without an id was refused, had no effect, or lost its response.
        let in_vain = self.submits_refused + self.submits_unanswered;
        let counted_in_vain = submits.withheld + submits.refused + submits.answers_lost;
        assert!((counted_in_vain..=counted_in_vain + unseen).contains(&in_vain), "{submits:?}");
        unseen
    }

    /// Requests with a known id. All of them are over.
    fn known(&self) -> u64 {
        (self.completed.len() + self.cancelled.len()) as u64
    }
}

/// Checks that each accepted run ended in one way and was billed.
fn ends_and_money(record: &ClientRecord, account: &Value, counted: &CallCounters) {
    let number = |what: &str| account[what].as_u64().unwrap();
    let (started, completed, cancelled) =
        (number("runs_started"), number("runs_completed"), number("runs_cancelled"));
    assert_eq!((started, started), (counted.submits.accepted, completed + cancelled), "{account}");
    // A request with a lost id is never cancelled.
    assert_eq!(cancelled, record.cancelled.len() as u64);
    let amount = |what: &str| account[what].as_f64().unwrap();
    let (left, spent) = (amount("balance_usd"), amount("spent_usd"));
    // Each is rounded to a millionth.
    assert!((left + spent - OPENING_USD).abs() < 2.1e-6, "{left} left, {spent} spent");
    // Seconds of instances at a dollar each: they run as long as runs do; a cancelled run takes a part of its
    // time.
    let least = completed as f64 * RUN_TIME.as_secs_f64();
    let most = started as f64 * RUN_TIME.as_secs_f64();
    assert!(spent >= least - 1e-6 && spent <= most + 1e-6, "{spent}, not {least} to {most}");
}

/// Waits until no call is in progress.
async fn at_rest(emulator: &Emulator) {
    let rest = async {
        while emulator.counters().totals.in_flight > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, rest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_of_fifty_accounts_add_up_under_faults() {
    let account = FakeRunComfy::builder()
        .cold_start(Duration::ZERO)
        .run_time(RUN_TIME)
        .cancel_latency(Duration::ZERO)
        .keep_warm(Duration::ZERO)
        .balance_usd(OPENING_USD)
        .price_usd_per_hour("AMPERE_48", USD_PER_HOUR);
    let emulator = Emulator::builder()
        .account(account)
        .fault_seed(4)
        .scenario("flaky".parse().unwrap())
        .scenario("answers-lost".parse().unwrap());
    let emulator = Arc::new(emulator.start().await.unwrap());
    let mut working = JoinSet::new();
    for number in 0..ACCOUNTS {
        let (emulator, token) = (emulator.clone(), format!("customer-{number}"));
        let mut customer = Customer { emulator, token, record: ClientRecord::default() };
        working.spawn(async move {
            let mut ids = Vec::new();
            for number in 0..REQUESTS_EACH {
                ids.push(customer.begin(number).await);
            }
            for id in ids {
                customer.finish(id).await;
            }
            customer
        });
    }
    let mut customers = timeout(PATIENCE, working.join_all()).await.unwrap();
    emulator.clear_faults();
    at_rest(&emulator).await;

    let counters = emulator.counters();
    assert_eq!(counters.broken(), [""; 0]);
    let (mut ids, mut unseen) = (HashSet::new(), 0);
    for customer in &customers {
        let account = timeout(PATIENCE, customer.account()).await.unwrap();
        let counted = &counters.accounts[account["account"].as_str().unwrap()];
        unseen += customer.record.compare(counted);
        ends_and_money(&customer.record, &account, counted);
        ids.extend(customer.record.completed.union(&customer.record.cancelled).cloned());
    }
    assert_eq!((counters.accounts.len(), ids.len()), (ACCOUNTS, ACCOUNTS * REQUESTS_EACH));
    assert_eq!(unseen, counters.connections.cut_at_accept["reset_at_accept"]);
    // The test must have had all kinds of outcomes.
    let totals = &counters.totals;
    assert!(totals.submits.answers_lost > 300 && totals.faults.len() == 8, "{totals:#?}");
    let cancelled: usize = customers.iter().map(|one| one.record.cancelled.len()).sum();
    assert!(cancelled > 0, "no run was cancelled in time");
    assert!(unseen > 10 && counters.open.calls == 0, "{counters:#?}");

    let others: Vec<_> =
        customers.iter().map(|one| one.record.completed.iter().next().unwrap().clone()).collect();
    for (place, customer) in customers.iter_mut().enumerate() {
        let id = &others[(place + 1) % ACCOUNTS];
        assert_eq!(customer.ask(id, "result").await.status, 404, "another's request");
    }
}
