//! Whether what users were told can be true, given what the service did. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use runcomfy_core::error::Outcome;

use crate::history::{Asked, Call, Effects, Told, Truth};

#[cfg(test)]
mod tests;

/// What must not be. Every variant has the marker, name or id that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// More effects than calls that may have had one.
    Doubled { user: usize, mark: String, effects: usize, may_be: usize },
    /// An id was named that is not there.
    Lost { user: usize, mark: String, id: String },
    /// One effect is the answer to two calls, and neither says that it is the other's.
    Shared { user: usize, mark: String, id: String },
    /// A call without a key was answered with an earlier effect, though the answers to all earlier calls were read.
    ReplayedAfterDelivery { user: usize, mark: String, id: String },
    /// Calls with one key had two effects, or were answered with two ids.
    KeySplit { user: usize, key: String },
    /// Something is there that this user never asked for.
    Stray { user: usize, mark: String },
    /// The run was not yet, or never, what was said of it.
    Untrue { user: usize, request_id: String, told: Told, end: Truth },
    /// It was cancelled, and nobody may have done so.
    CancelledByNobody { user: usize, request_id: String },
    /// A deployment that was deleted is there.
    StillThere { user: usize, deployment_id: String },
    /// It has a value that it can't have.
    WrongValue { user: usize, deployment_id: String, value: u64, may_be: BTreeSet<u64> },
}

/// How the calls of a history ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// By what was asked and how it ended.
    pub(crate) ends: BTreeMap<(&'static str, &'static str), usize>,
    /// Operations whose call was lost, and which took effect again when it was repeated.
    pub(crate) doubled_reissues: usize,
}

impl Report {
    /// Calls that ended so.
    pub(crate) fn ended(&self, end: &str) -> usize {
        self.ends.iter().filter(|((_, one), _)| *one == end).map(|(_, count)| count).sum()
    }

    pub(crate) fn calls(&self) -> usize {
        self.ends.values().sum()
    }

    /// Of calls whose users stayed, the share whose outcome is unknown to them.
    pub(crate) fn unknown_rate(&self) -> f64 {
        let stayed = self.calls() - self.ended("nothing");
        self.ended("unknown") as f64 / stayed.max(1) as f64
    }
}

/// Holds each user's calls against what the service did for that user.
pub(crate) fn check(history: &[Call], effects: &[Effects]) -> Result<Report, Violation> {
    let mut report = Report::default();
    let mut by_user: BTreeMap<usize, Vec<&Call>> = BTreeMap::new();
    for call in history {
        *report.ends.entry((call.asked.word(), end(&call.told))).or_default() += 1;
        by_user.entry(call.user).or_default().push(call);
    }
    for (user, effects) in effects.iter().enumerate() {
        let calls = by_user.remove(&user).unwrap_or_default();
        let one = User { user, calls, effects };
        report.doubled_reissues += one.paid()?;
        one.claims()?;
        one.cancellations()?;
        one.deployments()?;
    }
    Ok(report)
}

fn end(told: &Told) -> &'static str {
    match told {
        Told::Done(answer) if answer.replayed => "replayed",
        Told::Done(_) => "ok",
        Told::Failed { outcome, .. } => outcome.as_str(),
        Told::Nothing => "nothing",
    }
}

struct User<'a> {
    user: usize,
    calls: Vec<&'a Call>,
    effects: &'a Effects,
}

