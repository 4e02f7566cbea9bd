//! `Faults`: the active fault rules, and which of them applies to a call.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use runcomfy_core::error::Operation;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::accounts::Fingerprint;
use crate::{ids, sync::lock};

mod answers;
mod bomb;
mod fault;
mod listing;
pub(super) mod raw;
mod rewrite;
mod rule;
mod runs;
mod scenario;
mod table;

pub use fault::{Fault, InvalidFault};
pub use rule::FaultRule;
pub use scenario::{Scenario, UnknownScenario};
pub use table::{Effect, FaultKind};

pub(super) use answers::{answer, forbidden, internal_error};
pub(super) use rewrite::rewrite;
use rule::{ActiveRule, Occasion};
pub(super) use runs::script;

/// The active fault rules. Without rules, a call costs one relaxed load.
#[derive(Debug, Default)]
pub(super) struct Faults {
    active: AtomicBool,
    seed: u64,
    state: Mutex<FaultState>,
}

#[derive(Debug, Default)]
struct FaultState {
    rules: Vec<ActiveRule>,
    /// How many rules were ever added. Each has its own random sequence.
    added: u64,
    /// Accounts whose token was revoked.
    revoked: HashSet<Fingerprint>,
    /// Requests that are reported as not found until this time.
    hidden: HashMap<String, Instant>,
}

/// What happens to a call.
#[derive(Debug)]
pub(super) enum FaultDecision {
    Fault(Fault),
    /// Its request is reported as not found for now.
    Hidden,
    Nothing,
    /// Its token was revoked by an earlier fault.
    Revoked,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn inject(&self, rule: FaultRule, scenario: Option<&'static str>) {
        let mut state = self.state();
        state.added += 1;
        let rng = ids::mix(self.seed ^ ids::mix(state.added));
        state.rules.push(ActiveRule::new(rule, scenario, rng));
        self.active.store(true, Ordering::Relaxed);
    }

    pub(super) fn play(&self, scenario: Scenario) {
        for rule in scenario.rules() {
            self.inject(rule, Some(scenario.name()));
        }
    }

    /// Removes all rules, revoked tokens and hidden requests.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.revoked.clear();
        state.hidden.clear();
        self.active.store(false, Ordering::Relaxed);
    }

    /// The fault of a new connection.
    pub(super) fn at_accept(&self) -> Option<Fault> {
        if !self.active.load(Ordering::Relaxed) {
            return None;
        }
        first_match(&mut self.state().rules, Occasion::Accept)
    }

    /// The fault of a call: an earlier revocation or hidden request, then the fault of its header, then the
    /// first rule that matches.
    pub(super) fn decide(
        &self,
        operation: Operation,
        account: Fingerprint,
        path: &str,
        asked: Option<Fault>,
    ) -> FaultDecision {
        if !self.active.load(Ordering::Relaxed) && asked.is_none() {
            return FaultDecision::Nothing;
        }
        let mut state = self.state();
        if state.revoked.contains(&account) {
            return FaultDecision::Revoked;
        }
        if state.hides(operation, path) {
            return FaultDecision::Hidden;
        }
        let matched =
            asked.or_else(|| first_match(&mut state.rules, Occasion::Call(operation, account)));
        let Some(fault) = matched else { return FaultDecision::Nothing };
        if fault.kind() == FaultKind::TokenRevoked {
            state.revoked.insert(account);
            self.active.store(true, Ordering::Relaxed);
        }
        FaultDecision::Fault(fault)
    }

    /// Reports a request as not found for this time.
    pub(super) fn hide(&self, request: &str, time: Duration) {
        let (now, mut state) = (Instant::now(), self.state());
        state.hidden.retain(|_, until| *until > now);
        state.hidden.insert(request.to_owned(), now + time);
        self.active.store(true, Ordering::Relaxed);
    }

    /// The active rules with the number of calls that they matched.
    pub(super) fn listed(&self) -> Vec<Value> {
        let listed = |active: &ActiveRule| {
            let mut body = active.rule.to_json();
            body["fired"] = json!(active.fired);
            if let Some(scenario) = active.scenario {
                body["scenario"] = json!(scenario);
            }
            body
        };
        self.state().rules.iter().map(listed).collect()
    }

    /// The scenarios with active rules.
    pub(super) fn playing(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.state().rules.iter().filter_map(|one| one.scenario).collect();
        names.dedup();
        names
    }

    /// All faults with their parameters, and the active rules.
    pub(super) fn to_json(&self) -> Value {
        json!({"faults": listing::catalogue(), "rules": self.listed()})
    }

    fn state(&self) -> MutexGuard<'_, FaultState> {
        lock(&self.state)
    }
}

impl FaultState {
    fn hides(&mut self, operation: Operation, path: &str) -> bool {
        let looks = matches!(operation, Operation::GetRequestStatus | Operation::GetRequestResult);
        if !looks || self.hidden.is_empty() {
            return false;
        }
        // `…/requests/{request_id}/status`
        let request = path.rsplit('/').nth(1).unwrap_or_default();
        let until = self.hidden.get(request).copied();
        let over = until.is_some_and(|until| until <= Instant::now());
        if over {
            self.hidden.remove(request);
        }
        until.is_some() && !over
    }
}

/// The fault of the first rule that matches.
fn first_match(rules: &mut [ActiveRule], occasion: Occasion) -> Option<Fault> {
    let matched = rules.iter_mut().find_map(|rule| rule.matches(occasion).then_some(rule));
    matched.map(|active| active.rule.fault.clone())
}

impl FaultKind {
    /// All faults as text: name, parameters and description.
    #[must_use]
    pub fn list() -> String {
        listing::as_text()
    }
}
