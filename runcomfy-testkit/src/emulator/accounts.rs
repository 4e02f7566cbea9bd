//! Whose fake a bearer token stands for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::Utc;
use url::Url;

use super::home::Home;
use crate::{
    fake::{FakeBuilder, FakeRunComfy},
    ids,
};

type Make = dyn Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync;

pub(super) struct Accounts {
    kind: Kind,
    base: Url,
}

pub(super) enum Kind {
    /// Each token its own, alike when it is first seen, and all at one time.
    Alike(Box<Alike>),
    /// Each token its own, as somebody makes it.
    Each {
        make: Box<Make>,
        known: Mutex<HashMap<String, FakeRunComfy>>,
    },
    Shared(FakeRunComfy),
}

pub(super) struct Alike {
    pub(super) home: Home,
    /// The account of every token, where there is but one.
    pub(super) one: Option<u64>,
    pub(super) known: Mutex<BTreeMap<u64, FakeRunComfy>>,
}

impl Kind {
    pub(super) fn each(
        make: impl Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync + 'static,
    ) -> Self {
        Self::Each { make: Box::new(make), known: Mutex::default() }
    }
}

impl Accounts {
    /// Accounts whose answers name addresses below `base`.
    pub(super) fn new(kind: Kind, base: Url) -> Self {
        let accounts = Self { kind, base };
        for (_, fake) in accounts.all() {
            fake.serve_at(&accounts.base);
        }
        accounts
    }

    /// The account of this token. `None` where it is refused.
    pub(super) fn of(&self, token: &str) -> Option<FakeRunComfy> {
        match &self.kind {
            Kind::Alike(alike) => {
                let key = alike.one.unwrap_or_else(|| key(token));
                let mut known = lock(&alike.known);
                let fake = known.entry(key).or_insert_with(|| {
                    let fake = alike.home.open(key);
                    fake.serve_at(&self.base);
                    fake
                });
                Some(fake.clone())
            }
            Kind::Each { make, known } => {
                let mut known = lock(known);
                if let Some(fake) = known.get(token) {
                    return Some(fake.clone());
                }
                // Files are found by request id alone, so no two accounts may share one.
                let builder = FakeRunComfy::builder()
                    .seed(key(token))
                    .started_at(Utc::now())
                    .remember_calls(100);
                let fake = make(token, builder)?;
                fake.serve_at(&self.base);
                known.insert(token.to_owned(), fake.clone());
                Some(fake)
            }
            Kind::Shared(fake) => {
                fake.serve_at(&self.base);
                Some(fake.clone())
            }
        }
    }

    /// The account that goes by this fingerprint.
    pub(super) fn named(&self, name: &str) -> Option<FakeRunComfy> {
        self.all().into_iter().find(|(key, _)| fingerprint(*key) == name).map(|(_, fake)| fake)
    }

    /// What a token's account is called where others may see it.
    pub(super) fn fingerprint_of(&self, token: &str) -> String {
        fingerprint(match &self.kind {
            Kind::Alike(alike) => alike.one.unwrap_or_else(|| key(token)),
            Kind::Each { .. } => key(token),
            Kind::Shared(_) => SHARED,
        })
    }

    /// All that there are, each with its key.
    pub(super) fn all(&self) -> Vec<(u64, FakeRunComfy)> {
        match &self.kind {
            Kind::Alike(alike) => {
                lock(&alike.known).iter().map(|(key, fake)| (*key, fake.clone())).collect()
            }
            Kind::Each { known, .. } => {
                let known = lock(known);
                known.iter().map(|(token, fake)| (key(token), fake.clone())).collect()
            }
            Kind::Shared(fake) => vec![(SHARED, fake.clone())],
        }
    }

    /// How many times as fast as real time theirs goes.
    pub(super) fn time_scale(&self) -> f64 {
        match &self.kind {
            Kind::Alike(alike) => alike.home.clock().scale(),
            Kind::Each { .. } => 1.0,
            Kind::Shared(fake) => fake.time_scale(),
        }
    }
}

/// The key of the one account that all tokens share.
const SHARED: u64 = 1;

/// What an account is kept under: never the token itself.
fn key(token: &str) -> u64 {
    ids::hash(token.as_bytes())
}

pub(super) fn fingerprint(key: u64) -> String {
    format!("{:012x}", key >> 16)
}

fn lock<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
