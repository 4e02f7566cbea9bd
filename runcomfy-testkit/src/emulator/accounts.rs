//! Whose fake a bearer token stands for.

use std::{
    collections::HashMap,
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

    pub(super) fn all(&self) -> Vec<FakeRunComfy> {
        match self {
            Self::Shared(fake) => vec![fake.clone()],
            Self::Each { known, .. } => {
                known.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
            }
        }
    }
}
