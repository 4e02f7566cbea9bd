//! A call under an `idempotency_key`.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use runcomfy_core::Error;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use super::{
    effect::Effect,
    fingerprint::Fingerprint,
    scope::{Idempotency, IdempotencyScope},
    sending::{Asked, Executed, Sending},
    store::{Entry, EntryState, ReplayKey, StoreUnavailable},
};
use crate::{
    pipeline::{auth::Api, scope::CallScope},
    result::ToolError,
};

/// Longer than any call takes that changes something, and than clocks of servers differ that share a store.
const LONGEST_CALL: Duration = Duration::from_secs(150);

/// How often somebody looks who waits for another call under the same key.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn once<T, F>(
    scope: &CallScope,
    ledger: &IdempotencyScope,
    key: ReplayKey,
    asked: Asked,
    send: impl FnOnce(Api) -> F + Send + 'static,
) -> Result<Executed<T>, ToolError>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let replay = Arc::clone(&ledger.replay);
    let fingerprint = asked.fingerprint.clone();
    let sending = Sending::new(scope, ledger, asked);
    let (gone, ending) = (scope.cancelled.clone(), scope.shutting_down.clone());
    // From the claim on nothing may break off, or the key would be taken and nothing sent.
    scope
        .run_to_completion(async move {
            if let Some(known) = claimed(&replay, &key, &fingerprint, [gone, ending]).await? {
                sending.repeated();
                let value =
                    serde_json::from_value(known).map_err(|_| ToolError::outcome_unknown())?;
                return Ok(Executed { value, replayed: true, not_recorded: false });
            }
            let (answer, effect) = sending.sent(send).await;
            let written = write_down(&replay, &key, &fingerprint, effect).await;
            if let Err(error) = &written {
                tracing::warn!(%error, "what came of a keyed call could not be written down");
            }
            match answer {
                Ok(value) => {
                    Ok(Executed { value, replayed: false, not_recorded: written.is_err() })
                }
                Err(error) => Err(ToolError::from(error)),
            }
        })
        .await
}

/// Claims the key: `None`. Or gives the answer that is known under it, once it is.
async fn claimed(
    replay: &Idempotency,
    key: &ReplayKey,
    asked: &Fingerprint,
    [gone, ending]: [CancellationToken; 2],
) -> Result<Option<serde_json::Value>, ToolError> {
    loop {
        let until_unix_ms = now_unix_ms() + LONGEST_CALL.as_millis() as u64;
        let claim = entry(asked, EntryState::Running { until_unix_ms });
        let found = replay.store.claim(key, &claim, replay.keep).await.map_err(|error| {
            tracing::warn!(%error, "a keyed call is refused");
            ToolError::replay_unavailable()
        })?;
        let Some(found) = found else { return Ok(None) };
        if found.arguments != asked.as_str() {
            return Err(ToolError::key_reused());
        }
        match found.state {
            EntryState::Done { answer } => return Ok(Some(answer)),
            EntryState::Running { until_unix_ms } if until_unix_ms > now_unix_ms() => {}
            // Whoever made the call has ended without a word.
            _ => return Err(ToolError::outcome_unknown()),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = gone.cancelled() => return Err(ToolError::shutting_down()),
            () = ending.cancelled() => return Err(ToolError::shutting_down()),
        }
    }
}

/// Keeps what came of the call; where nothing did, the key is free again.
async fn write_down(
    replay: &Idempotency,
    key: &ReplayKey,
    asked: &Fingerprint,
    effect: Effect,
) -> Result<(), StoreUnavailable> {
    let state = match effect {
        Effect::Nothing => return replay.store.forget(key).await,
        Effect::Unknown => EntryState::Unknown,
        Effect::Done(answer) => EntryState::Done { answer },
    };
    replay.store.replace(key, &entry(asked, state), replay.keep).await
}

fn entry(asked: &Fingerprint, state: EntryState) -> Entry {
    Entry { arguments: asked.as_str().to_owned(), state }
}

/// The clock that servers share.
fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