impl User<'_> {
    /// Submits and creations: each call is another effect, unless it is told to be an earlier one's. How
    /// many operations took effect again when they were repeated.
    fn paid(&self) -> Result<usize, Violation> {
        let user = self.user;
        let mut operations: HashMap<(&str, &str), Vec<&Call>> = HashMap::new();
        for call in &self.calls {
            if let Some((mark, _)) = call.asked.paid() {
                operations.entry((call.asked.word(), mark)).or_default().push(call);
            }
        }
        let mut ids_of_key: HashMap<(&str, &str), BTreeSet<&str>> = HashMap::new();
        let mut there: HashMap<(&str, &str), BTreeSet<&str>> = HashMap::new();
        for (id, run) in &self.effects.runs {
            there.entry(("submit", &run.marker)).or_default().insert(id);
        }
        for (id, deployed) in &self.effects.deployments {
            there.entry(("create", &deployed.name)).or_default().insert(id);
        }
        for (operation, ids) in &there {
            if !operations.contains_key(operation) {
                let mark = operation.1.to_owned();
                debug_assert!(!ids.is_empty());
                return Err(Violation::Stray { user, mark });
            }
        }
        let mut doubled = 0;
        for ((word, mark), calls) in &operations {
            let mark = (*mark).to_owned();
            let mut effects = there.get(&(*word, mark.as_str())).cloned().unwrap_or_default();
            let (mut fresh, mut lost) = (BTreeSet::new(), 0_usize);
            for call in calls {
                let keyed = call.asked.paid().is_some_and(|(_, key)| key.is_some());
                lost += usize::from(call.told == Told::Nothing && !keyed);
                let Some(id) = call.told.id() else { continue };
                if self.deleted(id) {
                    effects.insert(id);
                }
                if !effects.contains(id) {
                    return Err(Violation::Lost { user, mark, id: id.to_owned() });
                }
                let key = call.asked.paid().and_then(|(_, key)| key);
                if let Some(key) = key {
                    ids_of_key.entry((word, key)).or_default().insert(id);
                }
                let replayed = matches!(&call.told, Told::Done(answer) if answer.replayed);
                if !replayed && !fresh.insert(id) {
                    return Err(Violation::Shared { user, mark, id: id.to_owned() });
                }
                if replayed && !keyed {
                    // Each lost answer is handed out once.
                    let Some(left) = lost.checked_sub(1) else {
                        let id = id.to_owned();
                        return Err(Violation::ReplayedAfterDelivery { user, mark, id });
                    };
                    lost = left;
                }
            }
            let may_be = may_have_had_effect(calls);
            if effects.len() > may_be {
                return Err(Violation::Doubled { user, mark, effects: effects.len(), may_be });
            }
            doubled += usize::from(effects.len() > fresh.len().max(1));
            // Whatever was asked with a key and never without is that key's.
            let keys: BTreeSet<_> =
                calls.iter().filter_map(|call| call.asked.paid()).map(|(_, key)| key).collect();
            if let [Some(key)] = Vec::from_iter(keys)[..] {
                ids_of_key.entry((word, key)).or_default().extend(effects);
            }
        }
        match ids_of_key.iter().find(|(_, ids)| ids.len() > 1) {
            Some(((_, key), _)) => Err(Violation::KeySplit { user, key: (*key).to_owned() }),
            None => Ok(doubled),
        }
    }

    /// Whether this deployment may have been deleted by its user.
    fn deleted(&self, id: &str) -> bool {
        self.calls.iter().any(|call| {
            matches!(&call.asked, Asked::Delete { deployment_id } if deployment_id == id)
                && !call.told.denies()
        })
    }

    /// What was said of runs: true when it was said, and in the end.
    fn claims(&self) -> Result<(), Violation> {
        for call in &self.calls {
            let Told::Done(answer) = &call.told else { continue };
            let Some((claim, then)) = answer.seen else { continue };
            let asked = match &call.asked {
                Asked::Cancel { request_id }
                | Asked::Status { request_id }
                | Asked::Result { request_id } => Some(request_id),
                _ => answer.id.as_ref(),
            };
            let request_id = asked.cloned().unwrap_or_default();
            let end = self.effects.runs.get(&request_id).map_or(Truth::Open, |run| run.end);
            if !claim.holds(then) || !claim.holds(end) {
                let told = call.told.clone();
                return Err(Violation::Untrue { user: self.user, request_id, told, end });
            }
        }
        Ok(())
    }

    /// A run ends as cancelled only where somebody may have cancelled it.
    fn cancellations(&self) -> Result<(), Violation> {
        let may_have = |id: &str| {
            self.calls.iter().any(|call| {
                matches!(&call.asked, Asked::Cancel { request_id } if request_id == id)
                    && !call.told.denies()
            })
        };
        let cancelled = self.effects.runs.iter().filter(|(_, run)| run.end == Truth::Cancelled);
        match cancelled.map(|(id, _)| id).find(|id| !may_have(id)) {
            Some(id) => {
                let request_id = id.clone();
                Err(Violation::CancelledByNobody { user: self.user, request_id })
            }
            None => Ok(()),
        }
    }

    /// Deployments that this user knows are gone where that was said, or have a value that may be theirs. That
    /// those which nobody deleted are there is seen by [`paid`](Self::paid).
    fn deployments(&self) -> Result<(), Violation> {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        for call in &self.calls {
            if matches!(call.asked, Asked::Create { .. }) {
                known.extend(call.told.id());
            }
        }
        for id in known {
            let Some(there) = self.effects.deployments.get(id) else { continue };
            let deleted = |call: &Call| {
                matches!(&call.asked, Asked::Delete { deployment_id } if deployment_id == id)
                    && matches!(call.told, Told::Done(_))
            };
            if self.calls.iter().any(|call| deleted(call)) {
                let deployment_id = id.to_owned();
                return Err(Violation::StillThere { user: self.user, deployment_id });
            }
            let may_be = self.values(id);
            if !may_be.contains(&there.keep_warm) {
                return Err(Violation::WrongValue {
                    user: self.user,
                    deployment_id: id.to_owned(),
                    value: there.keep_warm,
                    may_be,
                });
            }
        }
        Ok(())
    }

    /// What a deployment's value may be in the end.
    fn values(&self, id: &str) -> BTreeSet<u64> {
        let mut now = BTreeSet::from([KEEP_WARM_AT_FIRST]);
        // What may still be under way when a later call has been answered.
        let mut late = BTreeSet::new();
        for call in &self.calls {
            let Asked::Update { deployment_id, keep_warm } = &call.asked else { continue };
            if deployment_id != id {
                continue;
            }
            match &call.told {
                Told::Done(_) => now = BTreeSet::from([*keep_warm]),
                Told::Failed { outcome: Outcome::NotSent | Outcome::Rejected, .. } => {}
                Told::Failed { .. } => {
                    now.insert(*keep_warm);
                }
                Told::Nothing => {
                    late.insert(*keep_warm);
                }
            }
        }
        now.extend(late);
        now
    }
}

/// What a deployment begins with.
pub(crate) const KEEP_WARM_AT_FIRST: u64 = 60;

/// At most so many effects can follow from these calls of one operation.
fn may_have_had_effect(calls: &[&Call]) -> usize {
    let mut keys = BTreeSet::new();
    let may_have = |call: &&&Call| {
        let replayed = matches!(&call.told, Told::Done(answer) if answer.replayed);
        !replayed && !call.told.denies()
    };
    let mut without_key = 0;
    for call in calls.iter().filter(may_have) {
        match call.asked.paid().and_then(|(_, key)| key) {
            Some(key) => {
                keys.insert(key);
            }
            None => without_key += 1,
        }
    }
    keys.len() + without_key
}
