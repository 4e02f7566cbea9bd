//! What happened to every call, in numbers that add up.

use std::collections::BTreeMap;

use runcomfy_core::Operation;
use serde::Serialize;

use super::faults::FaultKind;
#[cfg(doc)]
use crate::fake::FakeRunComfy;

mod call_log;

pub(super) use call_log::{CallLog, CallRecord};

/// What happened since the emulator started, in all and for each account.
///
/// At rest, with no call under way, [`broken`](Self::broken) finds nothing:
///
/// - `calls` = the sum of `operations` = the sum of `answered` + `unanswered` + `in_flight`;
/// - `submits.seen` = `submits.accepted` + `submits.refused` + `submits.withheld`;
/// - `submits.accepted` = `submits.confirmed` + `submits.answers_lost`;
/// - `totals` = the sum over `accounts`.
///
/// `submits.accepted` is the service's own count of runs and the others are counted where the answers
/// pass, so the second of these says that no run was started twice or behind anybody's back. A run that a
/// test starts on the fake itself is one of the latter, as is an answer that
/// [`FakeRunComfy::next_answer_lost`] takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// All accounts together.
    pub totals: CallCounters,
    /// By the token's fingerprint; under `shared` where all tokens share one account.
    pub accounts: BTreeMap<String, CallCounters>,
    /// Calls without a good token, answered with 401.
    pub unauthenticated: u64,
    /// What needs no token: files, and whatever else there is at other addresses. Not in `totals`.
    pub open: CallCounters,
    /// Connections to the emulator.
    pub connections: ConnectionCounters,
}

/// Calls, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallCounters {
    /// Whose head was read.
    pub calls: u64,
    /// The same by operation; those never called are not there.
    pub operations: BTreeMap<&'static str, u64>,
    /// Those with a whole answer, right or wrong, by class: `2xx` and so on. Whether the caller has read
    /// it is not known.
    pub answered: BTreeMap<&'static str, u64>,
    /// Those that ended without a whole answer.
    pub unanswered: u64,
    /// Those that have not ended.
    pub in_flight: u64,
    /// Calls that change something, took effect, and whose right answer was not given.
    pub answers_lost: u64,
    /// Calls that met a fault, by its name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Submits among the calls.
    pub submits: SubmitCounters,
}

/// Submits, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubmitCounters {
    /// Whose head was read.
    pub seen: u64,
    /// Runs that were really started, by the service's own count.
    pub accepted: u64,
    /// Refused by the service.
    pub refused: u64,
    /// Kept from the service by a fault, or by a caller who was gone before it had said all.
    pub withheld: u64,
    /// Accepted, with the right answer given.
    pub confirmed: u64,
    /// Accepted, with the right answer not given: nobody knows the request id.
    pub answers_lost: u64,
}

/// Connections, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionCounters {
    /// All that came.
    pub accepted: u64,
    /// Those that met a fault before anything was read, by its name.
    pub cut_at_accept: BTreeMap<&'static str, u64>,
    /// Those that a fault took in the middle of a call.
    pub cut_in_call: u64,
}

impl Counters {
    /// What does not add up, in words. At rest: nothing.
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
    /// Calls of this operation.
    #[must_use]
    pub fn calls_of(&self, operation: Operation) -> u64 {
        self.operations.get(operation.as_str()).copied().unwrap_or_default()
    }

    /// Calls that met this fault.
    #[must_use]
    pub fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults.get(kind.as_str()).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
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
