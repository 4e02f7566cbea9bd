//! `Accounts`: finds or opens the account of a bearer token.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Mutex,
};

use chrono::Utc;
use url::Url;

use super::account_factory::AccountFactory;
use crate::{
    fake::{FakeBuilder, FakeRunComfy},
    ids,
    sync::lock,
};

type Make = dyn Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync;

pub(super) struct Accounts {
    kind: AccountSource,
    base: Url,
}

pub(super) enum AccountSource {
    /// One account per token, opened from a template on first use. All share one clock.
    Templated(Box<TemplatedAccounts>),
    /// One account per token, made by a function.
    Custom {
        make: Box<Make>,
        known: Mutex<HashMap<String, FakeRunComfy>>,
    },
    Shared(FakeRunComfy),
}

pub(super) struct TemplatedAccounts {
    pub(super) factory: AccountFactory,
    /// Set if all tokens share one account: its key, which is also its seed.
    pub(super) one: Option<u64>,
    pub(super) known: Mutex<BTreeMap<u64, FakeRunComfy>>,
}

impl AccountSource {
    pub(super) fn custom(
        make: impl Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync + 'static,
    ) -> Self {
        Self::Custom { make: Box::new(make), known: Mutex::default() }
    }
}

impl Accounts {
    /// `base` is the base of URLs in responses.
    pub(super) fn new(kind: AccountSource, base: Url) -> Self {
        let accounts = Self { kind, base };
        for (_, fake) in accounts.all() {
            fake.serve_at(&accounts.base);
        }
        accounts
    }

    /// The account of this token. `None` if the token is rejected.
    pub(super) fn of(&self, token: &str) -> Option<FakeRunComfy> {
        match &self.kind {
            AccountSource::Templated(templated) => {
                let key = templated.one.unwrap_or_else(|| key(token));
                let mut known = lock(&templated.known);
                let fake = known.entry(key).or_insert_with(|| {
                    // A random seed, because ids are used outside the emulator, as names of jobs and files.
                    // Only `one_account` asks for the same ids in every emulator.
                    let seed = templated.one.is_none().then(ids::random_seed);
                    let fake = templated.factory.open(key, seed);
                    fake.serve_at(&self.base);
                    fake
                });
                Some(fake.clone())
            }
            AccountSource::Custom { make, known } => {
                let mut known = lock(known);
                if let Some(fake) = known.get(token) {
                    return Some(fake.clone());
                }
                // A random seed, because files are found by request id alone and two accounts must not share
                // one.
                let builder = FakeRunComfy::builder()
                    .seed(ids::random_seed())
                    .started_at(Utc::now())
                    .remember_calls(100);
                let fake = make(token, builder)?;
                fake.serve_at(&self.base);
                known.insert(token.to_owned(), fake.clone());
                Some(fake)
            }
            AccountSource::Shared(fake) => {
                fake.serve_at(&self.base);
                Some(fake.clone())
            }
        }
    }

    /// The public name of this token's account. `None` if all tokens share one.
    pub(super) fn fingerprint(&self, token: &str) -> Option<Fingerprint> {
        match &self.kind {
            AccountSource::Templated(templated) if templated.one.is_some() => None,
            AccountSource::Templated(_) | AccountSource::Custom { .. } => {
                Some(Fingerprint::of(token))
            }
            AccountSource::Shared(_) => None,
        }
    }

    /// All accounts with their public names.
    pub(super) fn all(&self) -> Vec<(Option<Fingerprint>, FakeRunComfy)> {
        match &self.kind {
            AccountSource::Templated(templated) => {
                let name = |key: u64| templated.one.is_none().then(|| Fingerprint::of_key(key));
                let known = lock(&templated.known);
                known.iter().map(|(key, fake)| (name(*key), fake.clone())).collect()
            }
            AccountSource::Custom { known, .. } => {
                let known = lock(known);
                let named = known.iter();
                named.map(|(token, fake)| (Some(Fingerprint::of(token)), fake.clone())).collect()
            }
            AccountSource::Shared(fake) => vec![(None, fake.clone())],
        }
    }

    /// How many times faster than real time the accounts' time runs.
    pub(super) fn time_scale(&self) -> f64 {
        match &self.kind {
            AccountSource::Templated(templated) => templated.factory.clock().scale(),
            AccountSource::Custom { .. } => 1.0,
            AccountSource::Shared(fake) => fake.time_scale(),
        }
    }
}

/// The key of an account, so that the token itself is not stored.
fn key(token: &str) -> u64 {
    ids::hash(token.as_bytes())
}

/// The public name of an account, derived from its token. Tokens are never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    const BITS: u32 = 48;

    pub(super) fn of(token: &str) -> Self {
        Self::of_key(key(token))
    }

    fn of_key(key: u64) -> Self {
        // Not the key itself, because in older state files ids are derived from the key and reveal it.
        let other = ids::mix(key ^ 0x5bd1_e995_9e37_79b9);
        Self(other >> (u64::BITS - Self::BITS))
    }

    /// Parses what `Display` writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = u64::from_str_radix(text, 16).ok()?;
        (Self(number).to_string() == text).then_some(Self(number))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}
