//! `Counters`: the outcomes of all calls, with sums that must match.

use std::collections::BTreeMap;

use runcomfy_core::error::Operation;
use serde::Serialize;

use super::faults::FaultKind;
#[cfg(doc)]
use crate::fake::FakeRunComfy;

/// The outcomes of all calls since the emulator started, in total and by account.
///
/// When no call is in progress, [`broken`](Self::broken) finds nothing:
///
/// - `calls` = the sum of `operations` = the sum of `answered` + `unanswered` + `in_flight`;
/// - `submits.seen` = `submits.accepted` + `submits.refused` + `submits.withheld`;
/// - `submits.accepted` = `submits.confirmed` + `submits.answers_lost`;
/// - `totals` = the sum over `accounts`.
///
/// `submits.accepted` is counted by the simulated service and the other numbers by the HTTP layer, so the
/// second equation shows that no run was started twice or without a submit. Runs that a test starts on the
/// fake itself break it, and so do responses that [`FakeRunComfy::next_answer_lost`] drops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// The sum over all accounts.
    pub totals: CallCounters,
    /// By the token's fingerprint, or `shared` if all tokens share one account.
    pub accounts: BTreeMap<String, CallCounters>,
    /// Calls without a valid token, answered with 401.
    pub unauthenticated: u64,
    /// Calls that need no token, such as output files. Not in `totals`.
    pub open: CallCounters,
    /// Connections to the emulator.
    pub connections: ConnectionCounters,
}

/// Calls by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallCounters {
    /// Calls whose head was read.
    pub calls: u64,
    /// Calls by operation, without those that were never called.
    pub operations: BTreeMap<&'static str, u64>,
    /// Calls with a complete response, correct or not, by class: `2xx` and so on. Whether the caller has read
    /// it is not known.
    pub answered: BTreeMap<&'static str, u64>,
    /// Calls that ended without a complete response.
    pub unanswered: u64,
    /// Calls in progress.
    pub in_flight: u64,
    /// Calls that changed something but did not get the correct response.
    pub answers_lost: u64,
    /// Calls with an injected fault, by the fault's name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Submits among the calls.
    pub submits: SubmitCounters,
}

/// Submits by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubmitCounters {
    /// Submits whose head was read.
    pub seen: u64,
    /// Runs that were started, as counted by the simulated service.
    pub accepted: u64,
    /// Submits that the service refused.
    pub refused: u64,
    /// Submits that did not reach the service, because of a fault or because the caller disconnected before
    /// sending the whole body.
    pub withheld: u64,
    /// Accepted submits with the correct response.
    pub confirmed: u64,
    /// Accepted submits without the correct response, so that the caller does not know the request id.
    pub answers_lost: u64,
}

/// Connections by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionCounters {
    /// All connections.
    pub accepted: u64,
    /// Connections with a fault before anything was read, by the fault's name.
    pub cut_at_accept: BTreeMap<&'static str, u64>,
    /// Connections that a fault took during a call.
    pub cut_in_call: u64,
}

impl Counters {
    /// The equations that do not hold, as text. Empty when no call is in progress.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut equal = |place: &str, what: &str, left: u64, right: u64| {
            if left != right {
                broken.push(format!("{place}: {what}: {left} is not {right}"));
            }
        };
        let mut sum = CallCounters::default();
        let open = [("open".to_owned(), &self.open)];
        let each = self.accounts.iter().map(|(name, one)| (name.clone(), one)).chain(open);
        for (name, one) in each {
            let answered: u64 = one.answered.values().sum();
            let ended = answered + one.unanswered + one.in_flight;
            equal(&name, "calls = answered + unanswered + in_flight", one.calls, ended);
            let submits = &one.submits;
            let known = submits.accepted + submits.refused + submits.withheld;
            equal(&name, "submits: seen = accepted + refused + withheld", submits.seen, known);
            let told = submits.confirmed + submits.answers_lost;
            equal(&name, "submits: accepted = confirmed + answers_lost", submits.accepted, told);
            if name != "open" {
                let by_operation = one.operations.values().sum();
                equal(&name, "calls = operations", one.calls, by_operation);
                sum.add(one);
            }
        }
        if sum != self.totals {
            broken.push("totals: not the sum over the accounts".to_owned());
        }
        broken
    }
}

impl CallCounters {
    /// How many calls of this operation there were.
    #[must_use]
    pub fn calls_of(&self, operation: Operation) -> u64 {
        self.operations.get(operation.as_str()).copied().unwrap_or_default()
    }

    /// How many calls had this fault.
    #[must_use]
    pub fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults.get(kind.as_str()).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        fn merge(into: &mut BTreeMap<&'static str, u64>, from: &BTreeMap<&'static str, u64>) {
            for (key, count) in from {
                *into.entry(key).or_default() += count;
            }
        }
        self.calls += other.calls;
        merge(&mut self.operations, &other.operations);
        merge(&mut self.answered, &other.answered);
        self.unanswered += other.unanswered;
        self.in_flight += other.in_flight;
        self.answers_lost += other.answers_lost;
        merge(&mut self.faults, &other.faults);
        let (submits, more) = (&mut self.submits, &other.submits);
        submits.seen += more.seen;
        submits.accepted += more.accepted;
        submits.refused += more.refused;
        submits.withheld += more.withheld;
        submits.confirmed += more.confirmed;
        submits.answers_lost += more.answers_lost;
    }
}
