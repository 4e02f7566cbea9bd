//! `FaultRule`: which calls meet a fault, and how often.

use runcomfy_core::Operation;
use serde_json::{Map, Value, json};

use super::{
    fault::{Fault, InvalidFault},
    table::{FaultKind, Meets},
};
use crate::emulator::accounts::Fingerprint;

/// Which calls meet a [`Fault`]. Where nothing is said: every call that it can happen to, always.
///
/// ```
/// use runcomfy_core::Operation;
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
    /// Every call meets this fault.
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

    /// Only calls of this operation. One that the fault can't happen to never meets it.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only calls with this token. It is kept as a fingerprint, and never shown.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.account = Some(Fingerprint::of(token));
        self
    }

    /// Only so often.
    #[must_use]
    pub fn times(mut self, most: u32) -> Self {
        self.times = Some(most);
        self
    }

    /// Not the first so many of the calls that it is for.
    #[must_use]
    pub fn skip(mut self, first: u32) -> Self {
        self.skip = first;
        self
    }

    /// Of the others only every `n`-th, beginning with the `n`-th.
    #[must_use]
    pub fn every(mut self, n: u32) -> Self {
        self.every = n.max(1);
        self
    }

    /// Of those only so many, by chance: from 0 for none to 1 for all. The same seed has the same rng.
    #[must_use]
    pub fn probability(mut self, share: f64) -> Self {
        self.probability = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// Reads `{"fault": …, "operation": …, "token": …, "account": …, "times": …, "skip": …, "every": …,
    /// "probability": …}`, of which only the fault must be there.
    ///
    /// # Errors
    /// Where a key is unknown or unfit, with its name.
    pub fn from_json(body: &Value) -> Result<Self, InvalidFault> {
        let object = body.as_object();
        let object = object.ok_or_else(|| InvalidFault::new("body", "must be a JSON object"))?;
        let fault = object.get("fault");
        let fault = fault.ok_or_else(|| InvalidFault::new("fault", "must be there"))?;
        let mut rule = Self::new(Fault::from_json(fault)?);
        for (key, value) in object {
            rule = rule.read(key, value)?;
        }
        let met = |operation: &Operation| rule.fault.meets(*operation);
        if rule.operation.is_some_and(|operation| !met(&operation)) {
            let kind = rule.fault.kind().as_str();
            return Err(InvalidFault::new("operation", format!("never meets {kind}")));
        }
        if rule.fault.kind().row().meets == Meets::Accept {
            rule.leaves_a_way_in()?;
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
                self.operation = Some(operation.ok_or_else(|| unfit("is no operation"))?);
            }
            "token" => {
                let token = value.as_str().filter(|token| !token.is_empty());
                self = self.token(token.ok_or_else(|| unfit("must be text"))?);
            }
            "account" => {
                let account = value.as_str().and_then(Fingerprint::parse);
                self.account = Some(account.ok_or_else(|| unfit("must be as counters show it"))?);
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
            _ => return Err(unfit("is not known here")),
        }
        Ok(self)
    }

    /// A rule that takes every connection would also take those that come to clear it.
    fn leaves_a_way_in(&self) -> Result<(), InvalidFault> {
        let ends = self.times.is_some() || self.every > 1 || self.probability < 1.0;
        if self.account.is_some() || self.operation.is_some() {
            let kind = self.fault.kind().as_str();
            return Err(InvalidFault::new(
                "fault",
                format!("{kind} comes before any call: it takes no token, account or operation"),
            ));
        }
        let message = "must be there, or `every` or `probability`: nobody could clear it again";
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
    /// Whether it can happen to such a call.
    pub(in crate::emulator) fn meets(&self, operation: Operation) -> bool {
        use Operation::{CancelRequest, GetRequestResult, GetRequestStatus, SubmitRequest};
        match self.kind().row().meets {
            Meets::Accept => false,
            Meets::Any => true,
            Meets::Looks => {
                matches!(operation, GetRequestStatus | GetRequestResult | CancelRequest)
            }
            Meets::States => matches!(operation, GetRequestStatus | GetRequestResult),
            Meets::Submits => operation == SubmitRequest,
        }
    }

    /// Whether it can happen to any call.
    pub(in crate::emulator) fn meets_anything(&self) -> bool {
        self.kind().row().meets == Meets::Any
    }
}

/// A rule at work: what it has seen, and its rng.
#[derive(Debug)]
pub(super) struct ActiveRule {
    pub(super) rule: FaultRule,
    pub(super) scenario: Option<&'static str>,
    seen: u64,
    pub(super) fired: u64,
    rng: fastrand::Rng,
}

/// What a rule is asked about.
#[derive(Clone, Copy)]
pub(super) enum Occasion {
    Accept,
    Call(Operation, Fingerprint),
}

impl ActiveRule {
    pub(super) fn new(rule: FaultRule, scenario: Option<&'static str>, seed: u64) -> Self {
        Self { rule, scenario, seen: 0, fired: 0, rng: fastrand::Rng::with_seed(seed) }
    }

    /// Whether it strikes now. Asking counts.
    pub(super) fn matches(&mut self, occasion: Occasion) -> bool {
        let rule = &self.rule;
        let meant = match occasion {
            Occasion::Accept => rule.fault.kind().row().meets == Meets::Accept,
            Occasion::Call(operation, account) => {
                rule.fault.meets(operation)
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
        // The generator gives less than 1, so that 1 always strikes and 0 never does.
        let matches = due && self.rng.f64() < rule.probability;
        self.fired += u64::from(matches);
        matches
    }
}
