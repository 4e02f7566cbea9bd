//! Calls that change something: which are under way, and whose answers did not reach their callers. RunComfy lists
//! no requests, so what this process knows of a call that may be billed must not end with it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

use runcomfy_http_edge::{DeliveryOutcome, DeliveryReceipt};

/// All that one server makes. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes(Arc<Mutex<Register>>);

#[derive(Debug, Default)]
struct Register {
    next: u64,
    /// By number. Not in order: an ordered map makes a node anew for each call, and frees it.
    calls: HashMap<u64, TrackedWrite>,
    /// What is lost is kept until the end, for whoever serves one client.
    keeps: bool,
}

impl Register {
    /// Those of which this is so, the oldest first.
    fn in_order(&self, is_so: impl Fn(&TrackedWrite) -> bool) -> Vec<Write> {
        let mut found: Vec<_> = self.calls.iter().filter(|(_, entry)| is_so(entry)).collect();
        found.sort_unstable_by_key(|(number, _)| **number);
        found.into_iter().map(|(_, entry)| entry.write.clone()).collect()
    }
}

#[derive(Debug)]
struct TrackedWrite {
    write: Write,
    ended: bool,
    /// What became of its answer, once that is known.
    arrival: Option<DeliveryOutcome>,
}

/// A call that changes something, by names and numbers of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Write {
    pub(crate) tool: &'static str,
    /// The caller, as the log has it.
    caller: String,
    /// A hash of the arguments, as the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
    /// What is known of its effect.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deployment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, caller, arguments, outcome, deployment_id, request_id } = self;
        write!(f, "{tool} for {caller}")?;
        let more = [
            ("arguments", arguments.as_deref()),
            ("outcome", Some(*outcome)),
            ("deployment_id", deployment_id.as_deref()),
            ("request_id", request_id.as_deref()),
        ];
        more.iter().try_for_each(|(name, value)| match value {
            Some(value) => write!(f, ", {name} {value}"),
            None => Ok(()),
        })
    }
}

/// So many whose answers were lost are kept. The oldest go first.
const MOST_KEPT: usize = 1_000;

impl Writes {
    /// A call begins. Its answer's arrival is told by `receipt`.
    pub(crate) fn begin(
        &self,
        tool: &'static str,
        caller: &str,
        receipt: &DeliveryReceipt,
        arguments: Option<&str>,
        deployment_id: Option<&str>,
    ) -> Writing {
        let number = {
            let mut state = self.lock();
            let number = state.next;
            state.next += 1;
            let write = Write {
                tool,
                caller: caller.to_owned(),
                arguments: arguments.map(str::to_owned),
                outcome: "unknown",
                deployment_id: deployment_id.map(str::to_owned),
                request_id: None,
            };
            state.calls.insert(number, TrackedWrite { write, ended: false, arrival: None });
            number
        };
        let own = self.clone();
        receipt
            .on_settled(move |arrival| own.change(number, |entry| entry.arrival = Some(arrival)));
        Writing { writes: self.clone(), number, told: false }
    }

    /// The caller has got the answer of an earlier call once more: it is lost no longer, if this one arrives.
    pub(crate) fn repeated(
        &self,
        tool: &'static str,
        caller: &str,
        receipt: &DeliveryReceipt,
        arguments: &str,
    ) {
        let (own, caller, arguments) = (self.clone(), caller.to_owned(), arguments.to_owned());
        receipt.on_settled(move |arrival| {
            if arrival == DeliveryOutcome::Delivered {
                own.lock().calls.retain(|_, TrackedWrite { write, ended, .. }| {
                    let same = write.tool == tool && write.caller == caller;
                    !(*ended && same && write.arguments.as_deref() == Some(&arguments))
                });
            }
        });
    }

    /// Keeps, to the end, those whose answers were lost.
    pub(crate) fn keep_lost(&self) {
        self.lock().keeps = true;
    }

    /// Those that have not ended.
    pub(crate) fn under_way(&self) -> Vec<Write> {
        let state = self.lock();
        state.in_order(|entry| !entry.ended)
    }

    /// Those that have, or may have, taken effect and whose answers have not reached a caller who wanted them.
    pub(crate) fn undelivered(&self) -> Vec<Write> {
        let state = self.lock();
        state.in_order(|entry| entry.arrival != Some(DeliveryOutcome::Cancelled))
    }

