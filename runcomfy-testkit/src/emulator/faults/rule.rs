//! `FaultRule`: which calls have a fault, and how often.

use runcomfy_core::error::Operation;
use serde_json::{Map, Value, json};

use super::{
    fault::{Fault, InvalidFault},
    table::{FaultKind, Target},
};
use crate::emulator::accounts::Fingerprint;

/// Which calls have a [`Fault`]. By default every call to which the fault applies.
///
/// ```
/// use runcomfy_core::error::Operation;
/// use runcomfy_testkit::{Fault, FaultKind, FaultRule};
///
/// // Every tenth submit of this token is accepted, and its answer lost; five times.
/// let rule = FaultRule::new(FaultKind::AnswerLost)
///     .operation(Operation::SubmitRequest)
///     .token("me")
///     .every(10)
///     .times(5);
/// # let _ = rule;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    pub(super) fault: Fault,
    operation: Option<Operation>,
    account: Option<Fingerprint>,
    times: Option<u32>,
    skip: u32,
    every: u32,
    probability: f64,
}

impl FaultRule {
    /// A rule for every call to which the fault applies.
    #[must_use]
    pub fn new(fault: impl Into<Fault>) -> Self {
        Self {
            fault: fault.into(),
            operation: None,
            account: None,
            times: None,
            skip: 0,
            every: 1,
            probability: 1.0,
        }
    }

