//! At most once: a call that costs money and is made again, because its answer was lost on the way, is
//! answered with what came of the first.
//!
//! There are two ways to be protected. With an `idempotency_key` the outcome is kept in a [`ReplayStore`],
//! which several servers may share. Without one, an outcome is kept for a while where its answer did not
//! reach the caller: the next identical call takes it, once. That is what a client does
//! which lost its connection and, as the protocol of 2026-07-28 has it, asks again under a new id.

mod effect;
mod fingerprint;
mod keyed;
mod lost_responses;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod scope;
mod sending;
mod store;
mod unkeyed;

use std::future::Future;

use futures_util::future::Either;
use runcomfy_core::Error;
use serde::{Serialize, de::DeserializeOwned};

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub(crate) use self::{
    fingerprint::Fingerprint,
    scope::{Idempotency, IdempotencyScope},
    sending::{Asked, Executed},
};
pub use self::{
    memory::MemoryStore,
    store::{Entry, EntryState, ReplayKey, ReplayStore, StoreUnavailable},
};
use crate::{
    pipeline::{auth::Api, scope::CallScope},
    result::ToolError,
};

/// Makes a call that costs money: once, however often it is asked for in the same words.
///
/// What is sent runs in a task of its own: a caller who goes away must not leave it half done, with nobody
/// knowing whether it is billed.
///
/// No `async fn`, which would keep room for its arguments beside what it passes them to.
pub(crate) fn execute_once<T, F>(
    scope: &CallScope,
    ledger: &IdempotencyScope,
    key: Option<String>,
    asked: Asked,
    send: impl FnOnce(Api) -> F + Send + 'static,
) -> impl Future<Output = Result<Executed<T>, ToolError>> + Send
where
    T: Serialize + DeserializeOwned + Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    match key {
        Some(name) => {
            let key = ReplayKey::of_account(&ledger.account, scope.tool, &name);
            Either::Left(Box::pin(keyed::once(scope, ledger, key, asked, send)))
        }
        None => Either::Right(Box::pin(unkeyed::once(scope, ledger, asked, send))),
    }
}
