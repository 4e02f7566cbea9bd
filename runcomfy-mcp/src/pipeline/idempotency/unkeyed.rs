//! A call without a key: what it does where the answer to an identical one was lost.

use std::future::Future;

use runcomfy_core::Error;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::watch, time::Instant};

use super::{
    effect::Effect,
    lost_responses::KnownEffect,
    scope::IdempotencyScope,
    sending::{Asked, Executed, Sending},
};
use crate::{
    pipeline::{auth::Api, scope::CallScope},
    result::ToolError,
};

pub(super) async fn once<T, F>(
    scope: &CallScope,
    ledger: &IdempotencyScope,
    asked: Asked,
    send: impl FnOnce(Api) -> F + Send + 'static,
) -> Result<Executed<T>, ToolError>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let lost_responses = ledger.replay.lost_responses.clone();
    let same = (ledger.account.clone(), scope.tool, asked.fingerprint.clone());
    let sending = Sending::new(scope, ledger, asked);
    while let Some(mut outcome) = lost_responses.lost(&same).await {
        let known = {
            let kept = outcome.clone();
            let ended = outcome.wait_for(KnownEffect::is_some);
            tokio::select! {
                known = ended => known.ok().and_then(|known| known.clone()).unwrap_or(Effect::Unknown),
                () = scope.abandoned() => {
                    // It goes on, and somebody may still come for it.
                    lost_responses.open(&same, kept, Some(Instant::now()));
                    return Err(ToolError::shutting_down());
                }
            }
        };
        match known {
            Effect::Done(answer) => {
                let value = serde_json::from_value(answer.clone());
                let value = value.map_err(|_| ToolError::outcome_unknown())?;
                // This answer, too, may be lost.
                let (_, outcome) = watch::channel(Some(Effect::Done(answer)));
                lost_responses.follow(&same, outcome, &ledger.receipt);
                sending.repeated();
                return Ok(Executed { value, replayed: true, not_recorded: false });
            }
            Effect::Unknown => return Err(ToolError::outcome_unknown()),
            // Nothing came of it: there is nothing to repeat.
            Effect::Nothing => {}
        }
    }
    let (tell, outcome) = watch::channel(None);
    lost_responses.follow(&same, outcome, &ledger.receipt);
    scope
        .run_to_completion(async move {
            let (answer, effect) = sending.sent(send).await;
            // Nobody may be left who wants to know.
            let _ = tell.send(Some(effect));
            let value = answer.map_err(ToolError::from)?;
            Ok(Executed { value, replayed: false, not_recorded: false })
        })
        .await
}
