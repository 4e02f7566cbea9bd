//! Watching a run for a call: its client hears of each change, and the call ends when there is no more
//! point in waiting.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::Fuse};
use runcomfy_core::{
    DeploymentId, Error, ErrorKind, RequestId, Wait, WaitEnd,
    error::Operation,
    request::{RequestState, RequestStatus},
    wait::{FinishedRun, TimedOutWait, WaitEvent},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use crate::{
    pipeline::{context::ToolContext, deployment_cache::LOOK},
    view::request::in_words,
};

/// Why a watch is over.
pub(crate) enum Watched {
    /// The run is over.
    Finished(Box<FinishedRun>),
    /// What was waited for has come.
    ConditionMet(Box<RequestStatus>),
    /// The time was up first; and why the run still waited then, where that is known.
    TimedOut(Box<TimedOutWait>, Option<String>),
    /// The caller has gone, or the server will; with what was seen last.
    Interrupted(Option<Box<RequestStatus>>),
}

/// When the run that is watched was submitted.
#[derive(Clone, Copy)]
pub(crate) enum Submit {
    /// Perhaps never: all that is known of the run are ids that the caller gave.
    Unknown,
    /// By an earlier call of this server.
    Earlier,
    /// By this one, just now: there can be no news yet.
    JustNow,
}

/// Watches until the run is over or `enough` says so of a change, the first look included. No longer than
/// the operator allows. The call must have its seat. `begun` is said at once, for who waits to know that
/// something goes on; and when the run was submitted.
///
/// # Errors
/// As [`Wait::events`]; they name the run.
pub(crate) async fn watch(
    call: &mut ToolContext,
    (deployment_id, request_id): (DeploymentId, RequestId),
    (begun, submit): (&str, Submit),
    timeout: Duration,
    mut enough: impl FnMut(&RequestStatus) -> bool,
) -> Result<Watched, Error> {
    call.scope.release_for_wait();
    call.scope.report_progress(begun).await;
    let mut policy = call.scope.settings.wait.clone();
    let timeout = timeout.min(call.scope.settings.longest_wait);
    policy.timeout = Some(timeout);
    if matches!(submit, Submit::Unknown) {
        // One repeat, in case that somebody has submitted it this very moment.
        policy.not_found_grace = Duration::from_millis(1);
    }
    let (api, deployment) = (Arc::clone(&call.scope.api), deployment_id.clone());
    let wait = Wait::new(Arc::clone(&call.scope.api), deployment_id, request_id).policy(policy);
    let wait = match submit {
        Submit::Unknown | Submit::Earlier => wait,
        Submit::JustNow => wait.just_submitted(),
    };
    let mut events = std::pin::pin!(call.waits.events(call.scope.permits.caller, wait));
    let started = Instant::now();
    let mut heartbeat =
        interval_at(started + call.scope.settings.heartbeat, call.scope.settings.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Why it still waits is found out in the last moments, so that nobody is kept beyond their time.
    let mut nearly_over =
        std::pin::pin!(sleep_until(started + timeout.saturating_sub(LOOK)).fuse());
    let (mut reason, mut why) = (Fuse::terminated(), None);
    let (mut seen, mut told): (Option<Box<RequestStatus>>, _) = (None, begun.to_owned());
    loop {
        let event = tokio::select! {
            biased;
            () = call.scope.abandoned() => return Ok(Watched::Interrupted(seen)),
            event = events.next() => event,
            () = &mut nearly_over, if seen.is_some() => {
                if let Some(status) = seen.as_deref().cloned() {
                    let (api, reasons) = (Arc::clone(&api), Arc::clone(&call.deployments));
                    let whose = (call.scope.permits.caller, deployment.clone());
                    reason = reasons.explain(api, whose, status).boxed().fuse();
                }
                continue;
            }
            found = &mut reason => {
                why = found;
                continue;
            }
            _ = heartbeat.tick() => {
                call.scope.report_progress(&format!("{told}; {} s so far", started.elapsed().as_secs())).await;
                continue;
            }
        };
        match event {
            Some(Ok(WaitEvent::Changed(status))) => {
                told = in_words(&status);
                call.scope.report_progress(&told).await;
                heartbeat.reset();
                if enough(&status) {
                    return Ok(Watched::ConditionMet(Box::new(status)));
                }
                seen = Some(Box::new(status));
            }
            Some(Ok(WaitEvent::PollFailed(error))) => {
                call.scope
                    .report_progress(&format!("{}; the run goes on, looking again", error.kind()))
                    .await;
            }
            Some(Ok(WaitEvent::Ended(WaitEnd::Finished(finished)))) => {
                return Ok(Watched::Finished(finished));
            }
            Some(Ok(WaitEvent::Ended(WaitEnd::TimedOut(timed_out)))) => {
                let last = timed_out.last_status.as_ref().map(RequestStatus::state);
                why = why.filter(|_| last == Some(RequestState::InQueue));
                return Ok(Watched::TimedOut(timed_out, why));
            }
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) => {}
            None => return Err(Error::new(Operation::GetRequestStatus, ErrorKind::TimedOut)),
        }
    }
}
