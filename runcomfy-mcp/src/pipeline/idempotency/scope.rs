//! Whose call it is, what is stored of the account's calls, and what becomes of the answer.

use std::{sync::Arc, time::Duration};

use ring::hmac;
use runcomfy_core::{RequestId, Token};
use runcomfy_http_edge::DeliveryReceipt;
use serde_json::Value;

use super::{
    fingerprint::hexadecimal,
    lost_responses::LostResponses,
    memory::MemoryStore,
    store::{Entry, EntryState, ReplayKey, ReplayStore},
};
use crate::{
    entropy,
    pipeline::writes::{Writes, Writing},
    result::ToolError,
};

/// How long the outcome of a keyed call is kept where callers come with tokens of their own, and where
/// one account is served.
const KEPT_FOR_MANY: Duration = Duration::from_secs(60 * 60);
const KEPT_FOR_ONE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of calls that may be made again.
#[derive(Debug)]
pub(crate) struct Idempotency {
    pub(super) store: Arc<dyn ReplayStore>,
    /// The store, where it is this process's own.
    own: Option<Arc<MemoryStore>>,
    pub(super) keep: Duration,
    secret: hmac::Key,
    pub(super) lost_responses: LostResponses,
}

/// Whose call it is, and what becomes of its answer.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyScope {
    pub(crate) replay: Arc<Idempotency>,
    /// Which account calls: nothing that a token could be told from.
    pub(crate) account: Arc<str>,
    pub(crate) receipt: DeliveryReceipt,
    /// The calls of this server that change something.
    pub(crate) writes: Writes,
}

impl IdempotencyScope {
    /// The account as the log has it.
    pub(crate) fn caller(&self) -> &str {
        self.account.get(..8).unwrap_or(&self.account)
    }

    /// Whether this name was not heard before from this account, within `keep`. Servers that share a store
    /// know it of each other.
    pub(crate) async fn first_time(&self, name: &str, keep: Duration) -> Result<bool, ToolError> {
        let key = ReplayKey::of_account(&self.account, "confirm", name);
        let entry = Entry { arguments: String::new(), state: EntryState::Unknown };
        let found = self.replay.store.claim(&key, &entry, keep).await;
        let found = found.map_err(|error| {
            tracing::warn!(%error, "a confirmed call is refused");
            ToolError::replay_unavailable()
        })?;
        Ok(found.is_none())
    }

    /// Does not answer this account's next submit with this run, though its answer was lost. What was
    /// submitted under a key stays under it.
    pub(crate) fn forget_run(&self, request_id: &RequestId) {
        let same = |value: &Value| value["request_id"] == request_id.as_str();
        self.replay.lost_responses.forget(&self.account, same);
    }

    /// Notes that a call begins which changes something.
    pub(crate) fn begin_write(
        &self,
        tool: &'static str,
        arguments: Option<&str>,
        deployment_id: Option<&str>,
    ) -> Writing {
        self.writes.begin(tool, self.caller(), &self.receipt, arguments, deployment_id)
    }
}

impl Idempotency {
    pub(crate) fn new(many: bool) -> Self {
        let keep = if many { KEPT_FOR_MANY } else { KEPT_FOR_ONE };
        let own = Arc::new(MemoryStore::default());
        Self {
            store: Arc::clone(&own) as Arc<dyn ReplayStore>,
            own: Some(own),
            keep,
            secret: hmac::Key::new(hmac::HMAC_SHA256, &entropy::secret()),
            lost_responses: LostResponses::default(),
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
        hexadecimal(&hash.as_ref()[..16])
    }
}
