//! At most once: a call that costs money and is made again, because its answer was lost on the way, is
//! answered with what came of the first.
//!
//! There are two ways to be protected. With an `idempotency_key` the outcome is kept in a [`ReplayStore`],
//! which several servers may share. Without one, an outcome is kept for a while where its answer did not
//! reach the caller: the next identical call takes it, once. That is what a client does
//! which lost its connection and, as the protocol of 2026-07-28 has it, asks again under a new id.

mod fingerprint;
mod keyed;
mod memory;
mod receipt;
#[cfg(feature = "redis")]
mod redis;
mod store;
mod undelivered;

use std::{future::Future, sync::Arc, time::Duration};

use ring::hmac;
use runcomfy_core::{DeploymentId, Error, Outcome, RequestId, Token};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
use self::undelivered::Undelivered;
pub(crate) use self::{
    fingerprint::Fingerprint,
    receipt::{Arrival, Delivery, Receipt},
};
pub use self::{
    memory::MemoryStore,
    store::{Entry, EntryState, ReplayKey, ReplayStore, StoreUnavailable},
};
use crate::{
    entropy,
    pipeline::{auth::Api, context::Call, writes::Writes},
    result::Fault,
};

/// How long the outcome of a keyed call is kept where callers come with tokens of their own, and where
/// one account is served.
const KEPT_FOR_MANY: Duration = Duration::from_secs(60 * 60);
const KEPT_FOR_ONE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of calls that may be made again.
#[derive(Debug)]
pub(crate) struct Replay {
    store: Arc<dyn ReplayStore>,
    /// The store, where it is this process's own.
    own: Option<Arc<MemoryStore>>,
    keep: Duration,
    secret: hmac::Key,
    undelivered: Undelivered,
}

/// Whose call it is, and what becomes of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) replay: Arc<Replay>,
    /// Which account calls: nothing that a token could be told from.
    pub(crate) account: Arc<str>,
    pub(crate) receipt: Receipt,
}

/// What a call did, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
enum Effect {
    /// None at all: it may be made again.
    Nothing,
    /// Perhaps some.
    Unknown,
    Done(Value),
}

impl Effect {
    fn of<T: Serialize>(answer: &Result<T, Error>) -> Self {
        match answer {
            Ok(value) => serde_json::to_value(value).map_or(Self::Unknown, Self::Done),
            Err(error) if matches!(error.outcome(), Outcome::NotSent | Outcome::Rejected) => {
                Self::Nothing
            }
            Err(_) => Self::Unknown,
        }
    }

    /// What it came to, where that is known.
    fn value(&self) -> Option<&Value> {
        match self {
            Self::Done(value) => Some(value),
            _ => None,
        }
    }
}

/// What came of a call that is made at most once.
#[derive(Debug)]
pub(crate) struct Once<T> {
    pub(crate) value: T,
    /// It is what came of an earlier call; this one has sent nothing.
    pub(crate) replayed: bool,
    /// It took effect, but could not be written down: a repetition would not be answered with it.
    pub(crate) forgotten: bool,
}

impl Ledger {
    /// The account as the log has it.
    pub(crate) fn caller(&self) -> &str {
        self.account.get(..8).unwrap_or(&self.account)
    }

    /// Whether this name was not heard before from this account, within `keep`. Servers that share a store
    /// know it of each other.
    pub(crate) async fn first_time(&self, name: &str, keep: Duration) -> Result<bool, Fault> {
        let key = ReplayKey::of_account(&self.account, "confirm", name);
        let entry = Entry { arguments: String::new(), state: EntryState::Unknown };
        let found = self.replay.store.claim(&key, &entry, keep).await;
        let found = found.map_err(|error| {
            tracing::warn!(%error, "a confirmed call is refused");
            Fault::replay_unavailable()
        })?;
        Ok(found.is_none())
    }
}

impl Ledger {
    /// Does not answer this account's next submit with this run, though its answer was lost. What was
    /// submitted under a key stays under it.
    pub(crate) fn forget_run(&self, request_id: &RequestId) {
        let same = |value: &Value| value["request_id"] == request_id.as_str();
        self.replay.undelivered.forget(&self.account, same);
    }
}