    /// Tells the log of those that are under way: nobody will learn what becomes of them.
    pub(crate) fn give_up(&self) {
        for write in self.under_way() {
            tracing::error!(
                tool = write.tool,
                caller = write.caller,
                arguments = write.arguments,
                deployment_id = write.deployment_id,
                "gave up on a call under way: {write}"
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something of a call, and what follows once both its end and its answer's are known.
    fn change(&self, number: u64, change: impl FnOnce(&mut TrackedWrite)) {
        let mut state = self.lock();
        let keeps = state.keeps;
        let Some(entry) = state.calls.get_mut(&number) else { return };
        change(entry);
        let (true, Some(arrival)) = (entry.ended, entry.arrival) else { return };
        let may_count = matches!(entry.write.outcome, "applied" | "unknown");
        if arrival == DeliveryOutcome::Delivered || !may_count {
            state.calls.remove(&number);
            return;
        }
        let write = entry.write.clone();
        if !keeps {
            state.calls.remove(&number);
        } else if state.calls.len() > MOST_KEPT {
            let ended = state.calls.iter().filter(|(_, entry)| entry.ended);
            let oldest = ended.map(|(number, _)| *number).min();
            oldest.and_then(|oldest| state.calls.remove(&oldest));
        }
        drop(state);
        // The only client there is has not got it: that is more than one of many who hangs up.
        tell(&write, keeps && arrival == DeliveryOutcome::Lost);
    }
}

/// Tells the log of a call whose answer is lost.
fn tell(write: &Write, as_error: bool) {
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                tool = write.tool,
                caller = write.caller,
                arguments = write.arguments,
                outcome = write.outcome,
                deployment_id = write.deployment_id,
                request_id = write.request_id,
                "an answer did not reach its caller: {write}"
            )
        };
    }
    if as_error { tell!(error) } else { tell!(warn) }
}

/// A call on its way. Dropped before it is said to have ended, nobody knows what it did.
#[derive(Debug)]
pub(crate) struct Writing {
    writes: Writes,
    number: u64,
    /// Its end is.
    told: bool,
}

impl Writing {
    /// What is known of its effect, and the ids in what came of it.
    pub(crate) fn ended(mut self, outcome: &'static str, answer: Option<&serde_json::Value>) {
        self.told = true;
        let id = |key: &str| answer.and_then(|answer| answer[key].as_str()).map(str::to_owned);
        self.writes.change(self.number, |entry| {
            entry.ended = true;
            entry.write.outcome = outcome;
            entry.write.request_id = id("request_id");
            // Of what creates one, its own.
            let deployment_id = entry.write.deployment_id.take();
            entry.write.deployment_id = deployment_id.or_else(|| id("id"));
        });
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.told {
            self.writes.change(self.number, |entry| entry.ended = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use runcomfy_http_edge::Delivery;

    const CALLER: &str = "01234567";

    fn ended(writes: &Writes, delivery: &Delivery, outcome: &'static str) {
        let writing =
            writes.begin("submit_request", CALLER, &delivery.receipt(), Some("ab"), Some("d"));
        writing.ended(outcome, Some(&json!({"request_id": "r"})));
    }

    #[test]
    fn a_call_is_under_way_until_it_has_ended_and_kept_until_its_answer_has_arrived() {
        let (writes, delivery) = (Writes::default(), Delivery::default());
        writes.keep_lost();
        let writing =
            writes.begin("submit_request", CALLER, &delivery.receipt(), Some("ab"), Some("d"));
        assert_eq!(writes.under_way()[0].outcome, "unknown");
        writing.ended("applied", Some(&json!({"request_id": "r"})));
        assert!(writes.under_way().is_empty());
        let told = writes.undelivered()[0].to_string();
        let expected = "submit_request for 01234567, arguments ab, outcome applied, deployment_id d, request_id r";
        assert_eq!(told, expected);
        delivery.done();
        assert!(writes.undelivered().is_empty());
    }

    #[test]
    fn what_had_no_effect_is_not_kept_and_what_was_cancelled_is_not_missed() {
        let writes = Writes::default();
        writes.keep_lost();
        ended(&writes, &Delivery::default(), "not_sent");
        ended(&writes, &Delivery::default(), "rejected");
        assert!(writes.undelivered().is_empty());
        for (outcome, kept) in [("applied", 1), ("unknown", 2)] {
            ended(&writes, &Delivery::default(), outcome);
            assert_eq!(writes.undelivered().len(), kept);
        }
        let delivery = Delivery::default();
        ended(&writes, &delivery, "applied");
        delivery.cancelled();
        assert_eq!(writes.undelivered().len(), 2);
    }

    #[test]
    fn an_answer_that_comes_again_and_arrives_is_lost_no_longer() {
        let writes = Writes::default();
        writes.keep_lost();
        ended(&writes, &Delivery::default(), "applied");
        let again = Delivery::default();
        writes.repeated("submit_request", CALLER, &again.receipt(), "ab");
        assert_eq!(writes.undelivered().len(), 1);
        again.done();
        assert!(writes.undelivered().is_empty());
    }

    #[test]
    fn who_serves_many_keeps_nothing_that_is_lost_and_what_is_kept_is_bounded() {
        let (many, one) = (Writes::default(), Writes::default());
        one.keep_lost();
        for _ in 0..MOST_KEPT + 10 {
            ended(&many, &Delivery::default(), "applied");
            ended(&one, &Delivery::default(), "applied");
        }
        assert!(many.lock().calls.is_empty());
        assert_eq!(one.lock().calls.len(), MOST_KEPT);
    }

    #[test]
    fn a_call_that_breaks_is_no_longer_under_way_and_its_effect_is_unknown() {
        let (writes, delivery) = (Writes::default(), Delivery::default());
        drop(writes.begin("update_deployment", CALLER, &delivery.receipt(), None, None));
        assert!(writes.under_way().is_empty());
        assert_eq!(writes.undelivered()[0].outcome, "unknown");
    }
}
