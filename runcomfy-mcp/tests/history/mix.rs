//! What goes wrong on the way to the service: sets of faults, each call's chance of meeting one.

use runcomfy_testkit::{Fault, FaultRule};

/// A set of faults, and how often a call meets each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) name: &'static str,
    faults: &'static [(f64, &'static str)],
}

/// Nothing goes wrong.
pub(crate) const CALM: Mix = Mix { name: "calm", faults: &[] };

/// Those under which histories are made in turn.
pub(crate) const MIXES: [Mix; 5] = [
    Mix {
        name: "connections",
        faults: &[
            (0.04, "reset_at_accept"),
            (0.04, "close_at_accept"),
            (0.02, "reset_before_body"),
            (0.02, "reset_after_body"),
            (0.02, "reset_after_body(effect=applied)"),
            (0.02, "close_after_body"),
            (0.02, "close_after_body(effect=applied)"),
            (0.03, "answer_lost"),
            (0.03, "answer_lost(end=close)"),
            (0.02, "cut_response(at=10,of=response)"),
            (0.02, "cut_response(at=20,end=reset)"),
        ],
    },
    Mix {
        name: "answers",
        faults: &[
            (0.02, "internal_error"),
            (0.02, "internal_error(effect=applied)"),
            (0.02, "bad_gateway"),
            (0.02, "unavailable"),
            (0.02, "unavailable(retry_after=0)"),
            (0.02, "gateway_timeout"),
            (0.02, "gateway_timeout(effect=none)"),
            (0.03, "rate_limited(retry_after=0)"),
            (0.02, "rate_limited(retry_after=40)"),
            (0.02, "error_code"),
            (0.02, "refused(status=408)"),
            (0.02, "refused(status=403)"),
        ],
    },
    Mix {
        name: "slow",
        faults: &[
            (0.02, "stall"),
            (0.02, "stall(effect=applied)"),
            (0.02, "trickle(bytes=1,every_ms=50)"),
            (0.02, "trickle(bytes=64,every_ms=1,of=response)"),
            (0.01, "informational_flood"),
        ],
    },
    Mix {
        name: "odd",
        faults: &[
            (0.02, "html"),
            (0.02, "html(effect=applied)"),
            (0.02, "empty_body"),
            (0.02, "garbage"),
            (0.02, "garbage(effect=applied)"),
            (0.02, "redirect"),
            (0.02, "wrong_content_type"),
            (0.05, "unknown_fields"),
            (0.05, "unknown_status"),
            (0.05, "canceled_spelling"),
            (0.02, "not_found_at_first(ms=20)"),
            (0.02, "failed_run"),
            (0.02, "partial_outputs"),
            (0.02, "no_outputs"),
        ],
    },
    Mix {
        name: "all",
        faults: &[
            (0.01, "reset_at_accept"),
            (0.01, "reset_before_body"),
            (0.01, "reset_after_body"),
            (0.02, "answer_lost"),
            (0.02, "cut_response(at=20)"),
            (0.01, "internal_error(effect=applied)"),
            (0.01, "unavailable(retry_after=0)"),
            (0.01, "gateway_timeout"),
            (0.02, "rate_limited(retry_after=0)"),
            (0.01, "stall(effect=applied)"),
            (0.01, "html(effect=applied)"),
            (0.01, "garbage"),
            (0.02, "unknown_fields"),
            (0.02, "canceled_spelling"),
            (0.01, "failed_run"),
        ],
    },
];

impl Mix {
    /// Whether some answers never come.
    pub(crate) fn stalls(self) -> bool {
        let mut faults = self.faults.iter();
        faults.any(|(_, fault)| {
            ["stall", "trickle", "informational"].iter().any(|slow| fault.starts_with(slow))
        })
    }

    pub(crate) fn rules(self) -> impl Iterator<Item = FaultRule> {
        self.faults.iter().map(|(share, text)| {
            let fault: Fault = text.parse().unwrap();
            FaultRule::new(fault).probability(*share)
        })
    }
}