    /// Only calls of this operation. Has no effect if the fault does not apply to it.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only calls with this token. The rule keeps its fingerprint, not the token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.account = Some(Fingerprint::of(token));
        self
    }

    /// Only the first `most` calls that match.
    #[must_use]
    pub fn times(mut self, most: u32) -> Self {
        self.times = Some(most);
        self
    }

    /// Skips the first `first` calls.
    #[must_use]
    pub fn skip(mut self, first: u32) -> Self {
        self.skip = first;
        self
    }

    /// After that, only every `n`-th call, starting with the `n`-th.
    #[must_use]
    pub fn every(mut self, n: u32) -> Self {
        self.every = n.max(1);
        self
    }

    /// Of these, only a random share from 0 to 1. The same fault seed gives the same sequence.
    #[must_use]
    pub fn probability(mut self, share: f64) -> Self {
        self.probability = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// Reads `{"fault": …, "operation": …, "token": …, "account": …, "times": …, "skip": …, "every": …,
    /// "probability": …}`. Only the fault is required.
    ///
    /// # Errors
    /// If a key is unknown or invalid. The error names it.
    pub fn from_json(body: &Value) -> Result<Self, InvalidFault> {
        let object = body.as_object();
        let object = object.ok_or_else(|| InvalidFault::new("body", "must be a JSON object"))?;
        let fault = object.get("fault");
        let fault = fault.ok_or_else(|| InvalidFault::new("fault", "is required"))?;
        let mut rule = Self::new(Fault::from_json(fault)?);
        for (key, value) in object {
            rule = rule.read(key, value)?;
        }
        let applies = |operation: &Operation| rule.fault.applies_to(*operation);
        if rule.operation.is_some_and(|operation| !applies(&operation)) {
            let kind = rule.fault.kind().as_str();
            return Err(InvalidFault::new("operation", format!("is never affected by {kind}")));
        }
        if rule.fault.kind().row().target == Target::Accept {
            rule.check_clearable()?;
        }
        Ok(rule)
    }

    fn read(mut self, key: &str, value: &Value) -> Result<Self, InvalidFault> {
        let unfit = |message: &str| InvalidFault::new(key, message);
        let count = || {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.ok_or_else(|| unfit("must be a number from 0 to 4294967295"))
        };
        match key {
            "fault" => {}
            "operation" => {
                let operation = value.as_str().and_then(|word| word.parse().ok());
                self.operation = Some(operation.ok_or_else(|| unfit("is not an operation"))?);
            }
            "token" => {
                let token = value.as_str().filter(|token| !token.is_empty());
                self = self.token(token.ok_or_else(|| unfit("must be text"))?);
            }
            "account" => {
                let account = value.as_str().and_then(Fingerprint::parse);
                self.account = Some(
                    account.ok_or_else(|| unfit("must be an account name as in the counters"))?,
                );
            }
            "times" => self.times = Some(count()?),
            "skip" => self.skip = count()?,
            "every" => match count()? {
                0 => return Err(unfit("must be 1 or more")),
                n => self.every = n,
            },
            "probability" => {
                let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
                self.probability = share.ok_or_else(|| unfit("must be a number from 0 to 1"))?;
            }
            _ => return Err(unfit("is unknown")),
        }
        Ok(self)
    }

    /// A rule for every connection would also affect the connections that clear it.
    fn check_clearable(&self) -> Result<(), InvalidFault> {
        let ends = self.times.is_some() || self.every > 1 || self.probability < 1.0;
        if self.account.is_some() || self.operation.is_some() {
            let kind = self.fault.kind().as_str();
            return Err(InvalidFault::new(
                "fault",
                format!("{kind} applies before any call: it takes no token, account or operation"),
            ));
        }
        let message =
            "is required, or `every` or `probability`: without them the rule could not be cleared";
        if ends { Ok(()) } else { Err(InvalidFault::new("times", message)) }
    }

    pub(in crate::emulator) fn to_json(&self) -> Value {
        let mut body = Map::new();
        let mut say = |key: &str, value: Value| body.insert(key.to_owned(), value);
        say("fault", self.fault.to_json());
        if let Some(operation) = self.operation {
            say("operation", json!(operation.as_str()));
        }
        if let Some(account) = self.account {
            say("account", json!(account.to_string()));
        }
        if let Some(times) = self.times {
            say("times", json!(times));
        }
        if self.skip > 0 {
            say("skip", json!(self.skip));
        }
        if self.every > 1 {
            say("every", json!(self.every));
        }
        if self.probability < 1.0 {
            say("probability", json!(self.probability));
        }
        Value::Object(body)
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

impl From<FaultKind> for FaultRule {
    fn from(kind: FaultKind) -> Self {
        Self::new(kind)
    }
}

impl Fault {
    /// Whether the fault applies to calls of this operation.
    pub(in crate::emulator) fn applies_to(&self, operation: Operation) -> bool {
        use Operation::{CancelRequest, GetRequestResult, GetRequestStatus, SubmitRequest};
        match self.kind().row().target {
            Target::Accept => false,
            Target::Any => true,
            Target::Looks => {
                matches!(operation, GetRequestStatus | GetRequestResult | CancelRequest)
            }
            Target::States => matches!(operation, GetRequestStatus | GetRequestResult),
            Target::Submits => operation == SubmitRequest,
        }
    }

    /// Whether the fault applies to every call.
    pub(in crate::emulator) fn applies_to_all(&self) -> bool {
        self.kind().row().target == Target::Any
    }
}

/// An active rule with its counts and its random sequence.
#[derive(Debug)]
pub(super) struct ActiveRule {
    pub(super) rule: FaultRule,
    pub(super) scenario: Option<&'static str>,
    seen: u64,
    pub(super) fired: u64,
    rng: fastrand::Rng,
}

/// The event for which rules are checked.
#[derive(Clone, Copy)]
pub(super) enum Occasion {
    Accept,
    Call(Operation, Fingerprint),
}

impl ActiveRule {
    pub(super) fn new(rule: FaultRule, scenario: Option<&'static str>, seed: u64) -> Self {
        Self { rule, scenario, seen: 0, fired: 0, rng: fastrand::Rng::with_seed(seed) }
    }

    /// Whether the rule applies now. Counts the call.
    pub(super) fn matches(&mut self, occasion: Occasion) -> bool {
        let rule = &self.rule;
        let meant = match occasion {
            Occasion::Accept => rule.fault.kind().row().target == Target::Accept,
            Occasion::Call(operation, account) => {
                rule.fault.applies_to(operation)
                    && rule.operation.is_none_or(|wanted| wanted == operation)
                    && rule.account.is_none_or(|wanted| wanted == account)
            }
        };
        if !meant || rule.times.is_some_and(|most| self.fired >= u64::from(most)) {
            return false;
        }
        self.seen += 1;
        let after = self.seen.saturating_sub(u64::from(rule.skip));
        let due = after > 0 && after.is_multiple_of(u64::from(rule.every));
        // The generator returns less than 1, so a probability of 1 always matches and 0 never does.
        let matches = due && self.rng.f64() < rule.probability;
        self.fired += u64::from(matches);
        matches
    }
}