impl Replay {
    pub(crate) fn new(many: bool) -> Self {
        let keep = if many { KEPT_FOR_MANY } else { KEPT_FOR_ONE };
        let own = Arc::new(MemoryStore::default());
        Self {
            store: Arc::clone(&own) as Arc<dyn ReplayStore>,
            own: Some(own),
            keep,
            secret: hmac::Key::new(hmac::HMAC_SHA256, &entropy::secret()),
            undelivered: Undelivered::default(),
        }
    }

    /// Outcomes are kept in `store`. All servers that share it must have the same `secret`.
    pub(crate) fn shared(store: Arc<dyn ReplayStore>, secret: &[u8], many: bool) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { store, own: None, secret, ..Self::new(many) }
    }

    /// How many outcomes under a key are kept here.
    pub(crate) fn keys(&self) -> u64 {
        self.own.as_ref().map_or(0, |own| own.len() as u64)
    }

    /// How outcomes know the account of this token.
    pub(crate) fn account(&self, token: Option<&Token>) -> String {
        let Some(token) = token else { return "everyone".to_owned() };
        let hash = hmac::sign(&self.secret, token.expose().as_bytes());
        fingerprint::hexadecimal(&hash.as_ref()[..16])
    }
}

/// Makes a call that costs money: once, however often it is asked for in the same words.
///
/// What is sent runs in a task of its own: a caller who goes away must not leave it half done, with nobody
/// knowing whether it is billed.
pub(crate) async fn once<T, F>(
    call: &Call,
    tool: &'static str,
    key: Option<String>,
    asked: Asked,
    send: impl FnOnce(Api) -> F + Send + 'static,
) -> Result<Once<T>, Fault>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    match key {
        Some(name) => keyed::once(call, ReplayKey::new(call, tool, name), asked, send).await,
        None => undelivered::once(call, tool, asked, send).await,
    }
}

/// What is asked for.
pub(crate) struct Asked {
    pub(crate) fingerprint: Fingerprint,
    /// Where it is to be done, if there is such a place already.
    pub(crate) deployment_id: Option<DeploymentId>,
}

/// A call on its way out, with all that is said of it.
struct Sending {
    api: Api,
    tool: &'static str,
    asked: Asked,
    ledger: Ledger,
    writes: Writes,
}

impl Sending {
    fn new(call: &Call, tool: &'static str, asked: Asked) -> Self {
        let (api, ledger) = (Arc::clone(&call.api), call.ledger.clone());
        Self { api, tool, asked, ledger, writes: call.writes.clone() }
    }

    /// Sends it, with a line in the log before and after: RunComfy lists no requests, so that this is what an
    /// operator has to tell what may have been billed.
    async fn sent<T, F>(&self, send: impl FnOnce(Api) -> F) -> (Result<T, Error>, Effect)
    where
        T: Serialize,
        F: Future<Output = Result<T, Error>>,
    {
        let tool = self.tool;
        let (short, arguments) = (self.ledger.caller(), self.asked.fingerprint.short());
        let deployment_id = self.asked.deployment_id.as_ref().map(DeploymentId::as_str);
        let writing = self.writes.begin(tool, &self.ledger, Some(arguments), deployment_id);
        tracing::info!(tool, account = short, arguments, "{tool} starts for {short}: {arguments}");
        let answer = send(Arc::clone(&self.api)).await;
        let effect = Effect::of(&answer);
        let outcome = answer.as_ref().map_or_else(|error| error.outcome().as_str(), |_| "applied");
        tracing::info!(
            tool,
            account = short,
            arguments,
            outcome,
            "{tool} ended for {short}: {arguments}, {outcome}"
        );
        writing.ended(outcome, effect.value());
        (answer, effect)
    }

    /// It was sent before, and its answer is given once more.
    fn repeated(&self) {
        self.writes.repeated(self.tool, &self.ledger, self.asked.fingerprint.short());
    }
}
