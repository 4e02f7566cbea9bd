//! What a store of outcomes must do.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the outcomes of keyed calls are kept: in memory, or where several servers reach it.
///
/// A store that can't be asked must say so ([`StoreUnavailable`]) within a second or two: the call that
/// asked is then refused before anything is sent. It must never say that nothing is there when it does not
/// know, nor drop an entry before its time to make room.
#[async_trait]
pub trait ReplayStore: std::fmt::Debug + Send + Sync {
    /// Puts `entry` under `key` for `keep` if nothing is there: `None`. Otherwise changes nothing and
    /// gives what is there. Of several who claim one key at once, exactly one gets `None`.
    ///
    /// # Errors
    /// The store can't be asked, or has no room.
    async fn claim(
        &self,
        key: &ReplayKey,
        entry: &Entry,
        keep: Duration,
    ) -> Result<Option<Entry>, StoreUnavailable>;

    /// Replaces what is under `key`, and keeps it for `keep` from now.
    ///
    /// # Errors
    /// The store can't be asked.
    async fn replace(
        &self,
        key: &ReplayKey,
        entry: &Entry,
        keep: Duration,
    ) -> Result<(), StoreUnavailable>;

    /// Forgets what is under `key`: nothing came of the call.
    ///
    /// # Errors
    /// The store can't be asked.
    async fn forget(&self, key: &ReplayKey) -> Result<(), StoreUnavailable>;
}

/// Why a store gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the store of idempotency keys can't be asked: {0}")]
pub struct StoreUnavailable(pub String);

/// Under what an outcome is kept: nobody else's call finds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplayKey {
    account: String,
    tool: &'static str,
    name: String,
}

impl ReplayKey {
    pub(super) fn of_account(account: &str, tool: &'static str, name: &str) -> Self {
        Self { account: account.to_owned(), tool, name: name.to_owned() }
    }

    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn of(account: &str, name: &str) -> Self {
        Self { account: account.to_owned(), tool: "submit_request", name: name.to_owned() }
    }

    /// Whose it is: a keyed hash of their token.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The tool that was called.
    #[must_use]
    pub fn tool(&self) -> &'static str {
        self.tool
    }
}

impl std::fmt::Display for ReplayKey {
    /// Account and tool have no colon: no two keys look the same.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.account, self.tool, self.name)
    }
}

/// What is kept of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// A hash of what was asked for: under one key it must stay the same.
    pub arguments: String,
    /// What came of it.
    #[serde(flatten)]
    pub state: EntryState,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryState {
    /// It is being made. Whoever made it has long ended at this time, in milliseconds of Unix time: if it
    /// still says so then, what came of it is not known.
    Running {
        /// When to give up on it.
        until_unix_ms: u64,
    },
    /// It may have taken effect.
    Unknown,
    /// It took effect.
    Done {
        /// RunComfy's answer.
        answer: Value,
    },
}
