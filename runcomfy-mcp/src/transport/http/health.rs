//! Whether the server lives, and whether it wants work: for those who keep it running.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header::CACHE_CONTROL};
use serde_json::json;
use tokio::time::Instant;

/// Where it is asked after.
pub(super) const PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The pulse of the runtime.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    started: Instant,
    beat: Arc<AtomicU64>,
}

const BEAT: Duration = Duration::from_secs(1);
/// A runtime that has run nothing for so long is stuck.
const STUCK: Duration = Duration::from_secs(5);

impl Pulse {
    pub(super) fn new() -> Self {
        // Until somebody lets it beat, there is nothing to tell.
        Self { started: Instant::now(), beat: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Beats for as long as it is polled.
    pub(super) async fn beat(&self) {
        let mut every = tokio::time::interval(BEAT);
        loop {
            every.tick().await;
            self.beat.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Asks nobody else: an outage of RunComfy's must not have every replica restarted.
    pub(super) fn health(&self) -> Response {
        let since = self.now().saturating_sub(self.beat.load(Ordering::Relaxed));
        if u128::from(since) > STUCK.as_millis() {
            state(StatusCode::SERVICE_UNAVAILABLE, "stuck")
        } else {
            state(StatusCode::OK, "ok")
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether to send calls here.
pub(super) fn readiness(draining: bool) -> Response {
    if draining {
        state(StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        state(StatusCode::OK, "ready")
    }
}

fn state(status: StatusCode, state: &str) -> Response {
    let ok = status == StatusCode::OK;
    (status, [(CACHE_CONTROL, "no-store")], Json(json!({"ok": ok, "state": state}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_runtime_that_runs_nothing_is_not_healthy() {
        let pulse = Pulse::new();
        let minute = tokio::time::timeout(Duration::from_secs(60), pulse.beat());
        assert!(minute.await.is_err());
        assert_eq!(pulse.health().status(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(pulse.health().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
