//! Health endpoints: `/healthz` says whether the runtime makes progress, `/readyz` whether to send requests here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CACHE_CONTROL};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const LIVENESS_PATH: &str = "/healthz";
const READINESS_PATH: &str = "/readyz";

/// Whether a path is one of the health endpoints, which load balancers request all the time.
#[must_use]
pub fn is_health_path(path: &str) -> bool {
    path == LIVENESS_PATH || path == READINESS_PATH
}

/// The health endpoints. `/readyz` fails once `draining` is cancelled.
///
/// They check nothing outside the process, because an outage elsewhere must not restart every replica.
pub fn health_routes<S: Clone + Send + Sync + 'static>(
    liveness: Liveness,
    draining: CancellationToken,
) -> Router<S> {
    Router::new()
        .route(LIVENESS_PATH, get(move || async move { liveness.response() }))
        .route(READINESS_PATH, get(move || async move { readiness(draining.is_cancelled()) }))
}

/// A timestamp that the runtime renews every second. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Liveness {
    started: Instant,
    /// Milliseconds from `started` to the last renewal.
    renewed: Arc<AtomicU64>,
}

const RENEW_EVERY: Duration = Duration::from_secs(1);
/// A runtime that has not renewed the timestamp for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

impl Default for Liveness {
    fn default() -> Self {
        // Before `run` is polled for the first time, the runtime counts as alive.
        Self { started: Instant::now(), renewed: Arc::new(AtomicU64::new(u64::MAX)) }
    }
}

impl Liveness {
    /// Renews the timestamp for as long as it is polled. It never returns.
    pub async fn run(&self) {
        let mut interval = tokio::time::interval(RENEW_EVERY);
        loop {
            interval.tick().await;
            self.renewed.store(self.now(), Ordering::Relaxed);
        }
    }

    fn response(&self) -> Response {
        let since = self.now().saturating_sub(self.renewed.load(Ordering::Relaxed));
        if u128::from(since) > STUCK_AFTER.as_millis() {
            state(StatusCode::SERVICE_UNAVAILABLE, "stuck")
        } else {
            state(StatusCode::OK, "ok")
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn readiness(draining: bool) -> Response {
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
    async fn a_runtime_that_makes_no_progress_is_not_healthy() {
        let liveness = Liveness::default();
        let minute = tokio::time::timeout(Duration::from_secs(60), liveness.run());
        assert!(minute.await.is_err());
        assert_eq!(liveness.response().status(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(liveness.response().status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_draining_server_is_not_ready() {
        assert_eq!(readiness(false).status(), StatusCode::OK);
        assert_eq!(readiness(true).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
