//! Whose fake a bearer token stands for.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use chrono::Utc;
use url::Url;

use crate::{
    fake::{FakeBuilder, FakeRunComfy},
    ids,
};

type Make = dyn Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync;

pub(super) enum Accounts {
    /// Each token its own, made when it is first seen.
    Each {
        make: Box<Make>,
        known: Mutex<HashMap<String, FakeRunComfy>>,
    },
    Shared(FakeRunComfy),
}

impl Accounts {
    pub(super) fn each(
        make: impl Fn(&str, FakeBuilder) -> Option<FakeRunComfy> + Send + Sync + 'static,
    ) -> Self {
        Self::Each { make: Box::new(make), known: Mutex::default() }
    }

    pub(super) fn shared(fake: FakeRunComfy) -> Self {
        Self::Shared(fake)
    }

    /// The account of this token, whose answers name addresses below `base`.
    pub(super) fn of(&self, token: &str, base: &Url) -> Option<FakeRunComfy> {
        let (make, known) = match self {
            Self::Shared(fake) => {
                fake.serve_at(base);
                return Some(fake.clone());
            }
            Self::Each { make, known } => (make, known),
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fake) = known.get(token) {
            return Some(fake.clone());
        }
        // Files are found by request id alone, so no two accounts may share one.
        let builder = FakeRunComfy::builder()
            .seed(ids::hash(token.as_bytes()))
            .started_at(Utc::now())
            .remember_calls(100);
        let fake = make(token, builder)?;
        fake.serve_at(base);
        known.insert(token.to_owned(), fake.clone());
        Some(fake)
    }

    /// What the account of this token goes by. Nothing where all tokens share one.
    pub(super) fn fingerprint(&self, token: &str) -> Option<Fingerprint> {
        match self {
            Self::Shared(_) => None,
            Self::Each { .. } => Some(Fingerprint::of(token)),
        }
    }

    pub(super) fn all(&self) -> Vec<FakeRunComfy> {
        match self {
            Self::Shared(fake) => vec![fake.clone()],
            Self::Each { known, .. } => {
                known.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
            }
        }
    }
}

/// What a token goes by where it is spoken of: tokens are never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    const BITS: u32 = 48;

    pub(super) fn of(token: &str) -> Self {
        // Not the number that ids follow from: many bits of that can be had from any id.
        let other = ids::mix(ids::hash(token.as_bytes()) ^ 0x5bd1_e995_9e37_79b9);
        Self(other >> (u64::BITS - Self::BITS))
    }

    /// Reads what is shown.
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
