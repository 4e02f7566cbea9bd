//! Users who ask for this and that, as their seeds have it, and write down what they are told.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use runcomfy_core::error::Outcome;

use crate::{
    door::{Door, Heard},
    history::{Asked, Call, Told},
    line::Listens,
    world::World,
};

/// What users do beside the usual.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    /// Whether submits and creations have idempotency keys: half of them do.
    pub(crate) keys: bool,
    /// Whether users go away in the middle of calls.
    pub(crate) leave: bool,
    /// Whether submits wait for the run's end now and then; only the server's do.
    pub(crate) wait: bool,
}

/// One user, and what this user knows.
pub(crate) struct User {
    number: usize,
    door: Door,
    world: Arc<World>,
    habits: Habits,
    luck: Rng,
    history: Vec<Call>,
    runs: Vec<String>,
    deployments: Vec<String>,
    keys: Vec<String>,
    named: usize,
    /// A call to be made again: its answer never came, may come by its key, or is wanted once more.
    again: Option<Asked>,
}

impl User {
    pub(crate) fn new(
        number: usize,
        door: Door,
        world: Arc<World>,
        habits: Habits,
        seed: u64,
    ) -> Self {
        let luck = Rng::with_seed(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self {
            number,
            door,
            world,
            habits,
            luck,
            history: Vec::new(),
            runs: Vec::new(),
            deployments: Vec::new(),
            keys: Vec::new(),
            named: 0,
            again: None,
        }
    }

    /// Makes so many calls, for what came of them.
    pub(crate) async fn live(mut self, calls: usize) -> Vec<Call> {
        for _ in 0..calls {
            self.step().await;
        }
        self.history
    }

    async fn step(&mut self) {
        let asked = self.wish();
        let leaves = self.habits.leave && self.luck.u8(..10) == 0;
        let listens = match (self.luck.bool(), leaves && self.luck.bool()) {
            (false, _) => Listens::No,
            (true, false) => Listens::ToTheEnd,
            (true, true) => Listens::UntilTheFirstEvent,
        };
        let leaves_later = leaves && listens != Listens::UntilTheFirstEvent;
        let patience = leaves_later.then(|| Duration::from_micros(self.luck.u64(..8_000)));
        let heard = self.door.call(&asked, listens, patience).await;
        let claims_of = match (&heard, &asked) {
            (Heard::Done { claim: None, .. } | Heard::Other(_), _) => None,
            (
                _,
                Asked::Cancel { request_id }
                | Asked::Status { request_id }
                | Asked::Result { request_id },
            ) => Some(request_id.clone()),
            (Heard::Done { id, .. }, _) => id.clone(),
        };
        // Asked after the answer came: what is over stays so.
        let truth = match claims_of {
            Some(request_id) => Some(self.world.truth(self.number, &request_id).await),
            None => None,
        };
        let told = heard.told(truth);
        // Whom nobody takes a call from would soon have asked for everything.
        if matches!(&told, Told::Failed { outcome: Outcome::NotSent, .. } | Told::Nothing) {
            self.world.is_up().await;
        }
        self.learn(&asked, &told);
        self.history.push(Call { user: self.number, asked, told });
    }

    fn learn(&mut self, asked: &Asked, told: &Told) {
        if let Some(id) = told.id() {
            let known = match asked {
                Asked::Create { .. } => &mut self.deployments,
                _ => &mut self.runs,
            };
            known.push(id.to_owned());
        }
        if let Asked::Delete { deployment_id } = asked
            && self.luck.bool()
        {
            self.deployments.retain(|id| id != deployment_id);
        }
        let Some((_, key)) = asked.paid() else { return };
        // Without a key a client makes a call again whose answer was lost on the way, and asks a person where
        // it is told that the outcome is unknown. With one it may always do so. Now and then one that was
        // answered is wanted once more: without a key that is another one.
        let again = match told {
            Told::Nothing => self.luck.bool(),
            Told::Failed { outcome: Outcome::Unknown, .. } => key.is_some() && self.luck.bool(),
            Told::Done(_) if key.is_some() => self.luck.bool(),
            Told::Done(_) => self.luck.u8(..4) == 0,
            Told::Failed { .. } => false,
        };
        self.again = again.then(|| asked.clone());
    }

    fn wish(&mut self) -> Asked {
        if let Some(asked) = self.again.take() {
            return asked;
        }
        let run = self.luck.choice(&self.runs).cloned();
        let newest = self.runs.last().cloned();
        let deployment = self.luck.choice(&self.deployments).cloned();
        match (self.luck.u8(..100), run, deployment) {
            (40..52, Some(_), _) => Asked::Cancel { request_id: newest.unwrap_or_default() },
            (52..64, Some(request_id), _) => Asked::Status { request_id },
            (64..78, Some(request_id), _) => Asked::Result { request_id },
            (78..88, _, Some(deployment_id)) => {
                self.named += 1;
                // Beyond what they begin with, and within what the service takes.
                Asked::Update { deployment_id, keep_warm: 61 + self.named as u64 }
            }
            (88..94, _, Some(deployment_id)) => Asked::Delete { deployment_id },
            (94.., ..) => {
                let (name, key) = self.mark("deployment");
                Asked::Create { name, key }
            }
            _ => {
                let (marker, key) = self.mark("run");
                let wait = self.habits.wait && self.luck.u8(..4) == 0;
                Asked::Submit { marker, key, wait }
            }
        }
    }

    /// A text that no other operation has, and perhaps a key.
    fn mark(&mut self, of: &str) -> (String, Option<String>) {
        self.named += 1;
        let mark = format!("{of}-{}-of-user-{:04}", self.named, self.number);
        if !self.habits.keys || self.luck.bool() {
            return (mark, None);
        }
        // Now and then one that was for something else.
        let other = self.luck.choice(&self.keys).filter(|_| self.named.is_multiple_of(8)).cloned();
        let key = other.unwrap_or_else(|| format!("key-of-{mark}"));
        self.keys.push(key.clone());
        (mark, Some(key))
    }
}
