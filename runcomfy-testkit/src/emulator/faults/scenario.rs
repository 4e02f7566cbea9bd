//! `Scenario`: a named set of fault rules.

use std::{fmt, str::FromStr};

use runcomfy_core::error::Operation;

use super::{fault::Fault, rule::FaultRule};

/// A named set of fault rules.
///
/// ```
/// use runcomfy_testkit::Scenario;
///
/// let flaky: Scenario = "flaky".parse()?;
/// println!("{}: {}", flaky.name(), flaky.does());
/// assert!("flakey".parse::<Scenario>().unwrap_err().to_string().contains("rate-limited"));
/// # Ok::<(), runcomfy_testkit::UnknownScenario>(())
/// ```
#[derive(Clone, Copy)]
pub struct Scenario(&'static ScenarioDefinition);

struct ScenarioDefinition {
    name: &'static str,
    does: &'static str,
    rules: &'static [RuleText],
}

/// A rule as text: the fault, and which calls have it.
struct RuleText {
    fault: &'static str,
    operation: Option<Operation>,
    skip: u32,
    every: u32,
    probability: f64,
}

impl RuleText {
    /// This share of all calls.
    const fn some(probability: f64, fault: &'static str) -> Self {
        Self { fault, operation: None, skip: 0, every: 1, probability }
    }

    const fn all(fault: &'static str) -> Self {
        Self::some(1.0, fault)
    }

    /// Every `n`-th call after the first `skip`.
    const fn every(skip: u32, n: u32, fault: &'static str) -> Self {
        Self { fault, operation: None, skip, every: n, probability: 1.0 }
    }

    const fn of(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }
}

/// One call in a hundred.
const NOW_AND_THEN: f64 = 0.01;

static SCENARIOS: &[ScenarioDefinition] = &[
    ScenarioDefinition {
        name: "flaky",
        does: "About ten of a hundred calls have a 429, a 5xx, a reset or a cut response.",
        rules: &[
            RuleText::some(NOW_AND_THEN, "reset_at_accept"),
            RuleText::some(0.02, "rate_limited"),
            RuleText::some(NOW_AND_THEN, "internal_error"),
            RuleText::some(NOW_AND_THEN, "bad_gateway"),
            RuleText::some(NOW_AND_THEN, "unavailable"),
            RuleText::some(NOW_AND_THEN, "unavailable(retry_after=1)"),
            RuleText::some(NOW_AND_THEN, "reset_before_body"),
            RuleText::some(NOW_AND_THEN, "reset_after_body"),
            RuleText::some(NOW_AND_THEN, "answer_lost"),
            RuleText::some(NOW_AND_THEN, "cut_response(at=40)"),
        ],
    },
    ScenarioDefinition {
        name: "rate-limited",
        does: "Two of three calls are refused with 429 and Retry-After: 1.",
        // The second rule sees the calls that the first lets pass.
        rules: &[RuleText::every(0, 3, "rate_limited"), RuleText::every(0, 2, "rate_limited")],
    },
    ScenarioDefinition {
        name: "outage",
        does: "Every call is refused with 503 without Retry-After.",
        rules: &[RuleText::all("unavailable")],
    },
    ScenarioDefinition {
        name: "answers-lost",
        does: "Every third submit is accepted, but its response with the request id is lost.",
        rules: &[RuleText::every(0, 3, "answer_lost").of(Operation::SubmitRequest)],
    },
    ScenarioDefinition {
        name: "slow",
        does: "Half of the status and result responses are sent a few bytes at a time, every tenth is not sent.",
        rules: &[
            RuleText::every(0, 10, "stall").of(Operation::GetRequestStatus),
            RuleText::every(0, 10, "stall").of(Operation::GetRequestResult),
            RuleText::some(0.5, "trickle(bytes=16,every_ms=100)").of(Operation::GetRequestStatus),
            RuleText::some(0.5, "trickle(bytes=16,every_ms=100)").of(Operation::GetRequestResult),
        ],
    },
    ScenarioDefinition {
        name: "hostile",
        does: "Every second call gets a response that no client should accept.",
        rules: &[
            RuleText::every(0, 16, "garbage"),
            RuleText::every(0, 15, "html"),
            RuleText::every(0, 14, "gzip_bomb"),
            RuleText::every(0, 13, "endless_body"),
            RuleText::every(0, 12, "giant_headers(shape=long)"),
            RuleText::every(0, 11, "giant_headers(shape=many)"),
            RuleText::every(0, 10, "redirect"),
            RuleText::every(0, 9, "wrong_content_type(type=image/png)"),
        ],
    },
    ScenarioDefinition {
        name: "odd-answers",
        does: "Correct but unusual responses: unknown fields and status words, `canceled`, requests that \
               are not found at first.",
        rules: &[
            RuleText::all("not_found_at_first(ms=1000)"),
            RuleText::some(0.25, "unknown_status"),
            RuleText::some(0.25, "unknown_fields"),
            RuleText::some(0.25, "wrong_content_type"),
            RuleText::all("canceled_spelling"),
        ],
    },
    ScenarioDefinition {
        name: "failed-runs",
        does: "Six runs end in six ways: three shapes of error, partial outputs, no outputs, cancelled by \
               somebody else.",
        // Each rule sees the calls that those before it let pass.
        rules: &[
            RuleText::every(0, 6, "failed_run(error=array)"),
            RuleText::every(0, 5, "failed_run(error=object)"),
            RuleText::every(0, 4, "failed_run(error=string)"),
            RuleText::every(0, 3, "partial_outputs"),
            RuleText::every(0, 2, "no_outputs"),
            RuleText::every(0, 1, "cancelled_run"),
        ],
    },
];

impl Scenario {
    /// All scenarios.
    pub fn all() -> impl Iterator<Item = Self> {
        SCENARIOS.iter().map(Self)
    }

    /// The scenario's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// A one-sentence description.
    #[must_use]
    pub fn does(self) -> &'static str {
        self.0.does
    }

    /// The fault rules.
    #[must_use]
    pub fn rules(self) -> Vec<FaultRule> {
        let rule = |short: &RuleText| {
            // A test parses all of them.
            let fault: Fault = short.fault.parse().ok()?;
            let rule = FaultRule::new(fault).skip(short.skip).every(short.every);
            let rule = rule.probability(short.probability);
            Some(match short.operation {
                Some(operation) => rule.operation(operation),
                None => rule,
            })
        };
        self.0.rules.iter().filter_map(rule).collect()
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scenario").field(&self.0.name).finish()
    }
}

impl PartialEq for Scenario {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Scenario {}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        Self::all()
            .find(|scenario| scenario.name() == name)
            .ok_or_else(|| UnknownScenario { name: name.to_owned() })
    }
}

/// No scenario has this name. The message lists the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScenario {
    name: String,
}

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Scenario::all().map(Scenario::name).collect();
        write!(f, "no scenario {:?}; there are {}", self.name, names.join(", "))
    }
}

impl std::error::Error for UnknownScenario {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_in_short_can_be_read() {
        for scenario in Scenario::all() {
            let unread = scenario.0.rules.iter().filter(|rule| {
                let fault: Result<Fault, _> = rule.fault.parse();
                !fault.is_ok_and(|fault| rule.operation.is_none_or(|one| fault.applies_to(one)))
            });
            let unread: Vec<_> = unread.map(|rule| rule.fault).collect();
            assert_eq!(unread, [""; 0], "{}", scenario.name());
        }
    }
}
